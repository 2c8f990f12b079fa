//! One element of a node over any number of samples: what [`super::real`] does block by block and
//! [`super::variants`] only where something changed. Exact while every sum fits the mantissa of the
//! numbers. All is inlined into what [`crate::simd::dispatch`] runs.

use crate::ops::Elementwise;
use crate::quant::kif::{Kif, exp2i};
use crate::quant::model::{FixedOp, FixedQuantizer};
use crate::quant::{Overflow, Rounding};
use crate::simd::Number;

/// Element `e` of an element-wise operation of `x` and, for merges, `second`.
#[inline(always)]
pub(super) fn elementwise<T: Number>(op: &FixedOp, e: usize, x: &[T], second: &[T], to: &mut [T]) {
    match op {
        FixedOp::Quantize(q) => {
            let format = q.formats.get(e).copied().unwrap_or(Kif::ZERO);
            match &q.offset {
                Some(offset) if offset.ints[e] != 0 => shifted(q, format, (offset.ints[e], offset.frac), x, to),
                Some(_) | None => quantize(q, format, x, to),
            }
        }
        FixedOp::Merge(m) => {
            to.iter_mut().zip(x.iter().zip(second)).for_each(|(to, (&a, &b))| *to = T::of(m.apply(a.to_f64(), b.to_f64())));
        }
        FixedOp::Affine(a) => {
            let (scale, shift) = (a.scale.value(e), a.shift.value(e));
            each(x, to, |v| T::of(v.to_f64() * scale + shift));
        }
        FixedOp::Elementwise(Elementwise::Relu) => each(x, to, |v| if v > T::ZERO { v } else { T::ZERO }),
        FixedOp::Elementwise(f) => each(x, to, |v| T::of(f.exact_real(v.to_f64()))),
        // computed by other programs
        FixedOp::Dense(_) | FixedOp::MaxPool(_) | FixedOp::AveragePool(_) | FixedOp::Move(_) => to.copy_from_slice(x),
    }
}

/// The maximum or the mean of the elements under a window.
#[inline(always)]
pub(super) fn pooled<'a, T: Number + 'a>(op: &FixedOp, mut under: impl Iterator<Item = &'a [T]>, to: &mut [T]) {
    if let FixedOp::AveragePool(a) = op {
        let reciprocal = a.reciprocal.value(0);
        to.fill(T::ZERO);
        for x in under {
            to.iter_mut().zip(x).for_each(|(t, &v)| *t += v);
        }
        to.iter_mut().for_each(|t| *t = T::of(t.to_f64() * reciprocal));
        return;
    }
    match under.next() {
        Some(x) => to.copy_from_slice(x),
        None => to.fill(T::ZERO),
    }
    for x in under {
        to.iter_mut().zip(x).for_each(|(t, &v)| *t = if v > *t { v } else { *t });
    }
}

/// A cast; `x` may be off every grid.
#[inline(always)]
pub(super) fn quantize<T: Number>(q: &FixedQuantizer, format: Kif, x: &[T], to: &mut [T]) {
    if format.is_zero() {
        return to.fill(T::ZERO);
    }
    let (up, down) = (exp2i(format.fractional), exp2i(-format.fractional));
    let (lo, hi) = q.overflow.bounds(format);
    let (lo, hi) = (lo as f64, hi as f64);
    // up to here `floor` is right
    let exact = T::SHIFT.to_f64() / 6.0;
    if q.overflow == Overflow::Wrap || lo < -exact || hi > exact {
        let of = |r: f64| down * if q.overflow == Overflow::Wrap { wrap(r, lo, hi) } else { r.clamp(lo, hi) };
        return each(x, to, |v| T::of(of(q.rounding.apply(v.to_f64() * up))));
    }
    let (up, down, lo, hi) = (T::of(up), T::of(down), T::of(lo), T::of(hi));
    let (half, one) = (T::of(0.5), T::of(1.0));
    // bounds are integers and rounding is monotonic, so it may come after the clamp; without calls
    // and panics the loops are vectorised comparisons as the processor has them: those of the
    // standard library treat what is not a number, too
    let within = move |v: T| {
        let v = if v > lo { v } else { lo };
        if v < hi { v } else { hi }
    };
    match q.rounding {
        // the difference is exact where it is below a half
        Rounding::HalfUp => each(x, to, move |v| {
            let v = within(v * up);
            let below = floor(v);
            down * if v - below >= half { below + one } else { below }
        }),
        Rounding::Floor => each(x, to, move |v| down * floor(within(v * up))),
        other => each(x, to, move |v| down * T::of(other.apply(within(v * up).to_f64()))),
    }
}

