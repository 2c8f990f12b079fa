//! What a proxy takes, stated in the file's metadata: its form spells a model out in parts, and a
//! count of those would be another one.

use crate::convert::error::Error;
use crate::data::sha256::sha256;
use crate::onnx::metadata;
use crate::onnx::proto::ModelProto;
use crate::proxy::form::Proxy;
use crate::quant::exact::Exact;
use crate::quant::{ebops, hardware};
use prost::Message;
use serde::{Deserialize, Serialize};

/// Key of the file's metadata, whose value is [`Figures`] as JSON.
const METADATA_KEY: &str = "hgq_onnx.figures";

/// Of the exact model that a proxy computes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// HGQ v1's count.
    pub ebops: u64,
    pub luts: u64,
    pub levels: u32,
    pub ff: u64,
    /// SHA-256 of the graph that they are of: who changes it changes them.
    graph: String,
}

/// States in `proxy` the figures of the model that it computes.
///
/// # Errors
/// [`Error::Internal`]: numbers and a digest can be written.
pub fn state(proxy: &mut Proxy, exact: &Exact) -> Result<(), Error> {
    let (model, bounds) = (exact.model(), exact.bounds());
    let hardware::Hardware { luts, levels, registers } = hardware::count(model, bounds).1;
    let figures = Figures { ebops: ebops::ebops(model, bounds), luts, levels, ff: registers, graph: digest(&proxy.model) };
    let value = serde_json::to_string(&figures).map_err(|e| Error::Internal(e.to_string()))?;
    proxy.state(METADATA_KEY, value);
    Ok(())
}

/// The figures of a file, where it states some and nobody has changed its graph since.
pub fn stated(model: &ModelProto) -> Option<Figures> {
    let figures: Figures = serde_json::from_str(metadata::stated(model, METADATA_KEY)?).ok()?;
    (figures.graph == digest(model)).then_some(figures)
}

fn digest(model: &ModelProto) -> String {
    sha256(&model.graph.as_ref().map_or_else(Vec::new, Message::encode_to_vec))
}
