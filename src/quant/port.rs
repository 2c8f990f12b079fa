//! The input port of hls4ml: its format, and how a file states it.

use super::kif::Kif;
use crate::onnx::metadata;
use crate::onnx::proto::ModelProto;

/// Key of the file's metadata under which a proxy states the port it needs, as
/// `fixed<width,integer>`.
const METADATA_KEY: &str = "hgq_onnx.input_port";

/// States `port` in the file, so that whoever verifies it uses the same.
pub fn state(model: &mut ModelProto, port: Kif) {
    metadata::state(model, METADATA_KEY, spelled(port));
}

/// The port that a proxy states; [`DEFAULT_PORT`] where it states none or no readable one.
pub fn stated(model: &ModelProto) -> Kif {
    let numbers =
        metadata::stated(model, METADATA_KEY).and_then(|t| t.strip_prefix("fixed<")?.strip_suffix('>')?.split_once(','));
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

/// `fixed<32,16>`, what `default_precision` of the documented call gives.
pub const DEFAULT_PORT: Kif = Kif { keep_negative: true, integer: 15, fractional: 16 };

/// Finest grid of an input: hls4ml's default port `fixed<32,16>` truncates to `2^-16`, and rounding
/// half up needs one bit more.
pub const INPUT_MAX_F: f32 = 15.0;

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
