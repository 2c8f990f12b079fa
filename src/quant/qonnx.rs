//! QONNX annotations → quantizers. Power-of-two scales are taken over exactly, others put on a
//! finer power-of-two grid.

use super::kif::{Kif, exp2i, floor_log2};
use super::rounding::Rounding;
use crate::graph::{QuantSpec, RoundingMode};

/// Bits finer than the annotated step that a weight of a non-power-of-two scale gets: an error of
/// at most 1/16 step.
const REGRID_WEIGHT_BITS: i32 = 3;

/// An annotation as fixed-point formats, one per element.
#[derive(Clone, Debug, PartialEq)]
pub struct Annotation {
    pub formats: Vec<Kif>,
    pub symmetric: bool,
    pub rounding: Rounding,
    /// False when some scale is not a power of two and the formats are a finer grid.
    pub exact: bool,
    /// The mode differs from the annotated one on exact negative ties only.
    pub ties_differ: bool,
}

/// Reads an annotation of an activation. `nonnegative`: the annotated values are never below 0
/// (after a Relu).
///
/// # Errors
/// What is wrong with it, for the message that names the node.
pub fn activation(spec: &QuantSpec, nonnegative: bool) -> Result<Annotation, String> {
    let unsigned = nonnegative || !spec.signed;
    let (rounding, ties_differ) = match (spec.rounding, unsigned) {
        (RoundingMode::HalfEven, _) => (Rounding::HalfEven, false),
        (RoundingMode::Floor, _) | (RoundingMode::Down, true) => (Rounding::Floor, false),
        (RoundingMode::Ceil, _) | (RoundingMode::Up, true) => (Rounding::Ceil, false),
        (RoundingMode::HalfUp, true) => (Rounding::HalfUp, false),
        (RoundingMode::HalfUp, false) => (Rounding::HalfUp, true),
        (RoundingMode::HalfDown, true) => (Rounding::HalfDown, false),
        (mode @ (RoundingMode::HalfDown | RoundingMode::Up | RoundingMode::Down), false) => {
            return Err(format!(
                "rounding mode {mode:?} on a signed activation cannot be expressed in hls4ml; use ROUND, FLOOR, CEIL or HALF_UP"
            ));
        }
    };
    let mut exact = true;
    let mut formats = Vec::with_capacity(spec.scale.len());
    for e in 0..spec.scale.len() {
        let bits = width(spec, e)?;
        let k = spec.signed && !nonnegative;
        let (lo, hi) = spec.int_range(e);
        let step = scale(spec, e)?;
        formats.push(if power_of_two(step) {
            if spec.narrow && !spec.signed {
                return Err("an unsigned narrow range cannot be expressed in hls4ml; use narrow=0".into());
            }
            let f = -floor_log2(step);
            Kif::new(k, bits - spec.signed as i32 - f, f)
        } else {
            exact = false;
            let f = (-step.log2()).ceil() as i32;
            // in f64 the ends are exact enough: one LSB of the finer grid more never harms
            let ends = [lo * step, hi * step].map(|v| (v * exp2i(f)).round() as i128);
            Kif::covering(if k { ends[0] } else { 0 }, ends[1].max(1), f)
        });
    }
    let symmetric = exact && spec.signed && !nonnegative && spec.narrow;
    Ok(Annotation { formats, symmetric, rounding, exact, ties_differ })
}

/// A constant tensor under its annotation: values, the formats they are declared in, and fractional
/// bits that hold them.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    pub values: Vec<f64>,
    pub declared: Vec<Kif>,
    pub f: Vec<i32>,
    pub exact: bool,
}

/// Quantizes a constant as annotated (any rounding mode: the values are all that matters).
///
/// # Errors
/// What is wrong with the annotation.
pub fn constant(spec: &QuantSpec, raw: &[f32]) -> Result<Constant, String> {
    let mut out = Constant { values: Vec::new(), declared: Vec::new(), f: Vec::new(), exact: true };
    for (e, &v) in raw.iter().enumerate() {
        // −1 and +1 in the two's complement of two bits
        let bits = if spec.bipolar { 2 } else { width(spec, e)? };
        let step = scale(spec, e)?;
        let value = spec.apply(e, v as f64);
        let f = if power_of_two(step) {
            -floor_log2(step)
        } else {
            out.exact = false;
            (-step.log2()).ceil() as i32 + REGRID_WEIGHT_BITS
        };
        out.declared.push(Kif::new(spec.signed, bits - spec.signed as i32 - f, f));
        out.values.push(value);
        out.f.push(f);
    }
    Ok(out)
}

/// Widest annotation: exact execution has 62 bits and a product needs room.
const MAX_ANNOTATED_BITS: f64 = 48.0;

fn width(spec: &QuantSpec, e: usize) -> Result<i32, String> {
    let bits = spec.bits[e];
    if bits.fract() != 0.0 || !(0.0..=MAX_ANNOTATED_BITS).contains(&bits) {
        return Err(format!("bit width {bits} is not an integer between 0 and {MAX_ANNOTATED_BITS}"));
    }
    if bits == 1.0 && spec.signed && !spec.bits_per_element {
        return Err("a signed width of 1 (bipolar) is not supported yet".into());
    }
    Ok(bits as i32)
}

fn scale(spec: &QuantSpec, e: usize) -> Result<f64, String> {
    let step = spec.scale[e];
    if !step.is_finite() || step <= 0.0 || step.log2().abs() > 100.0 {
        return Err(format!("scale {step} is not a positive number of ordinary size"));
    }
    if spec.zero_point[e] != 0.0 {
        return Err("a zero point other than 0 cannot be expressed in hls4ml".into());
    }
    Ok(step)
}

/// True for exact powers of two.
pub fn power_of_two(v: f64) -> bool {
    v > 0.0 && v.to_bits() & ((1 << 52) - 1) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(scale: f64, bits: f64, signed: bool, rounding: RoundingMode) -> QuantSpec {
        QuantSpec {
            node: "q".into(),
            scale: vec![scale],
            zero_point: vec![0.0],
            bits: vec![bits],
            bits_per_element: false,
            signed,
            narrow: false,
            rounding,
            bipolar: false,
        }
    }

    #[test]
    fn power_of_two_scales_are_exact() {
        let a = activation(&spec(0.0625, 6.0, false, RoundingMode::HalfEven), true).unwrap();
        assert_eq!((a.formats[0], a.exact, a.rounding), (Kif::new(false, 2, 4), true, Rounding::HalfEven));
        let a = activation(&spec(4.0, 6.0, true, RoundingMode::Floor), false).unwrap();
        assert_eq!(a.formats[0], Kif::new(true, 7, -2));
    }

    #[test]
    fn other_scales_get_a_finer_grid_that_covers_the_range() {
        let a = activation(&spec(0.153, 4.0, false, RoundingMode::HalfEven), true).unwrap();
        assert!(!a.exact);
        assert_eq!(a.formats[0], Kif::new(false, 2, 3));
    }

    #[test]
    fn modes_without_an_expression_are_refused() {
        for mode in [RoundingMode::Up, RoundingMode::Down, RoundingMode::HalfDown] {
            assert!(activation(&spec(0.5, 4.0, true, mode), false).is_err());
            assert!(activation(&spec(0.5, 4.0, false, mode), false).is_ok());
        }
        assert!(activation(&spec(0.5, 1.0, true, RoundingMode::Floor), false).is_err());
    }
}
