//! One node on a block of samples in 128-bit integers, for models whose sums leave f64. Values are
//! integers on the grids of the bounds.

use super::program::{Layer, Program};
use super::real;
use crate::ops::Merge;
use crate::quant::interval::Bounds;
use crate::quant::kif::exp2i;
use crate::quant::model::{FixedDense, FixedOp, FixedTensor};
use crate::simd::Number;

/// An operand: its bounds, its integers, and its floats where it has no grid yet.
pub(super) struct Operand<'a, T> {
    pub bounds: Option<&'a Bounds>,
    pub ints: Option<&'a [i128]>,
    pub real: &'a [T],
}

/// `v·2^(to − from)`; on a coarser grid only what fits it.
fn lift(v: i128, from: i32, to: i32) -> i128 {
    if to < from { v >> (from - to).min(127) } else { v << (to - from).min(127) }
}

pub(super) fn node<T: Number>(op: &FixedOp, program: &Program, operands: &[Operand<T>], to: &Bounds, width: usize) -> Vec<i128> {
    let Some(first) = operands.first() else { return Vec::new() };
    let (Some(x), Some(from)) = (first.ints, first.bounds) else {
        // a quantizer on a float input puts it on a grid
        let FixedOp::Quantize(q) = op else { return Vec::new() };
        let real = real::quantize(q, first.real, width);
        return real.iter().enumerate().map(|(k, &v)| (v.to_f64() * exp2i(to[k / width].frac)) as i128).collect();
    };
    let mut out = vec![0i128; to.len() * width];
    let columns = out.chunks_exact_mut(width).enumerate();
    match (op, program) {
        (FixedOp::Quantize(q), _) => columns.for_each(|(e, y)| {
            let format = q.formats[e];
            let drop = from[e].frac - format.fractional;
            y.iter_mut().zip(column(x, e, width)).for_each(|(y, &v)| *y = q.overflow.apply(q.rounding.shift(v, drop), format));
        }),
        (FixedOp::Dense(d), Program::Layer(layer)) => products(d, layer, (x, from), (to, &mut out), width),
        (FixedOp::AveragePool(a), Program::Average(taps, channels)) => columns.for_each(|(at, y)| {
            let reciprocal = i128::from(a.reciprocal.ints[0]);
            for e in taps.under(at / channels, at % channels) {
                let w = lift(reciprocal, a.reciprocal.frac + from[e].frac, to[at].frac);
                y.iter_mut().zip(column(x, e, width)).for_each(|(y, v)| *y += w * v);
            }
        }),
        (FixedOp::MaxPool(_), Program::Pool(taps, channels)) => columns.for_each(|(at, y)| {
            let mut first = true;
            for e in taps.under(at / channels, at % channels) {
                for (y, &v) in y.iter_mut().zip(column(x, e, width)) {
                    let v = lift(v, from[e].frac, to[at].frac);
                    *y = if first { v } else { v.max(*y) };
                }
                first = false;
            }
        }),
        (FixedOp::Move(_), Program::Move(map)) => columns.zip(map).for_each(|((_, y), from)| {
            if let Some(x) = from.and_then(|(which, e)| Some(column(operands.get(which as usize)?.ints?, e as usize, width))) {
                y.copy_from_slice(x);
            }
        }),
        (FixedOp::Merge(m), _) => {
            let Some((second, other)) = operands.get(1).and_then(|o| o.ints.zip(o.bounds)) else { return out };
            merge(*m, (x, from), (second, other), (to, &mut out), width);
        }
        (FixedOp::Affine(a), _) => columns.for_each(|(e, y)| {
            let constant = |t: &FixedTensor, grid: i32| lift(t.ints[e].into(), t.frac + grid, to[e].frac);
            let (scale, shift) = (constant(&a.scale, from[e].frac), constant(&a.shift, 0));
            y.iter_mut().zip(column(x, e, width)).for_each(|(y, &v)| *y = v * scale + shift);
        }),
        (FixedOp::Elementwise(f), _) => columns.for_each(|(e, y)| {
            // bounds say that every result fits
            y.iter_mut().zip(column(x, e, width)).for_each(|(y, &v)| *y = f.exact(v, from[e].frac).unwrap_or_default());
        }),
        // programs are made of their operations
        (FixedOp::Dense(_) | FixedOp::AveragePool(_) | FixedOp::MaxPool(_) | FixedOp::Move(_), _) => {}
    }
    out
}

/// The sums of a layer at every position, see [`Program::Layer`].
fn products(d: &FixedDense, layer: &Layer, (x, from): (&[i128], &Bounds), (to, out): (&Bounds, &mut [i128]), width: usize) {
    for (p, block) in out.chunks_exact_mut((d.outputs * width).max(1)).enumerate() {
        let frac = to[p * d.outputs].frac;
        for (o, (y, terms)) in block.chunks_exact_mut(width).zip(&layer.columns).enumerate() {
            y.fill(lift(d.bias.ints[o].into(), d.bias.frac, frac));
            for &(k, _) in terms {
                let k = k as usize;
                let Some(e) = layer.taps.element(p, k, o) else { continue };
                let w = lift(d.weight.ints[k * d.outputs + o].into(), d.weight.frac + from[e].frac, frac);
                y.iter_mut().zip(column(x, e, width)).for_each(|(a, v)| *a += w * v);
            }
        }
    }
}

/// Two operands on the grid of the result; of a product on the sum of theirs.
fn merge(
    m: Merge,
    (x, from): (&[i128], &Bounds),
    (second, other): (&[i128], &Bounds),
    (to, out): (&Bounds, &mut [i128]),
    width: usize,
) {
    for (e, y) in out.chunks_exact_mut(width).enumerate() {
        // on the grids that give the result's
        let (up, other_up) = match m {
            Merge::Add | Merge::Sub | Merge::Max | Merge::Min => (to[e].frac - from[e].frac, to[e].frac - other[e].frac),
            Merge::Mul => (0, 0),
        };
        for ((y, &a), &b) in y.iter_mut().zip(column(x, e, width)).zip(column(second, e, width)) {
            *y = m.apply(lift(a, 0, up), lift(b, 0, other_up));
        }
    }
}

fn column(x: &[i128], e: usize, width: usize) -> &[i128] {
    &x[e * width..][..width]
}