/// A cast of `x − ints·2^-frac`. Half up and down are the same for `x` rounded down to a grid that
/// is finer than half a step, and there all are integers.
#[inline(always)]
fn shifted<T: Number>(q: &FixedQuantizer, format: Kif, (ints, frac): (i64, i32), x: &[T], to: &mut [T]) {
    if format.is_zero() {
        return to.fill(T::ZERO);
    }
    let grid = frac.max(format.fractional + 1);
    let offset = ints as f64 * exp2i(grid - frac);
    let (up, to_format, down) = (exp2i(grid), exp2i(format.fractional - grid), exp2i(-format.fractional));
    let (lo, hi) = q.overflow.bounds(format);
    let of = |v: f64| q.rounding.apply(((v * up).floor() - offset) * to_format).clamp(lo as f64, hi as f64) * down;
    each(x, to, |v| T::of(of(v.to_f64())));
}

#[inline(always)]
fn each<T: Copy>(x: &[T], to: &mut [T], of: impl Fn(T) -> T) {
    to.iter_mut().zip(x).for_each(|(to, &v)| *to = of(v));
}

/// The largest integer that is not above `v`, for what is below a quarter of [`Number::SHIFT`].
#[inline(always)]
fn floor<T: Number>(v: T) -> T {
    let nearest = (v + T::SHIFT) - T::SHIFT;
    if nearest > v { nearest - T::of(1.0) } else { nearest }
}

fn wrap(v: f64, lo: f64, hi: f64) -> f64 {
    (v - lo).rem_euclid(hi - lo + 1.0) + lo
}

#[cfg(test)]
mod tests {
    use super::*;

    fn casts<T: Number>(values: &[T], formats: &[Kif]) {
        for rounding in [Rounding::HalfUp, Rounding::HalfEven, Rounding::Floor, Rounding::Ceil, Rounding::HalfDown] {
            for overflow in [Overflow::Sat, Overflow::SatSym, Overflow::Wrap] {
                for &format in formats {
                    // those after it are too large to be wrapped
                    let x = if overflow == Overflow::Wrap { &values[..140] } else { values };
                    let q = FixedQuantizer::new(vec![format], rounding, overflow);
                    let mut found = vec![T::ZERO; x.len()];
                    quantize(&q, format, x, &mut found);
                    let (lo, hi) = overflow.bounds(format);
                    for (v, found) in x.iter().map(|v| v.to_f64()).zip(found) {
                        let r = rounding.apply(v * exp2i(format.fractional));
                        let r = if overflow == Overflow::Wrap {
                            wrap(r, lo as f64, hi as f64)
                        } else {
                            r.clamp(lo as f64, hi as f64)
                        };
                        assert_eq!(found.to_f64(), r * exp2i(-format.fractional), "{rounding:?} {overflow:?} {format:?} {v}");
                    }
                }
            }
        }
    }

    #[test]
    fn casts_without_calls_equal_the_definition() {
        // the last one is beyond what the short way can hold
        let formats = [Kif::new(true, 2, 1), Kif::new(false, 1, 2), Kif::new(true, 3, -1)];
        let grid = || (-70..70).map(|n| f64::from(n) / 16.0);
        let doubles: Vec<f64> =
            grid().chain([1e300, -1e300, 0.49999999999999994, 1e-320, -1e-320, -0.49999999999999994]).collect();
        casts(&doubles, &[&formats[..], &[Kif::new(true, 40, 20)]].concat());
        let near = [0.499_999_97f32, -0.499_999_97, 0.500_000_06, -0.500_000_06, 0.249_999_99, -0.75, 1e30, -1e30, 1e-30, -1e-30];
        let floats: Vec<f32> = grid().map(|v| v as f32).chain(near).collect();
        casts(&floats, &[&formats[..], &[Kif::new(true, 20, 3)]].concat());
    }
}
