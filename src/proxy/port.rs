//! The input port: hls4ml truncates every model input to it before the first node
//! (docs/hls4ml-contract.md#b-input).

use crate::diagnostic::{Code, Diagnostic};
use crate::graph::ValueId;
use crate::quant::kif::floor_log2;
use crate::quant::model::fractional_bits;
pub use crate::quant::port::DEFAULT_PORT;
pub use crate::quant::port::spelled;
use crate::quant::{FixedModel, FixedOp, Kif, Rounding};

/// The port that the first quantizers need and that holds inputs up to `reach` in magnitude (it
/// wraps beyond), at least [`DEFAULT_PORT`] (the widest of all inputs), and what to say about each
/// input.
pub fn needed(model: &FixedModel, reach: f64) -> (Kif, Vec<Diagnostic>) {
    let mut port = DEFAULT_PORT;
    let mut warnings = Vec::new();
    for (at, &input) in model.inputs.iter().enumerate() {
        if model.inputs[..at].contains(&input) {
            continue;
        }
        let own = needed_by(model, input, reach, &mut warnings);
        port = Kif::new(true, port.integer.max(own.integer), port.fractional.max(own.fractional));
    }
    (port, warnings)
}

fn needed_by(model: &FixedModel, input: ValueId, reach: f64, warnings: &mut Vec<Diagnostic>) -> Kif {
    let mut port = DEFAULT_PORT;
    let mut raw = vec![input];
    for node in &model.nodes {
        if !node.inputs.iter().any(|v| raw.contains(v)) {
            continue;
        }
        let mut warn = |code, message: String| warnings.push(Diagnostic::at(code, &node.name, message));
        match &node.op {
            // only moves elements
            FixedOp::MaxPool(_) | FixedOp::Move(_) => raw.push(node.output),
            FixedOp::Quantize(q) => {
                let kept = || q.formats.iter().filter(|k| !k.is_zero());
                let finer = i32::from(q.rounding == Rounding::HalfUp);
                // an offset is a multiple of the port's step, and fits it with the values about it
                let offsets = || q.offset.iter().flat_map(|c| (0..c.ints.len()).map(|e| c.value(e))).filter(|&c| c != 0.0);
                let fractional = kept().map(|k| k.fractional + finer).chain(offsets().map(fractional_bits)).max().unwrap_or(0);
                let data = if reach >= 1.0 && reach.is_finite() { floor_log2(reach) + 1 } else { 0 };
                let beside = offsets().map(|c| floor_log2(c.abs()) + 2).max().unwrap_or(0);
                let integer = kept().map(|k| k.integer).max().unwrap_or(0).max(data).max(beside);
                if fractional > port.fractional || integer > port.integer {
                    port = Kif::new(true, port.integer.max(integer), port.fractional.max(fractional));
                    let wanted = spelled(port);
                    let input = super::sanitize(&model.values[input].name);
                    warn(
                        Code::InputPort,
                        format!(
                            "the input needs a wider port than hls4ml's default fixed<32,16>: set \
                             cfg['LayerName']['{input}']['Precision']['result'] = '{wanted}'"
                        ),
                    );
                }
                if q.rounding == Rounding::HalfEven {
                    warn(
                        Code::InputHalfEven,
                        "the input rounds half to even: exact for inputs on the grid of the port, inputs finer than 2^-16 \
                         are truncated to it first"
                            .to_string(),
                    );
                }
            }
            FixedOp::Dense(_) | FixedOp::Affine(_) | FixedOp::Elementwise(_) | FixedOp::AveragePool(_) | FixedOp::Merge(_) => {
                warn(
                    Code::InputNotQuantized,
                    "the input has no quantizer: hls4ml truncates it to 2^-16 and wraps outside ±32768".to_string(),
                )
            }
        }
    }
    port
}
