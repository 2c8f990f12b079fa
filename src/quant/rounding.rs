//! Rounding and overflow of a fixed-point cast (docs/hgq-spec.md#a5): what the exact model computes
//! and what the proxy can express.

use super::kif::Kif;
pub use crate::ops::shl;

/// How a quantizer rounds to its grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rounding {
    /// `⌊v + ½⌋`, HGQ's `standard_round`, `AP_RND`.
    HalfUp,
    /// Nearest, ties to even, QONNX `ROUND`, `AP_RND_CONV`.
    HalfEven,
    /// `⌊v⌋`, `AP_TRN`.
    Floor,
    /// `⌈v⌉`; expressible after a producer of known grid only.
    Ceil,
    /// `⌈v − ½⌉`; expressible after a producer of known grid only.
    HalfDown,
}

/// What happens to integers outside the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Overflow {
    /// Clip to `[-k·2^i, 2^i − 2^-f]`.
    Sat,
    /// Clip to `±(2^i − 2^-f)` (QONNX `narrow`).
    SatSym,
    /// Two's complement wrap-around, `AP_WRAP`: HGQ's aggressive proxy; stock hls4ml cannot express
    /// it from ONNX.
    Wrap,
}

impl Rounding {
    /// Rounds an f64 to an integer.
    pub fn apply(self, v: f64) -> f64 {
        match self {
            Rounding::HalfUp => (v + 0.5).floor(),
            Rounding::HalfEven => v.round_ties_even(),
            Rounding::Floor => v.floor(),
            Rounding::Ceil => v.ceil(),
            Rounding::HalfDown => (v - 0.5).ceil(),
        }
    }

    /// Rounds `v·2^-drop` to an integer, without floats. `drop ≤ 0` is an exact shift to the left.
    pub fn shift(self, v: i128, drop: i32) -> i128 {
        if drop <= 0 {
            return v << (-drop).min(126);
        }
        let drop = drop.min(126) as u32;
        let (one, half) = (1i128 << drop, 1i128 << (drop - 1));
        let floor = v >> drop;
        let rest = v - (floor << drop);
        let up = match self {
            Rounding::Floor => false,
            Rounding::HalfUp => rest >= half,
            Rounding::HalfDown => rest > half,
            Rounding::HalfEven => rest > half || (rest == half && floor & 1 == 1),
            Rounding::Ceil => rest > 0,
        };
        debug_assert!(rest >= 0 && rest < one);
        floor + up as i128
    }
}

impl Overflow {
    /// Brings an integer in units of the LSB into the range of `format`.
    pub fn apply(self, v: i128, format: Kif) -> i128 {
        if format.is_zero() {
            return 0;
        }
        let (lo, hi) = self.bounds(format);
        match self {
            Overflow::Wrap => (v - lo).rem_euclid(hi - lo + 1) + lo,
            _ => v.clamp(lo, hi),
        }
    }

    /// The integer bounds of `format` under this mode.
    pub fn bounds(self, format: Kif) -> (i128, i128) {
        let (lo, hi) = (format.min_int() as i128, format.max_int() as i128);
        if self == Overflow::SatSym && format.keep_negative { (-hi, hi) } else { (lo, hi) }
    }
}

/// One exact cast of `v·2^-frac`.
pub fn cast(v: i128, frac: i32, format: Kif, rounding: Rounding, overflow: Overflow) -> i128 {
    let drop = frac - format.fractional;
    if drop >= 0 || v == 0 {
        return overflow.apply(rounding.shift(v, drop), format);
    }
    match shl(v, -drop) {
        Some(shifted) => overflow.apply(shifted, format),
        // far outside: only the sign matters (a wrap of more than 64 zero bits is 0)
        None if overflow == Overflow::Wrap => overflow.apply(0, format),
        None => overflow.apply(if v < 0 { i128::MIN / 2 } else { i128::MAX / 2 }, format),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifting_agrees_with_f64() {
        for mode in [Rounding::HalfUp, Rounding::HalfEven, Rounding::Floor, Rounding::Ceil, Rounding::HalfDown] {
            for v in -70i128..70 {
                for drop in 0..5 {
                    let want = mode.apply(v as f64 / f64::from(1 << drop)) as i128;
                    assert_eq!(mode.shift(v, drop), want, "{mode:?} {v} >> {drop}");
                }
            }
        }
    }

    #[test]
    fn overflow_modes() {
        let f = Kif::new(true, 3, 0);
        assert_eq!((Overflow::Sat.apply(-100, f), Overflow::SatSym.apply(-100, f), Overflow::Sat.apply(9, f)), (-8, -7, 7));
        assert_eq!((Overflow::Wrap.apply(8, f), Overflow::Wrap.apply(-9, f)), (-8, 7));
        assert_eq!(Overflow::Sat.apply(5, Kif::ZERO), 0);
    }
}
