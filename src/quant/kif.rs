//! `Kif`: a fixed-point format (k, i, f), docs/hgq-spec.md#notation: LSB `2^-f`, range
//! `[-k·2^i, 2^i − 2^-f]`.

/// A fixed-point format. `integer` excludes the sign; both counts may be negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kif {
    pub keep_negative: bool,
    pub integer: i32,
    pub fractional: i32,
}

impl Kif {
    /// The format of a constant 0.
    pub const ZERO: Kif = Kif { keep_negative: false, integer: 0, fractional: 0 };

    pub fn new(keep_negative: bool, integer: i32, fractional: i32) -> Self {
        Kif { keep_negative, integer, fractional }
    }

    /// Total width `k + i + f`; never negative.
    pub fn bits(&self) -> u32 {
        (self.keep_negative as i32 + self.integer + self.fractional).max(0) as u32
    }

    /// True when only 0 can be represented (`k + i + f ≤ 0`).
    pub fn is_zero(&self) -> bool {
        self.bits() == 0
    }

    /// Largest integer, in units of the LSB.
    pub fn max_int(&self) -> i64 {
        if self.is_zero() { 0 } else { (1i64 << (self.integer + self.fractional).clamp(0, 62)) - 1 }
    }

    /// Smallest integer of the two's complement range, in units of the LSB.
    pub fn min_int(&self) -> i64 {
        if self.keep_negative && !self.is_zero() { -(1i64 << (self.integer + self.fractional).clamp(0, 62)) } else { 0 }
    }

    /// The narrowest format that holds every value of both; zero formats add nothing.
    pub fn union(self, other: Kif) -> Kif {
        if self.is_zero() {
            other
        } else if other.is_zero() {
            self
        } else {
            Kif {
                keep_negative: self.keep_negative | other.keep_negative,
                integer: self.integer.max(other.integer),
                fractional: self.fractional.max(other.fractional),
            }
        }
    }

    /// The narrowest format that holds the integers `[lo, hi]` in units of `2^-fractional`.
    pub fn covering(lo: i128, hi: i128, fractional: i32) -> Kif {
        if lo == 0 && hi == 0 {
            return Kif::ZERO;
        }
        let above = 128 - hi.max(0).leading_zeros() as i32;
        let below = if lo < 0 { 128 - (-(lo + 1)).leading_zeros() as i32 } else { 0 };
        Kif { keep_negative: lo < 0, integer: above.max(below) - fractional, fractional }
    }
}

/// Exact `2^e` as f64, `|e| ≤ 1022`.
pub fn exp2i(e: i32) -> f64 {
    f64::from_bits(((e.clamp(-1022, 1023) + 1023) as u64) << 52)
}

/// A latent width as it is used: round half to even. Exact formats stay within what an f64 can
/// scale by.
pub fn rhe(v: f32) -> i32 {
    v.round_ties_even().clamp(-126.0, 126.0) as i32
}

/// `⌊log2 x⌋` of a positive normal number, exact.
pub fn floor_log2(x: f64) -> i32 {
    ((x.to_bits() >> 52) & 0x7ff) as i32 - 1023
}

/// `⌈log2 x⌉` of a positive normal number, exact.
pub fn ceil_log2(x: f64) -> i32 {
    floor_log2(x) + (x.to_bits() & ((1 << 52) - 1) != 0) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_follow_the_definition() {
        let q = Kif::new(true, 2, 3);
        assert_eq!((q.bits(), q.min_int(), q.max_int()), (6, -32, 31));
        let q = Kif::new(false, -1, 3);
        assert_eq!((q.bits(), q.min_int(), q.max_int()), (2, 0, 3));
        assert!(Kif::new(false, -3, 3).is_zero() && Kif::new(true, -5, 3).is_zero());
    }

    #[test]
    fn covering_is_minimal() {
        assert_eq!(Kif::covering(-4, 3, 0), Kif::new(true, 2, 0));
        assert_eq!(Kif::covering(-5, 3, 0), Kif::new(true, 3, 0));
        assert_eq!(Kif::covering(0, 4, 1), Kif::new(false, 2, 1));
        assert_eq!(Kif::covering(0, 0, 7), Kif::ZERO);
        assert_eq!(Kif::covering(-1, 0, 2), Kif::new(true, -2, 2));
    }

    #[test]
    fn logarithms_are_exact() {
        assert_eq!((floor_log2(0.75), ceil_log2(0.75), floor_log2(4.0), ceil_log2(4.0), ceil_log2(4.0000001)), (-1, 0, 2, 2, 3));
        assert_eq!(exp2i(-5), 0.03125);
    }
}
