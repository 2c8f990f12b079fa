//! From a traced range to an exact format (docs/hgq-spec.md#a2-2) and the widening by
//! `cover_factor` (docs/hgq-spec.md#a4-1).

use crate::quant::kif::{Kif, ceil_log2, exp2i, floor_log2};

/// Most integer bits of a traced format (clipped there: docs/hgq-spec.md#a2-2).
const MAX_INTEGER: i32 = 32;
/// Stands for `log2 0`: below every `-f`.
const NONE: i32 = -100;

/// The exact format of values in `[min, max]` on the grid `2^-f`. `relu`: negative values are
/// dropped after the quantizer.
pub fn traced(min: f64, max: f64, f: i32, relu: bool) -> Kif {
    let (k, i) = if relu {
        (false, if max > 0.0 { floor_log2(max) + 1 } else { NONE })
    } else {
        let log = |v: f64| if v > 0.0 { ceil_log2(v) } else { NONE };
        (min < 0.0, log(min.abs()).max(log((max + exp2i(-f)).abs())))
    };
    legal(Kif::new(k, i.max(-f - k as i32).min(MAX_INTEGER), f))
}

/// A trained saturating format, lowered to what the data reach. `symmetric`: the range is
/// `±(2^i − 2^-f)`.
pub fn lowered(trained: Kif, min: f64, max: f64, symmetric: bool) -> Kif {
    if symmetric && trained.integer + trained.fractional <= 0 {
        // the range of a lone sign bit without its −1
        return Kif::ZERO;
    }
    if trained.is_zero() || min > max {
        return trained;
    }
    let reached = if symmetric {
        let top = min.abs().max(max.abs());
        Kif::new(min < 0.0, if top > 0.0 { ceil_log2(top + exp2i(-trained.fractional)) } else { NONE }, trained.fractional)
    } else {
        traced(min, max, trained.fractional, false)
    };
    if min == 0.0 && max == 0.0 {
        return Kif::ZERO;
    }
    legal(Kif::new(trained.keep_negative && reached.keep_negative, trained.integer.min(reached.integer), trained.fractional))
}

/// No bits is the zero format. A lone sign bit is one: {−1, 0} steps.
pub fn legal(format: Kif) -> Kif {
    if format.is_zero() { Kif::ZERO } else { format }
}

/// `[min, max]` scaled by `cover` about its middle and rounded half up to the grid `2^-f`.
pub fn cover(min: f64, max: f64, f: i32, cover: f64) -> (f64, f64) {
    if cover == 1.0 || min > max {
        return (min, max);
    }
    let (middle, half) = ((min + max) / 2.0, (max - min) / 2.0 * cover);
    let q = |v: f64| (v * exp2i(f) + 0.5).floor() * exp2i(-f);
    (q(middle - half), q(middle + half))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negative_powers_of_two_need_no_extra_bit() {
        assert_eq!(traced(-4.0, 1.0, 2, false), Kif::new(true, 2, 2));
        assert_eq!(traced(-4.25, 1.0, 2, false), Kif::new(true, 3, 2));
        assert_eq!(traced(0.0, 4.0, 1, false), Kif::new(false, 3, 1));
        assert_eq!(traced(0.0, 3.5, 1, false), Kif::new(false, 2, 1));
        assert_eq!(traced(-1.0, 3.5, 1, true), Kif::new(false, 2, 1));
        assert_eq!(traced(-1.0, 0.0, 1, true), Kif::ZERO);
    }

    #[test]
    fn a_lone_sign_bit_is_a_format() {
        assert_eq!(traced(-0.03125, -0.03125, 5, false), Kif::new(true, -5, 5));
        assert_eq!(lowered(Kif::new(true, 3, 2), -0.25, 0.0, false), Kif::new(true, -2, 2));
        assert_eq!(lowered(Kif::new(true, -2, 2), -0.25, 0.0, true), Kif::ZERO);
        assert_eq!(traced(0.0, 0.0, 5, false), Kif::ZERO);
    }

    #[test]
    fn lowering_never_widens() {
        let q = Kif::new(true, 3, 2);
        assert_eq!(lowered(q, -100.0, 100.0, false), q);
        assert_eq!(lowered(q, 0.0, 0.75, false), Kif::new(false, 0, 2));
        assert_eq!(lowered(q, -1.0, 0.75, false), Kif::new(true, 0, 2));
        assert_eq!(lowered(q, -1.0, 0.75, true), Kif::new(true, 1, 2));
        assert_eq!(lowered(q, 0.0, 0.0, false), Kif::ZERO);
    }

    #[test]
    fn covering_scales_about_the_middle() {
        assert_eq!(cover(0.0, 4.0, 2, 1.5), (-1.0, 5.0));
        assert_eq!(cover(0.0, 4.0, 2, 1.0), (0.0, 4.0));
    }
}
