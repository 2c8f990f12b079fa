//! The input port: hls4ml truncates every model input to it before the first node (contract, section b).

use super::Warning;
use crate::quant::{FixedModel, FixedOp, Kif, Rounding};

/// `fixed<32,16>`, what `default_precision` of the documented call gives.
pub const DEFAULT_PORT: Kif = Kif { keep_negative: true, integer: 15, fractional: 16 };

/// The port that the first quantizers need, at least [`DEFAULT_PORT`], and what to say about it.
pub fn needed(model: &FixedModel) -> (Kif, Vec<Warning>) {
    let mut port = DEFAULT_PORT;
    let mut warnings = Vec::new();
    let mut raw: Vec<usize> = model.inputs.clone();
    for node in &model.nodes {
        let Some(source) = node.inputs.first().filter(|v| raw.contains(v)) else { continue };
        let mut warn = |code, message: String| warnings.push(Warning { code, node: node.name.clone(), message });
        match &node.op {
            FixedOp::Reshape => raw.push(node.output),
            FixedOp::Quantize(q) => {
                let kept = || q.formats.iter().filter(|k| !k.is_zero());
                let finer = i32::from(q.rounding == Rounding::HalfUp);
                let fractional = kept().map(|k| k.fractional + finer).max().unwrap_or(0);
                let integer = kept().map(|k| k.integer).max().unwrap_or(0);
                if fractional > port.fractional || integer > port.integer {
                    port = Kif::new(true, port.integer.max(integer), port.fractional.max(fractional));
                    let (width, above) = (port.bits(), port.integer + 1);
                    let input = super::sanitize(&model.values[*source].name);
                    warn(
                        "input_port",
                        format!(
                            "the input needs a wider port than hls4ml's default fixed<32,16>: set \
                             cfg['LayerName']['{input}']['Precision']['result'] = 'fixed<{width},{above}>'"
                        ),
                    );
                }
                if q.rounding == Rounding::HalfEven {
                    warn(
                        "input_half_even",
                        "the input rounds half to even: exact for inputs on the grid of the port, inputs finer than 2^-16 \
                         are truncated to it first"
                            .to_string(),
                    );
                }
            }
            _ => warn(
                "input_not_quantized",
                "the input has no quantizer: hls4ml truncates it to 2^-16 and wraps outside ±32768".to_string(),
            ),
        }
    }
    (port, warnings)
}
