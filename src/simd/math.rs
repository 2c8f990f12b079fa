//! Exponential and logarithm in f64 as straight lines of code: loops over them are compiled into
//! instructions for many numbers at once. Nothing is fused: all instruction sets give the same
//! bits.

use super::Number;
use std::f64::consts::{LOG2_E, SQRT_2};

/// ln 2 in two parts; the first has zeros enough at its end for products with exponents to be
/// exact.
const LN2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
/// `1/n!` from n = 13 down: what is left out of the series is below 2^-57 for arguments up to ln 2
/// / 2.
const FACTORIALS: [f64; 14] = [
    1.0 / 6_227_020_800.0,
    1.0 / 479_001_600.0,
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5_040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    0.5,
    1.0,
    1.0,
];
/// Terms of the series of artanh: what is left out is below 2^-56.
const ARTANH: i32 = 10;
/// Bits of the mantissa.
const MANTISSA: u32 = 52;

/// `e^x` for `x ≤ 0`, to a few units of the last place; what is below the least ordinary number
/// becomes about that.
#[inline(always)]
pub fn exp(x: f64) -> f64 {
    let x = if x > -708.0 { x } else { -708.0 };
    // an integer in the lowest bits
    let shifted = x * LOG2_E + f64::SHIFT;
    let k = shifted - f64::SHIFT;
    let r = (x - k * LN2_HIGH) - k * LN2_LOW;
    let mut p = FACTORIALS[0];
    for f in &FACTORIALS[1..] {
        p = p * r + f;
    }
    f64::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << MANTISSA))
}

/// `ln x` for ordinary positive numbers, to a few units of the last place, or 1e-16 near 1.
#[inline(always)]
pub fn ln(x: f64) -> f64 {
    // x = 2^k·m with m between √½ and √2
    let k = (x.to_bits() as i64 - (0.5 * SQRT_2).to_bits() as i64) >> MANTISSA;
    let m = f64::from_bits(x.to_bits().wrapping_sub((k << MANTISSA) as u64));
    let k = f64::from_bits(f64::SHIFT.to_bits().wrapping_add(k as u64)) - f64::SHIFT;
    let f = (m - 1.0) / (m + 1.0);
    let square = f * f;
    let mut p = 0.0;
    for n in (0..ARTANH).rev() {
        p = p * square + 1.0 / f64::from(2 * n + 1);
    }
    k * LN2_HIGH + (k * LN2_LOW + 2.0 * f * p)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_the_standard_library_to_the_last_places() {
        let near = |found: f64, want: f64, floor: f64| (found - want).abs() <= 4.0 * f64::EPSILON * want.abs().max(floor);
        for n in 0..200_000 {
            let x = f64::from(n) * -0.003_54;
            assert!(near(exp(x), x.exp(), 0.0), "e^{x}");
            let x = f64::from(n).mul_add(0.000_37, 1e-9);
            assert!(near(ln(x), x.ln(), 0.25), "ln {x}");
            let x = x * 1e-150f64.powi(n % 3 - 1);
            assert!(near(ln(x), x.ln(), 0.25), "ln {x}");
        }
        assert_eq!((exp(0.0), ln(1.0)), (1.0, 0.0));
        assert!(exp(f64::NEG_INFINITY) < 1e-300 && exp(f64::NEG_INFINITY) > 0.0);
    }
}
