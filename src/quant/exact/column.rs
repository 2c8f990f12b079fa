//! One element of a node over any number of samples in f64: what [`super::real`] does block by block and [`super::variants`] only where
//! something changed. Exact while every sum fits 52 bits.

use crate::quant::kif::{Kif, exp2i};
use crate::quant::model::{FixedOp, FixedQuantizer};
use crate::quant::{Overflow, Rounding, table};

/// Element `e` of an element-wise operation of `x` and, for merges, `second`.
pub(super) fn elementwise(op: &FixedOp, e: usize, x: &[f64], second: &[f64], to: &mut [f64]) {
    match op {
        FixedOp::Quantize(q) => quantize(q, q.formats.get(e).copied().unwrap_or(Kif::ZERO), x, to),
        FixedOp::Merge(m) => to.iter_mut().zip(x.iter().zip(second)).for_each(|(to, (&a, &b))| *to = m.apply(a, b)),
        FixedOp::Affine(a) => {
            let (scale, shift) = (a.scale.value(e), a.shift.value(e));
            to.iter_mut().zip(x).for_each(|(to, &v)| *to = v * scale + shift);
        }
        FixedOp::Relu => to.iter_mut().zip(x).for_each(|(to, &v)| *to = if v > 0.0 { v } else { 0.0 }),
        FixedOp::LeakyRelu { log2_slope } => {
            let slope = exp2i(*log2_slope);
            to.iter_mut().zip(x).for_each(|(to, &v)| *to = if v > 0.0 { v } else { v * slope });
        }
        FixedOp::Sigmoid => to.iter_mut().zip(x).for_each(|(to, &v)| *to = lookup(table::Kind::Sigmoid, v)),
        FixedOp::Tanh => to.iter_mut().zip(x).for_each(|(to, &v)| *to = lookup(table::Kind::Tanh, v)),
        _ => to.copy_from_slice(x),
    }
}

/// The maximum or the mean of the elements under a window.
pub(super) fn pooled<'a>(op: &FixedOp, mut under: impl Iterator<Item = &'a [f64]>, to: &mut [f64]) {
    match op {
        FixedOp::AveragePool(a) => {
            let reciprocal = a.reciprocal.value(0);
            to.fill(0.0);
            for x in under {
                to.iter_mut().zip(x).for_each(|(t, &v)| *t += v);
            }
            to.iter_mut().for_each(|t| *t *= reciprocal);
        }
        _ => {
            match under.next() {
                Some(x) => to.copy_from_slice(x),
                None => to.fill(0.0),
            }
            for x in under {
                to.iter_mut().zip(x).for_each(|(t, &v)| *t = t.max(v));
            }
        }
    }
}

/// A cast; `x` may be off every grid.
pub(super) fn quantize(q: &FixedQuantizer, format: Kif, x: &[f64], to: &mut [f64]) {
    if format.is_zero() {
        return to.fill(0.0);
    }
    let (up, down) = (exp2i(format.fractional), exp2i(-format.fractional));
    let (lo, hi) = q.overflow.bounds(format);
    let (lo, hi) = (lo as f64, hi as f64);
    if q.overflow == Overflow::Wrap || lo < -EXACT || hi > EXACT {
        for (to, &v) in to.iter_mut().zip(x) {
            let r = q.rounding.apply(v * up);
            *to = down * if q.overflow == Overflow::Wrap { wrap(r, lo, hi) } else { r.clamp(lo, hi) };
        }
        return;
    }
    // bounds are integers and rounding is monotonic, so it may come behind the clamp; without calls and panics the loops are vectorised
    // comparisons as the processor has them: those of f64 treat what is no number, too
    let within = move |v: f64| {
        let v = if v > lo { v } else { lo };
        if v < hi { v } else { hi }
    };
    match q.rounding {
        Rounding::HalfUp => each(x, to, move |v| down * floor(within(v * up) + 0.5)),
        Rounding::Floor => each(x, to, move |v| down * floor(within(v * up))),
        other => each(x, to, move |v| down * other.apply(within(v * up))),
    }
}

fn each(x: &[f64], to: &mut [f64], of: impl Fn(f64) -> f64) {
    to.iter_mut().zip(x).for_each(|(to, &v)| *to = of(v));
}

/// Up to here `floor` is right: half of what an f64 holds exactly.
const EXACT: f64 = (1u64 << 50) as f64;

/// The largest integer that is not above `v`, for |v| ≤ 2^51: adding 1.5·2^52 leaves no bits behind the point.
fn floor(v: f64) -> f64 {
    const SHIFT: f64 = 1.5 * (1u64 << 52) as f64;
    let nearest = (v + SHIFT) - SHIFT;
    if nearest > v { nearest - 1.0 } else { nearest }
}

fn wrap(v: f64, lo: f64, hi: f64) -> f64 {
    (v - lo).rem_euclid(hi - lo + 1.0) + lo
}

/// The finest grid a table input can have; values are multiples of it.
fn lookup(kind: table::Kind, v: f64) -> f64 {
    let frac = kind.max_input_frac();
    let int = (v * exp2i(frac)).clamp(-1e15, 1e15) as i64;
    table::lookup(kind, int, frac) as f64 * exp2i(-table::OUTPUT_FRAC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn casts_without_calls_equal_the_definition() {
        let values: Vec<f64> =
            (-70..70).map(|n| f64::from(n) / 16.0).chain([1e300, -1e300, 0.49999999999999994, 1e-320]).collect();
        for rounding in [Rounding::HalfUp, Rounding::HalfEven, Rounding::Floor, Rounding::Ceil, Rounding::HalfDown] {
            for overflow in [Overflow::Sat, Overflow::SatSym, Overflow::Wrap] {
                // the last one is beyond what the short way can hold
                for format in [Kif::new(true, 2, 1), Kif::new(false, 1, 2), Kif::new(true, 3, -1), Kif::new(true, 40, 20)] {
                    let x: Vec<f64> = if overflow == Overflow::Wrap { values[..140].to_vec() } else { values.clone() };
                    let q = FixedQuantizer { formats: vec![format], rounding, overflow };
                    let mut found = vec![0.0; x.len()];
                    quantize(&q, format, &x, &mut found);
                    let (lo, hi) = overflow.bounds(format);
                    for (&v, found) in x.iter().zip(found) {
                        let r = rounding.apply(v * exp2i(format.fractional));
                        let r = if overflow == Overflow::Wrap {
                            wrap(r, lo as f64, hi as f64)
                        } else {
                            r.clamp(lo as f64, hi as f64)
                        };
                        assert_eq!(found, r * exp2i(-format.fractional), "{rounding:?} {overflow:?} {format:?} {v}");
                    }
                }
            }
        }
    }
}
