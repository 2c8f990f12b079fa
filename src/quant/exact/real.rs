//! One node on a block of samples in f32 or f64, `[element][width]`; exact while every sum fits the
//! mantissa.

use super::column;
use super::program::{Layer, Program};
use crate::quant::model::{FixedOp, FixedQuantizer};
use crate::simd::{Has, Isa, Lane, Number, Vectorized, dispatch, weighted_sum};

/// The value of a node whose operands are `x`, into `to`, whatever that held; `width` samples.
pub(super) fn node<T: Number>(isa: Isa, op: &FixedOp, program: &Program, x: &[&[T]], to: &mut [T], width: usize) {
    match program {
        Program::Layer(layer) => dispatch(isa, Products { layer, x: x.first().copied().unwrap_or(&[]), to, width }),
        Program::Plain | Program::Pool(..) | Program::Average(..) | Program::Move(_) => {
            dispatch(isa, Columns { op, program, x, to, width })
        }
    }
}

/// What is not a layer, column by column.
struct Columns<'a, T> {
    op: &'a FixedOp,
    program: &'a Program,
    x: &'a [&'a [T]],
    to: &'a mut [T],
    width: usize,
}

impl<T: Number> Vectorized for Columns<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lane>(self, _: Has<L>) {
        let Columns { op, program, x, to, width } = self;
        let first = x.first().copied().unwrap_or(&[]);
        let columns = to.chunks_exact_mut(width).enumerate();
        match program {
            Program::Pool(taps, channels) | Program::Average(taps, channels) => columns.for_each(|(at, to)| {
                column::pooled(op, taps.under(at / channels, at % channels).map(|e| column(first, e, width)), to);
            }),
            Program::Move(map) => columns.zip(map).for_each(|((_, to), from)| match *from {
                Some((which, e)) => to.copy_from_slice(column(x[which as usize], e as usize, width)),
                None => to.fill(T::ZERO),
            }),
            Program::Plain | Program::Layer(_) => {
                let second = x.get(1).copied().unwrap_or(first);
                columns.for_each(|(e, to)| column::elementwise(op, e, column(first, e, width), column(second, e, width), to));
            }
        }
    }
}

/// A layer.
struct Products<'a, T> {
    layer: &'a Layer,
    x: &'a [T],
    to: &'a mut [T],
    width: usize,
}

impl<T: Number> Vectorized for Products<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lane>(self, has: Has<L>) {
        let Products { layer, x, to, width } = self;
        let outputs = layer.bias.len();
        for (p, block) in to.chunks_exact_mut((outputs * width).max(1)).enumerate() {
            for (o, ((to, &bias), terms)) in block.chunks_exact_mut(width).zip(&layer.bias).zip(&layer.columns).enumerate() {
                let element = layer.taps.elements(p, o);
                let terms = terms.iter().filter_map(|&(k, w)| Some((T::of(w), column(x, element(k as usize)?, width))));
                weighted_sum(has, T::of(bias), terms, to);
            }
        }
    }
}

#[inline(always)]
fn column<T>(x: &[T], e: usize, width: usize) -> &[T] {
    &x[e * width..][..width]
}

/// A cast; `x` may be off every grid.
pub(super) fn quantize<T: Number>(q: &FixedQuantizer, x: &[T], width: usize) -> Vec<T> {
    let mut out = vec![T::ZERO; x.len()];
    let op = FixedOp::Quantize(q.clone());
    for (e, (to, from)) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)).enumerate() {
        column::elementwise(&op, e, from, from, to);
    }
    out
}
