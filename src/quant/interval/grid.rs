//! The grids that results have in exact evaluation: the finest that an element of an operand and a
//! constant can meet on, one for all outputs of a layer.

use super::Bounds;
use super::span::Span;
use crate::quant::model::{FixedDense, FixedOp};
use crate::quant::taps::Taps;

/// The `result` of an operation on these grids; `None` beyond 127 bits.
pub(super) fn lifted(op: &FixedOp, operands: &[&Bounds], result: Vec<Span>) -> Option<Bounds> {
    let x = *operands.first()?;
    let of_all = |frac: i32| vec![frac; result.len()];
    let grids: Vec<i32> = match op {
        FixedOp::Quantize(q) => q.formats.iter().map(|k| k.fractional).collect(),
        FixedOp::Dense(d) => of_all(layer(x, d)),
        FixedOp::AveragePool(a) => of_all(x.max_frac() + a.reciprocal.frac),
        FixedOp::Affine(a) => x.iter().map(|s| (s.frac + a.scale.frac).max(a.shift.frac)).collect(),
        FixedOp::Elementwise(f) => x.iter().map(|s| f.output_frac(s.frac)).collect(),
        FixedOp::MaxPool(window) => {
            let (taps, channels) = (Taps::pooling(window), window.input[2]);
            let finest = |at: usize| taps.under(at / channels, at % channels).map(|e| x[e].frac).max().unwrap_or(0);
            (0..result.len()).map(finest).collect()
        }
        FixedOp::Merge(m) => x.iter().zip(operands.get(1)?.iter()).map(|(a, b)| m.output_frac(a.frac, b.frac)).collect(),
        FixedOp::Move(_) => result.iter().map(|s| s.frac).collect(),
    };
    result.into_iter().zip(grids).map(|(s, frac)| s.lifted(frac)).collect()
}

/// Finest product or bias of a layer, each weight on its own grid.
fn layer(x: &Bounds, d: &FixedDense) -> i32 {
    let taps = Taps::new(d.inputs, d.outputs, d.window.as_ref());
    let outputs = d.outputs.max(1);
    let groups = d.window.as_ref().map_or(1, |w| w.groups.max(1));
    let share = (outputs / groups).max(1);
    // the finest grid that a row meets anywhere, the same for all outputs of a group
    let met = |k: usize, group: usize| {
        let read = (0..taps.positions).filter_map(|p| taps.element(p, k, group * share));
        read.map(|e| x[e]).filter(|s| !s.is_zero()).map(|s| s.frac).max()
    };
    let met: Vec<Option<i32>> = (0..d.inputs * groups).map(|n| met(n / groups, n % groups)).collect();
    let finest = |(at, &w): (usize, &i64)| {
        let (k, o) = (at / outputs, at % outputs);
        let own = d.weight.frac - w.trailing_zeros() as i32;
        met[k * groups + (o / share).min(groups - 1)].map(|f| f + own)
    };
    let products = d.weight.ints.iter().enumerate().filter(|(_, w)| **w != 0).filter_map(finest);
    let biases = d.bias.ints.iter().filter(|v| **v != 0).map(|v| d.bias.frac - v.trailing_zeros() as i32);
    products.chain(biases).max().unwrap_or(0)
}
