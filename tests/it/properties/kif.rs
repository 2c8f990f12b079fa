//! Formats against their definition (docs/hgq-spec.md#notation): `[-k·2^i, 2^i − 2^-f]` in steps of
//! `2^-f`.

use super::{CASES, cases};
use hgq_onnx::quant::Kif;
use hgq_onnx::quant::kif::{ceil_log2, exp2i, floor_log2};
use proptest::prelude::*;

/// Formats of up to 60 bits, those without any bits included.
fn formats() -> impl Strategy<Value = Kif> {
    (any::<bool>(), -30i32..30, -30i32..30).prop_map(|(k, i, f)| Kif::new(k, i, f))
}

/// Whether `v·2^-f` is in the range of a format of that LSB, all in units of it.
fn holds(format: Kif, v: i128) -> bool {
    let (k, n) = (i128::from(format.keep_negative), format.integer + format.fractional);
    if n < 0 || (n == 0 && k == 0) {
        return v == 0;
    }
    (-k << n..=(1 << n) - 1).contains(&v)
}

/// Whether all that `small` represents `large` represents, too.
fn contains(large: Kif, small: Kif) -> bool {
    if small.is_zero() {
        return true;
    }
    let finer = large.fractional - small.fractional;
    finer >= 0 && [small.min_int(), small.max_int()].iter().all(|&v| holds(large, i128::from(v) << finer))
}

proptest! {
    #![proptest_config(cases(CASES))]

    #[test]
    fn a_format_has_two_to_the_power_of_its_bits_values(format in formats()) {
        let (lo, hi) = (i128::from(format.min_int()), i128::from(format.max_int()));
        if format.is_zero() {
            prop_assert_eq!((lo, hi), (0, 0));
        } else {
            prop_assert_eq!(hi - lo + 1, 1i128 << format.bits());
            prop_assert!(holds(format, lo) && holds(format, hi));
            prop_assert!(!holds(format, lo - 1) && !holds(format, hi + 1));
        }
    }

    #[test]
    fn a_union_contains_both_and_is_the_narrowest(a in formats(), b in formats()) {
        let union = a.union(b);
        prop_assert!(contains(union, a) && contains(union, b), "{:?}", union);
        prop_assert_eq!(union, if a.is_zero() && b.is_zero() { union } else { b.union(a) });
        if union.is_zero() {
            return Ok(());
        }
        let narrower = [
            union.keep_negative.then(|| Kif::new(false, union.integer, union.fractional)),
            Some(Kif::new(union.keep_negative, union.integer - 1, union.fractional)),
            Some(Kif::new(union.keep_negative, union.integer, union.fractional - 1)),
        ];
        for format in narrower.into_iter().flatten() {
            prop_assert!(!(contains(format, a) && contains(format, b)), "{:?} would do for {:?}", format, union);
        }
    }

    #[test]
    fn a_covering_format_holds_the_range_and_is_the_narrowest(
        (from, to, shift) in (any::<i64>(), any::<i64>(), 0u32..62),
        fractional in -40i32..40,
    ) {
        let (a, b) = (i128::from(from >> shift), i128::from(to >> shift));
        let (lo, hi) = (a.min(b), a.max(b));
        let format = Kif::covering(lo, hi, fractional);
        let both = |format| holds(format, lo) && holds(format, hi);
        prop_assert!(both(format), "{:?}", format);
        if (lo, hi) == (0, 0) {
            prop_assert!(format.is_zero());
            return Ok(());
        }
        prop_assert_eq!(format.fractional, fractional);
        prop_assert!(!both(Kif { integer: format.integer - 1, ..format }), "{:?}", format);
        prop_assert!(!(format.keep_negative && both(Kif { keep_negative: false, ..format })), "{:?}", format);
    }

    #[test]
    fn logarithms_are_the_powers_of_two_around_a_number(mantissa in 1.0f64..2.0, exponent in -1000i32..1000) {
        let x = mantissa * exp2i(exponent);
        let (floor, ceil) = (floor_log2(x), ceil_log2(x));
        prop_assert!(exp2i(floor) <= x && x < exp2i(floor + 1));
        prop_assert!(exp2i(ceil - 1) < x && x <= exp2i(ceil));
    }
}
