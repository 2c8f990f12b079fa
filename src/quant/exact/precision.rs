//! What a model has to be computed in so that nothing is ever rounded.

use crate::quant::interval::AllBounds;
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

/// Largest accumulators, sign included, in f32 and f64; one bit is kept for the half LSB of rounding.
const F32_BITS: u32 = 23;
const F64_BITS: u32 = 52;
/// Grids whose numbers of [`F32_BITS`] are ordinary floats in f32: exponents reach from −126 to 127.
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

/// Whether constants and grids are ordinary numbers in f32, and nothing but casts computes with inputs that have no grid yet.
fn is_plain(model: &FixedModel, bounds: &AllBounds) -> bool {
    let constant = |t: &FixedTensor| F32_GRIDS.contains(&t.frac) && t.ints.iter().all(|v| v.unsigned_abs() >> F32_BITS == 0);
    let grids = bounds.iter().flatten().all(|b| b.frac.iter().all(|f| F32_GRIDS.contains(f)));
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
                FixedOp::Merge(_) | FixedOp::Affine(_) | FixedOp::LeakyRelu { .. } | FixedOp::Sigmoid | FixedOp::Tanh => {
                    node.inputs.iter().all(|&v| bounds[v].is_some())
                }
                _ => true,
            }
        })
}

/// Bits of the magnitude of the largest intermediate sum: terms of both signs may exceed the final bound.
fn partial_sums(model: &FixedModel, bounds: &AllBounds) -> u32 {
    let of_layer = |node: &crate::graph::Node<FixedOp>| {
        let (FixedOp::Dense(d), Some(b), Some(out)) = (&node.op, &bounds[node.inputs[0]], &bounds[node.output]) else {
            return 0;
        };
        let frac = out.frac.first().copied().unwrap_or(0);
        let taps = Taps::new(d.inputs, d.outputs, d.window.as_ref());
        // the largest magnitude that an entry of the patch has anywhere, on the grid of the result before the weight
        let largest = |k: usize, o: usize| {
            let under = (0..taps.positions).filter_map(|p| taps.element(p, k, o));
            let at = |e: usize| {
                let top = b.lo[e].unsigned_abs().max(b.hi[e].unsigned_abs());
                top.saturating_mul(1 << (frac - d.weight.frac - b.frac[e]).clamp(0, 63))
            };
            under.map(at).max().unwrap_or(0)
        };
        let groups = d.window.as_ref().map_or(1, |w| w.groups);
        let common: Option<Vec<u128>> = (groups == 1).then(|| (0..d.inputs).map(|k| largest(k, 0)).collect());
        let sum = |o: usize| {
            let mut sum = (d.bias.ints[o].unsigned_abs() as u128) << (frac - d.bias.frac).clamp(0, 63);
            for k in 0..d.inputs {
                let w = d.weight.ints[k * d.outputs + o].unsigned_abs() as u128;
                if w != 0 {
                    sum = sum.saturating_add(w.saturating_mul(common.as_ref().map_or_else(|| largest(k, o), |c| c[k])));
                }
            }
            sum
        };
        let most = (0..d.outputs).map(sum).max().unwrap_or(0);
        u128::BITS - most.leading_zeros()
    };
    model.nodes.iter().map(of_layer).max().unwrap_or(0)
}
