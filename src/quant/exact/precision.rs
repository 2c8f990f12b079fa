//! What a model has to be computed in so that nothing is ever rounded.

use crate::ops::Elementwise;
use crate::quant::interval::AllBounds;
use crate::quant::kif::floor_log2;
use crate::quant::model::{FixedModel, FixedOp, FixedTensor};
use crate::quant::taps::Taps;

/// The numbers that values are kept in, from the fastest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    /// f32.
    Single,
    /// f64.
    Double,
    /// 128-bit integers.
    Integer,
}

/// Largest accumulators, sign included, in f32 and f64; one bit is kept for the half LSB of
/// rounding.
const F32_BITS: u32 = 23;
const F64_BITS: u32 = 52;
/// Grids whose numbers of [`F32_BITS`] are ordinary floats in f32: exponents reach from −126 to
/// 127.
const F32_GRIDS: std::ops::RangeInclusive<i32> = -100..=100;

/// The fastest precision that is exact for `model`.
pub(super) fn needed(model: &FixedModel, bounds: &AllBounds) -> Precision {
    let widest = bounds.iter().flatten().map(|b| b.max_bits()).max().unwrap_or(0);
    let bits = widest.max(partial_sums(model, bounds));
    if bits <= F32_BITS && is_plain(model, bounds) {
        Precision::Single
    } else if bits <= F64_BITS {
        Precision::Double
    } else {
        Precision::Integer
    }
}

/// Whether constants and grids are ordinary numbers in f32, and nothing but casts computes with
/// inputs that have no grid yet.
fn is_plain(model: &FixedModel, bounds: &AllBounds) -> bool {
    let constant = |t: &FixedTensor| F32_GRIDS.contains(&t.frac) && t.ints.iter().all(|v| v.unsigned_abs() >> F32_BITS == 0);
    let grids = bounds.iter().flatten().all(|b| b.distinct().iter().all(|s| F32_GRIDS.contains(&s.frac)));
    grids
        && model.nodes.iter().all(|node| {
            let on_grid = bounds[node.inputs[0]].is_some();
            match &node.op {
                FixedOp::Dense(d) => on_grid && constant(&d.weight) && constant(&d.bias),
                // scaled down, the least floats would vanish
                FixedOp::Quantize(q) if q.offset.is_some() => false,
                FixedOp::Quantize(q) => on_grid || q.formats.iter().all(|f| f.is_zero() || (0..=64).contains(&f.fractional)),
                // sums of a window are wider than their mean
                FixedOp::AveragePool(_) => false,
                FixedOp::Elementwise(Elementwise::Relu) => true,
                FixedOp::Merge(_) | FixedOp::Affine(_) | FixedOp::Elementwise(_) => {
                    node.inputs.iter().all(|&v| bounds[v].is_some())
                }
                FixedOp::MaxPool(_) | FixedOp::Move(_) => true,
            }
        })
}

/// Room for the rounding of [`partial_sums`] itself.
const SLACK: f64 = 1.0 + 1e-9;

/// Bits of the magnitude of the largest intermediate sum: terms of both signs may exceed the final
/// bound.
fn partial_sums(model: &FixedModel, bounds: &AllBounds) -> u32 {
    let of_layer = |node: &crate::graph::Node<FixedOp>| {
        let (FixedOp::Dense(d), Some(b), Some(out)) = (&node.op, &bounds[node.inputs[0]], &bounds[node.output]) else {
            return 0.0;
        };
        let taps = Taps::new(d.inputs, d.outputs, d.window.as_ref());
        // the largest magnitude that an entry of the patch has anywhere
        let largest = |k: usize, o: usize| {
            let at = |e: usize| b[e].lo.unsigned_abs().max(b[e].hi.unsigned_abs()) as f64 * 2f64.powi(-b[e].frac);
            (0..taps.positions).filter_map(|p| taps.element(p, k, o)).map(at).fold(0.0, f64::max)
        };
        let groups = d.window.as_ref().map_or(1, |w| w.groups);
        let common: Option<Vec<f64>> = (groups == 1).then(|| (0..d.inputs).map(|k| largest(k, 0)).collect());
        let term = |k: usize, o: usize| match d.weight.value(k * d.outputs + o).abs() {
            0.0 => 0.0,
            weight => weight * common.as_ref().map_or_else(|| largest(k, o), |c| c[k]),
        };
        let sum = |o: usize| d.bias.value(o).abs() + (0..d.inputs).map(|k| term(k, o)).sum::<f64>();
        let most = (0..d.outputs).map(sum).fold(0.0, f64::max);
        // on the grid of the result
        most * 2f64.powi(out.iter().next().map_or(0, |s| s.frac)) * SLACK
    };
    let most = model.nodes.iter().map(of_layer).fold(0.0, f64::max);
    if most < 1.0 { 0 } else { floor_log2(most) as u32 + 1 }
}
