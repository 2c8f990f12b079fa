//! Rounding, overflow and casts against inequalities between integers: the definitions of
//! docs/hgq-spec.md#a5 with the fraction multiplied out, so that nothing is shifted or divided
//! here.

use super::{CASES, cases};
use hgq_onnx::ops::shl;
use hgq_onnx::quant::rounding::cast;
use hgq_onnx::quant::{Kif, Overflow, Rounding};
use proptest::prelude::*;

const ROUNDINGS: [Rounding; 5] = [Rounding::HalfUp, Rounding::HalfEven, Rounding::Floor, Rounding::Ceil, Rounding::HalfDown];
const OVERFLOWS: [Overflow; 3] = [Overflow::Sat, Overflow::SatSym, Overflow::Wrap];

/// Numbers of all sizes up to 60 bits, and every third one exactly between two steps of `2^drop`,
/// or beside that.
fn dropped() -> impl Strategy<Value = (i128, i32)> {
    let anything = (any::<i64>(), 4u32..64, 0i32..66).prop_map(|(v, shift, drop)| (i128::from(v >> shift), drop));
    let tie = (-64i128..64, 1i32..50, -1i128..=1).prop_map(|(n, drop, beside)| (((2 * n + 1) << (drop - 1)) + beside, drop));
    prop_oneof![2 => anything, 1 => tie]
}

fn formats() -> impl Strategy<Value = Kif> {
    (any::<bool>(), 0i32..40, -20i32..20).prop_map(|(k, n, f)| Kif::new(k, n - f, f))
}

/// Whether `r` is the rounded value of `v/2^drop`, `drop ≥ 0`.
fn is_rounded(mode: Rounding, r: i128, v: i128, drop: i32) -> bool {
    let unit = 1i128 << drop;
    // of 2·v/unit: how far it is after 2·r
    let rest = 2 * v - 2 * r * unit;
    match mode {
        Rounding::Floor => 0 <= rest && rest < 2 * unit,
        Rounding::Ceil => -2 * unit < rest && rest <= 0,
        Rounding::HalfUp => -unit <= rest && rest < unit,
        Rounding::HalfDown => -unit < rest && rest <= unit,
        Rounding::HalfEven => -unit < rest && rest < unit || (rest.abs() == unit && r % 2 == 0),
    }
}

/// The range of a format in units of its LSB.
fn range(format: Kif, overflow: Overflow) -> (i128, i128) {
    let n = format.integer + format.fractional;
    if n < 0 || (n == 0 && !format.keep_negative) {
        return (0, 0);
    }
    let top = (1i128 << n) - 1;
    match (format.keep_negative, overflow) {
        (false, _) => (0, top),
        (true, Overflow::SatSym) => (-top, top),
        (true, Overflow::Sat | Overflow::Wrap) => (-top - 1, top),
    }
}

/// Whether `r` is what overflow makes of `v`.
fn is_brought_in(overflow: Overflow, r: i128, v: i128, format: Kif) -> bool {
    let (lo, hi) = range(format, overflow);
    let inside = lo <= r && r <= hi;
    match overflow {
        Overflow::Wrap => inside && (r - v) % (hi - lo + 1) == 0,
        Overflow::Sat | Overflow::SatSym if v < lo => r == lo,
        Overflow::Sat | Overflow::SatSym if v > hi => r == hi,
        Overflow::Sat | Overflow::SatSym => r == v,
    }
}

proptest! {
    #![proptest_config(cases(CASES))]

    #[test]
    fn a_shift_rounds_as_its_mode_is_defined((v, drop) in dropped()) {
        for mode in ROUNDINGS {
            let r = mode.shift(v, drop);
            prop_assert!(is_rounded(mode, r, v, drop), "{:?} of {} / 2^{} is {}", mode, v, drop, r);
        }
    }

    #[test]
    fn a_float_is_rounded_as_an_integer_is(v in -(1i64 << 40)..1 << 40, drop in 0i32..48) {
        let exact = v as f64 / (1u64 << drop) as f64;
        for mode in ROUNDINGS {
            prop_assert_eq!(mode.apply(exact) as i128, mode.shift(v.into(), drop), "{:?} of {}", mode, exact);
        }
    }

    #[test]
    fn beyond_all_its_bits_the_sign_alone_decides(v in any::<i64>(), drop in 70i32..400) {
        let v = i128::from(v);
        for mode in ROUNDINGS {
            let want = match mode {
                Rounding::Floor => -i128::from(v < 0),
                Rounding::Ceil => i128::from(v > 0),
                Rounding::HalfUp | Rounding::HalfEven | Rounding::HalfDown => 0,
            };
            prop_assert_eq!(mode.shift(v, drop), want, "{:?}", mode);
        }
    }

    #[test]
    fn overflow_clips_or_wraps_into_the_range(v in any::<i64>(), shift in 0u32..62, format in formats()) {
        let v = i128::from(v >> shift);
        for overflow in OVERFLOWS {
            let r = overflow.apply(v, format);
            prop_assert!(is_brought_in(overflow, r, v, format), "{:?} of {} is {}", overflow, v, r);
        }
    }

    #[test]
    fn a_cast_rounds_and_then_overflows((v, drop) in dropped(), format in formats()) {
        for (mode, overflow) in ROUNDINGS.into_iter().flat_map(|r| OVERFLOWS.map(|o| (r, o))) {
            let r = cast(v, format.fractional + drop, format, mode, overflow);
            // the rounded value is one of two neighbours
            let below = v.div_euclid(1 << drop);
            let found = [below, below + 1].into_iter().find(|&w| is_rounded(mode, w, v, drop)).expect("a neighbour");
            prop_assert!(is_brought_in(overflow, r, found, format), "{:?} {:?} gives {}", mode, overflow, r);
        }
    }

    #[test]
    fn a_cast_to_a_finer_grid_keeps_the_value(v in any::<i32>(), finer in 0i32..200, format in formats()) {
        let v = i128::from(v);
        for (mode, overflow) in ROUNDINGS.into_iter().flat_map(|r| OVERFLOWS.map(|o| (r, o))) {
            let r = cast(v, format.fractional - finer, format, mode, overflow);
            // formats have at most 40 bits: with 80 zero bits nothing but the sign is left
            let scaled = v << finer.min(80);
            prop_assert!(is_brought_in(overflow, r, scaled, format), "{:?} {:?} gives {}", mode, overflow, r);
        }
    }

    #[test]
    fn a_shift_to_the_left_is_exact_or_refused(v in any::<i128>(), shift in 0u32..127, by in -10i32..140) {
        let v = v >> shift;
        let fits = |r: i128| r.unsigned_abs() < 1 << 126;
        let product = (0..127).contains(&by).then(|| v.checked_mul(1 << by)).flatten().filter(|&r| fits(r));
        prop_assert_eq!(shl(v, by), if v == 0 { Some(0) } else { product });
    }
}
