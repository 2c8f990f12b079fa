//! Lowering of the exact model to the proxy ONNX that stock hls4ml compiles with the same bits (design section 6).
//!
//! `constants folded → live elements → stages (a matrix, an affine, an activation and the quantizer behind) → nodes`.
//! Every quantised tensor is a list of [`part::Part`]s, one per format; [`linear`] writes the matrices and convolutions, [`copy`] the
//! element-wise functions, [`lower`] decides which. Values near convolutions keep their positions (`layout`): formats are then per
//! channel.

pub mod build;
mod constant;
mod conv;
pub mod copy;
pub mod elementwise;
pub mod error;
mod input_layout;
pub mod interval;
mod join;
mod layout;
pub mod linear;
pub mod lower;
mod merge;
mod name;
mod offset;
mod one_bit;
mod output;
pub mod part;
pub mod pass;
mod pieces;
mod pool;
pub mod port;
pub mod ports;
mod prune;
mod quantize;
mod readers;
mod repack;
mod reshape;
mod taps;
pub mod target;
pub mod uniform;

pub use error::{Fault, ProxyError, Reason};
pub use input_layout::channels_first;
pub use name::sanitize;
pub use port::DEFAULT_PORT;
pub use prune::prune;
pub use target::Target;

use crate::onnx::proto::ModelProto;
use crate::quant::{FixedModel, Kif};
use prost::Message;
use serde::{Deserialize, Serialize};

/// How per-element activation widths are expressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// One matrix per input format, added, then one selection per output format: no multiplication sees a common type.
    #[default]
    Sums,
    /// One matrix per output format, joined by Concats: fewest nodes.
    Concat,
    /// One format per quantizer (see [`uniform::envelope`]): plain layers, other numbers.
    Uniform,
    /// One tensor per value, bit widths as tensors (see [`elementwise`]): not for stock hls4ml but for the plug-in.
    Elementwise,
}

/// The emitted file and what the user should know about it.
#[derive(Clone, Debug)]
pub struct Proxy {
    pub model: ModelProto,
    /// `model`, encoded.
    pub bytes: Vec<u8>,
    pub warnings: Vec<Warning>,
    /// Format that hls4ml's input port needs; [`DEFAULT_PORT`] is what the plain call gives.
    pub input_port: Kif,
    /// Elements that the proxy does not compute, per value of the exact model.
    pub removed: Vec<Removed>,
    /// For each output of the file: its place among the outputs of the exact model. hls4ml numbers outputs by the node that writes them.
    pub output_order: Vec<usize>,
}

/// Something the user should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    pub code: &'static str,
    pub node: String,
    pub message: String,
}

/// Elements of one value that are constant or that nothing reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Removed {
    pub value: String,
    /// Always the same value: folded into biases.
    pub constant: Vec<usize>,
    /// No output depends on them.
    pub unread: Vec<usize>,
}

/// Writes `model` as a proxy.
///
/// # Errors
/// [`ProxyError`] with every node that stock hls4ml cannot compute exactly.
pub fn emit(model: &FixedModel, form: Form) -> Result<Proxy, ProxyError> {
    emit_for(model, form, Target::default(), 0.0)
}

/// [`emit`] for settings of hls4ml, and for inputs up to `reach` in magnitude: the input port that the proxy states holds them.
///
/// # Errors
/// As [`emit`], and for every node that is not exact with these settings.
pub fn emit_for(model: &FixedModel, form: Form, target: Target, reach: f64) -> Result<Proxy, ProxyError> {
    let fail = |faults| Err(ProxyError { faults });
    if let Err(broken) = model.check() {
        return fail(vec![Fault { node: broken.node.clone(), reason: Reason::Structure(broken.to_string()) }]);
    }
    let mut model = if form == Form::Uniform { uniform::envelope(model) } else { model.clone() };
    let faults = target::faults(&model, target);
    if !faults.is_empty() {
        return fail(faults);
    }
    pass::average::run(&mut model);
    if form == Form::Elementwise {
        return emit_elementwise(&model, reach);
    }
    if let Err(faults) = pass::positions::run(&mut model) {
        return fail(faults);
    }
    let (port, mut warnings) = port::needed(&model, reach);
    let spans = match interval::spans(&model, port) {
        Ok(spans) => spans,
        Err(faults) => return fail(faults),
    };
    pass::constant::fold(&mut model, &spans);
    // the same values, on coarser grids where a fine weight is gone
    let spans = match interval::spans(&model, port) {
        Ok(spans) => spans,
        Err(faults) => return fail(faults),
    };
    let units = match layout::by_unit(&model, &spans) {
        Ok(units) => units,
        Err(faults) => return fail(faults),
    };
    let live = pass::live::live(&model, &units);
    let removed = removed(&model, &spans, &live);
    let mut lowered = lower::lower(&model, form, target, port, units, &live).map_err(|faults| ProxyError { faults })?;
    if port != DEFAULT_PORT {
        port::state(&mut lowered.model, port);
    }
    warnings.extend(lowered.warnings);
    Ok(Proxy {
        bytes: lowered.model.encode_to_vec(),
        model: lowered.model,
        warnings,
        input_port: port,
        removed,
        output_order: lowered.output_order,
    })
}

/// [`elementwise::write`] with the port that the executor needs; the plug-in types hls4ml's port from the quantizers behind it.
fn emit_elementwise(model: &FixedModel, reach: f64) -> Result<Proxy, ProxyError> {
    let (port, _) = port::needed(model, reach);
    let mut lowered = elementwise::write(model).map_err(|faults| ProxyError { faults })?;
    if port != DEFAULT_PORT {
        port::state(&mut lowered.model, port);
    }
    Ok(Proxy {
        bytes: lowered.model.encode_to_vec(),
        model: lowered.model,
        warnings: lowered.warnings,
        input_port: port,
        removed: Vec::new(),
        output_order: lowered.output_order,
    })
}

fn removed(model: &FixedModel, spans: &[Vec<interval::Span>], live: &[Vec<bool>]) -> Vec<Removed> {
    let mut list = Vec::new();
    for node in &model.nodes {
        let (spans, live) = (&spans[node.output], &live[node.output]);
        let dead = |constant: bool| (0..live.len()).filter(|&e| !live[e] && spans[e].is_constant() == constant).collect();
        let entry = Removed { value: model.values[node.output].name.clone(), constant: dead(true), unread: dead(false) };
        if !(entry.constant.is_empty() && entry.unread.is_empty()) {
            list.push(entry);
        }
    }
    list
}
