//! The input port: hls4ml truncates every model input to it before the first node (contract, section b).

use super::Warning;
use crate::graph::ValueId;
use crate::onnx::proto::{ModelProto, StringStringEntryProto};
use crate::quant::kif::floor_log2;
use crate::quant::model::fractional_bits;
use crate::quant::{FixedModel, FixedOp, Kif, Rounding};

/// `fixed<32,16>`, what `default_precision` of the documented call gives.
pub const DEFAULT_PORT: Kif = Kif { keep_negative: true, integer: 15, fractional: 16 };

/// Key of the file's metadata under which a proxy states the port it needs, as `fixed<width,integer>`.
const METADATA_KEY: &str = "hgq_onnx.input_port";

/// States `port` in the file, so that whoever verifies it uses the same.
pub fn state(model: &mut ModelProto, port: Kif) {
    let entry = StringStringEntryProto { key: Some(METADATA_KEY.into()), value: Some(spelled(port)) };
    model.metadata_props.push(entry);
}

/// The port that a proxy states; [`DEFAULT_PORT`] where it states none or no readable one.
pub fn stated(model: &ModelProto) -> Kif {
    let text = model.metadata_props.iter().find(|p| p.key() == METADATA_KEY).map(|p| p.value());
    let numbers = text.and_then(|t| t.strip_prefix("fixed<")?.strip_suffix('>')?.split_once(','));
    let parsed = numbers.and_then(|(w, i)| Some((w.parse::<i32>().ok()?, i.parse::<i32>().ok()?)));
    match parsed {
        Some((width, above)) if (1..=62).contains(&width) && (1..=width).contains(&above) => {
            Kif::new(true, above - 1, width - above)
        }
        _ => DEFAULT_PORT,
    }
}

/// `fixed<W,I>`, as hls4ml spells it (I counts the sign).
pub fn spelled(port: Kif) -> String {
    format!("fixed<{},{}>", port.bits(), port.integer + 1)
}

/// The port that the first quantizers need and that holds inputs up to `reach` in magnitude (it wraps beyond), at least
/// [`DEFAULT_PORT`] (the widest of all inputs), and what to say about each input.
pub fn needed(model: &FixedModel, reach: f64) -> (Kif, Vec<Warning>) {
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

fn needed_by(model: &FixedModel, input: ValueId, reach: f64, warnings: &mut Vec<Warning>) -> Kif {
    let mut port = DEFAULT_PORT;
    let mut raw = vec![input];
    for node in &model.nodes {
        if !node.inputs.iter().any(|v| raw.contains(v)) {
            continue;
        }
        let mut warn = |code, message: String| warnings.push(Warning { code, node: node.name.clone(), message });
        match &node.op {
            // only moves elements
            FixedOp::Reshape | FixedOp::MaxPool(_) | FixedOp::Pad { .. } | FixedOp::Concat { .. } => raw.push(node.output),
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
                        "input_port",
                        format!(
                            "the input needs a wider port than hls4ml's default fixed<32,16>: set \
                             cfg['LayerName']['{input}']['Precision']['result'] = '{wanted}'"
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
    port
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stated_port_is_read_back() {
        let mut model = ModelProto::default();
        assert_eq!(stated(&model), DEFAULT_PORT);
        let wide = Kif::new(true, 19, 23);
        state(&mut model, wide);
        assert_eq!((stated(&model), spelled(wide).as_str()), (wide, "fixed<43,20>"));
        model.metadata_props[0].value = Some("fixed<9999999999,1>".into());
        assert_eq!(stated(&model), DEFAULT_PORT);
    }
}
