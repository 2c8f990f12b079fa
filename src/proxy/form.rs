//! What is written in which form, and what is said about it.

use crate::diagnostic::Diagnostic;
use crate::onnx::proto::ModelProto;
use crate::onnx::{encode, metadata};
use crate::quant::kif::Kif;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
/// How per-element activation widths are expressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// One matrix per input format, added, then one selection per output format: no multiplication
    /// sees a common type.
    #[default]
    Sums,
    /// One matrix per output format, joined by Concats: fewest nodes.
    Concat,
    /// One format per quantizer (see [`super::uniform::envelope`]): plain layers, other numbers.
    Uniform,
    /// One tensor per value, bit widths as tensors (see [`super::write::elementwise`]): not for
    /// stock hls4ml but for the plug-in.
    Elementwise,
}

/// The emitted file and what the user should know about it.
#[derive(Clone, Debug)]
pub struct Proxy {
    pub model: ModelProto,
    /// `model`, encoded.
    pub bytes: Vec<u8>,
    pub warnings: Vec<Diagnostic>,
    /// Format that hls4ml's input port needs; [`super::DEFAULT_PORT`] is what the plain call gives.
    pub input_port: Kif,
    /// Elements that the proxy does not compute, per value of the exact model.
    pub removed: Vec<Removed>,
    /// For each output of the file: its place among the outputs of the exact model. hls4ml numbers
    /// outputs by the node that writes them.
    pub output_order: Vec<usize>,
}

impl Proxy {
    /// States `value` under `key` in the file.
    pub fn state(&mut self, key: &str, value: String) {
        metadata::state(&mut self.model, key, value);
        self.bytes = encode(&self.model);
    }
}

/// Elements of one value that are constant or that nothing reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Removed {
    pub value: String,
    /// Always the same value: folded into biases.
    pub constant: Vec<usize>,
    /// No output depends on them.
    pub unread: Vec<usize>,
}
