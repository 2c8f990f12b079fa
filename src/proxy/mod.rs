//! Lowering of the exact model to the proxy ONNX that stock hls4ml compiles with the same bits
//! (docs/proxy.md).
//!
//! Constants folded → live elements → stages (a matrix, an affine, an activation and the quantizer
//! after it) → nodes.
//! Every quantised tensor is a list of [`write::part::Part`]s, one per format; [`write::linear`]
//! writes the matrices and convolutions, [`write::copy`] the element-wise functions,
//! [`write::lower`] decides which. Values near convolutions keep their positions (`layout`):
//! formats are then per channel.

pub mod analysis;
pub mod error;
pub mod form;
pub mod name;
pub mod port;
pub mod ports;
pub mod target;
mod write;

use crate::diagnostic::Diagnostic;
use crate::onnx::limits;
use crate::onnx::proto::ModelProto;
pub use crate::quant::port::DEFAULT_PORT;
use crate::quant::{FixedModel, Kif};
pub use analysis::prune::prune;
pub use analysis::uniform;
pub use error::{Fault, ProxyError, Reason};
pub use form::{Form, Proxy, Removed};
pub use name::sanitize;
use prost::Message;
pub use target::Target;
pub use write::input_layout::channels_first;
use write::lower::Lowered;

/// Writes `model` as a proxy.
///
/// # Errors
/// [`ProxyError`] with every node that stock hls4ml cannot compute exactly.
pub fn emit(model: &FixedModel, form: Form) -> Result<Proxy, ProxyError> {
    emit_for(model, form, Target::default(), 0.0)
}

/// [`emit`] for settings of hls4ml, and for inputs up to `reach` in magnitude: the input port that
/// the proxy states holds them.
///
/// # Errors
/// As [`emit`], and for every node that is not exact with these settings.
pub fn emit_for(model: &FixedModel, form: Form, target: Target, reach: f64) -> Result<Proxy, ProxyError> {
    let fail = |faults| Err(ProxyError { faults });
    if let Err(broken) = model.check() {
        return fail(vec![Fault { node: broken.node.clone(), reason: Reason::Structure(broken.to_string()) }]);
    }
    let mut model = if form == Form::Uniform { analysis::uniform::envelope(model) } else { model.clone() };
    // hls4ml has no tensor without an axis
    model.values.iter_mut().filter(|v| v.shape.is_empty()).for_each(|v| v.shape.push(1));
    let faults = target::faults(&model, target);
    if !faults.is_empty() {
        return fail(faults);
    }
    analysis::pass::average::run(&mut model);
    if form == Form::Elementwise {
        return emit_elementwise(&model, reach);
    }
    if let Err(faults) = analysis::pass::positions::run(&mut model) {
        return fail(faults);
    }
    let (port, warnings) = port::needed(&model, reach);
    if let Err(faults) = analysis::spans::fold_constants(&mut model, port) {
        return fail(faults);
    }
    // the same values, on coarser grids where a fine weight is gone
    let units = match analysis::spans::units(&model, port) {
        Ok(units) => units,
        Err(faults) => return fail(faults),
    };
    let live = analysis::pass::live::live(&model, &units.spans);
    let removed = removed(&model, &units.constant, &live);
    let lowered = write::lower::lower(&model, form, target, port, units.spans, &live).map_err(|faults| ProxyError { faults })?;
    finished(lowered, port, warnings, removed)
}

/// [`elementwise::write`] with the port that the executor needs; the plug-in types hls4ml's port
/// from the quantizers after it.
fn emit_elementwise(model: &FixedModel, reach: f64) -> Result<Proxy, ProxyError> {
    let (port, _) = port::needed(model, reach);
    let lowered = write::elementwise::write(model).map_err(|faults| ProxyError { faults })?;
    finished(lowered, port, Vec::new(), Vec::new())
}

/// The file with its port; `warnings` and `removed` are told of it.
fn finished(
    mut lowered: Lowered,
    input_port: Kif,
    mut warnings: Vec<Diagnostic>,
    removed: Vec<Removed>,
) -> Result<Proxy, ProxyError> {
    if input_port != DEFAULT_PORT {
        crate::quant::port::state(&mut lowered.model, input_port);
    }
    warnings.extend(lowered.warnings);
    let bytes = within_limits(&lowered.model).map_err(|fault| ProxyError { faults: vec![fault] })?;
    Ok(Proxy { bytes, model: lowered.model, warnings, input_port, removed, output_order: lowered.output_order })
}

/// The encoded file, which must be one that a file may be: the executor reads it, and so does
/// whoever converts it once more.
fn within_limits(model: &ModelProto) -> Result<Vec<u8>, Fault> {
    let too_large = |what, found, limit| Fault { node: "(graph)".into(), reason: Reason::TooLarge { what, found, limit } };
    let nodes = model.graph.as_ref().map_or(0, |g| g.node.len());
    if nodes > limits::MAX_NODES {
        return Err(too_large("nodes", nodes, limits::MAX_NODES));
    }
    let bytes = model.encode_to_vec();
    if bytes.len() > limits::MAX_BYTES { Err(too_large("bytes", bytes.len(), limits::MAX_BYTES)) } else { Ok(bytes) }
}

fn removed(model: &FixedModel, constants: &[Vec<bool>], live: &[Vec<bool>]) -> Vec<Removed> {
    let mut list = Vec::new();
    for node in &model.nodes {
        let (constants, live) = (&constants[node.output], &live[node.output]);
        let dead = |constant: bool| (0..live.len()).filter(|&e| !live[e] && constants[e] == constant).collect();
        let entry = Removed { value: model.values[node.output].name.clone(), constant: dead(true), unread: dead(false) };
        if !(entry.constant.is_empty() && entry.unread.is_empty()) {
            list.push(entry);
        }
    }
    list
}
