//! Effective bit operations of an exact model, in both published counts.
//!
//! * [`ebops`]: HGQ v1's exact count (docs/hgq-spec.md#a2-2, #a2-3): enclosed bits of each weight ×
//!   bits of its input; multiplications only. A convolution multiplies at every output position;
//!   padding counts nothing.
//! * [`ebops_hgq2`]: HGQ2's rules (docs/hgq-spec.md#b2): widths without sign, every weight at its
//!   format's width, plus bias bits, merges and pooling.
//!
//! The two count different quantities; never compare one with the other.

use super::interval::{self, AllBounds, IntervalError};
use super::kif::Kif;
use super::model::{FixedDense, FixedModel, FixedOp, enclosed_bits};
use super::taps::Taps;
use crate::graph::{ValueId, Window};
use crate::ops::{Elementwise, Merge};

/// What HGQ2 counts for a bit of an adder, in hundredths.
const ADDER_PERCENT: u64 = 65;

/// EBOPs of one node.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerEbops {
    /// Index into [`FixedModel::nodes`](crate::graph::Dag::nodes).
    pub node: usize,
    pub ebops: u64,
    pub ebops_hgq2: u64,
}

/// The format that each element of `value` has on the wire: its quantizer's; after a Relu without
/// the sign; the worst case of interval arithmetic where there is no quantizer. Pooling passes the
/// widest format under its window on (docs/hgq-spec.md#a2-3).
pub fn wire_formats(model: &FixedModel, bounds: &AllBounds, value: ValueId) -> Vec<Kif> {
    let len = model.len_of(value);
    let Some(node) = model.producer(value).map(|n| &model.nodes[n]) else { return vec![Kif::ZERO; len] };
    let of = |v: ValueId| wire_formats(model, bounds, v);
    match &node.op {
        FixedOp::Quantize(q) => q.formats.clone(),
        FixedOp::Elementwise(Elementwise::Relu) => {
            let mut formats = of(node.inputs[0]);
            for f in &mut formats {
                f.keep_negative = false;
            }
            formats
        }
        FixedOp::MaxPool(w) => widest(&of(node.inputs[0]), w),
        FixedOp::AveragePool(a) => widest(&of(node.inputs[0]), &a.window),
        FixedOp::Move(m) => {
            let inputs: Vec<Vec<Kif>> = node.inputs.iter().map(|&v| of(v)).collect();
            let inputs: Vec<&[Kif]> = inputs.iter().map(Vec::as_slice).collect();
            m.apply(&inputs, &model.shapes(&node.inputs), Kif::ZERO)
        }
        FixedOp::Dense(_) | FixedOp::Affine(_) | FixedOp::Elementwise(_) | FixedOp::Merge(_) => {
            bounds[value].as_ref().map_or_else(|| vec![Kif::ZERO; len], |b| (0..len).map(|e| b.format(e)).collect())
        }
    }
}

/// EBOPs of every node that multiplies.
pub fn layers(model: &FixedModel, bounds: &AllBounds) -> Vec<LayerEbops> {
    let mut out = Vec::new();
    for (node, n) in model.nodes.iter().enumerate() {
        match &n.op {
            FixedOp::Dense(d) => {
                let (ebops, ebops_hgq2) = dense(d, &wire_formats(model, bounds, n.inputs[0]));
                out.push(LayerEbops { node, ebops, ebops_hgq2 });
            }
            FixedOp::Merge(m) => {
                let operands: Vec<Vec<Kif>> = n.inputs.iter().map(|&v| wire_formats(model, bounds, v)).collect();
                out.push(merge(node, *m, &operands));
            }
            FixedOp::MaxPool(_) | FixedOp::AveragePool(_) => {
                let bits = wire_formats(model, bounds, n.inputs[0]).iter().map(|&f| unsigned_bits(f)).sum();
                out.push(LayerEbops { node, ebops: 0, ebops_hgq2: bits });
            }
            FixedOp::Affine(a) => {
                let formats = wire_formats(model, bounds, n.inputs[0]);
                let v1 = formats.iter().zip(&a.scale.ints).map(|(f, &s)| f.bits() as u64 * enclosed_bits(s) as u64).sum();
                let v2: u64 = formats.iter().zip(&a.scale.ints).map(|(f, &s)| unsigned_bits(*f) * enclosed_bits(s) as u64).sum();
                let shift: u64 = a.shift.ints.iter().map(|&s| enclosed_bits(s) as u64).sum();
                out.push(LayerEbops { node, ebops: v1, ebops_hgq2: v2 + shift });
            }
            FixedOp::Quantize(_) | FixedOp::Elementwise(_) | FixedOp::Move(_) => {}
        }
    }
    out
}

/// Both counts of a layer that reads `formats`.
fn dense(d: &FixedDense, formats: &[Kif]) -> (u64, u64) {
    let taps = Taps::new(d.inputs, d.outputs, d.window.as_ref());
    let (groups, per_group) = d.window.as_ref().map_or((1, d.outputs), |w| (w.groups.max(1), w.group_outputs(d.outputs)));
    let (mut v1, mut v2) = (0u64, 0u64);
    for k in 0..d.inputs {
        for columns in 0..groups {
            let row = k * d.outputs + columns * per_group..k * d.outputs + (columns + 1) * per_group;
            let o = columns * per_group;
            let weight: u64 = d.weight.ints[row.clone()].iter().map(|&w| u64::from(enclosed_bits(w))).sum();
            let declared: u64 = d.weight_bits[row].iter().map(|&b| u64::from(b)).sum();
            v1 += weight * taps.sum(k, o, |e| u64::from(formats[e].bits()));
            v2 += declared * taps.sum(k, o, |e| unsigned_bits(formats[e]));
        }
    }
    // HGQ2 counts a bias once per input position, whatever the stride
    let share = |products: u64| (products as f64 * d.ebops_scale) as u64;
    let positions = d.window.as_ref().map_or(1, |w| (w.input[0] * w.input[1]) as u64);
    (share(v1), share(v2) + positions * d.bias_bits.iter().map(|&b| u64::from(b)).sum::<u64>())
}

/// Only a product of two tensors multiplies; HGQ2 counts adders and comparisons as well.
fn merge(node: usize, op: Merge, operands: &[Vec<Kif>]) -> LayerEbops {
    let [a, b] = operands else { return LayerEbops { node, ebops: 0, ebops_hgq2: 0 } };
    let over = |f: &dyn Fn(Kif, Kif) -> u64| a.iter().zip(b).map(|(&x, &y)| f(x, y)).sum::<u64>();
    let larger = over(&|x, y| unsigned_bits(x).max(unsigned_bits(y)));
    match op {
        Merge::Mul => LayerEbops {
            node,
            ebops: over(&|x, y| u64::from(x.bits()) * u64::from(y.bits())),
            ebops_hgq2: over(&|x, y| unsigned_bits(x) * unsigned_bits(y)),
        },
        Merge::Add => LayerEbops { node, ebops: 0, ebops_hgq2: larger * ADDER_PERCENT / 100 },
        Merge::Sub | Merge::Max | Merge::Min => LayerEbops { node, ebops: 0, ebops_hgq2: larger },
    }
}

/// The widest format under each window.
fn widest(formats: &[Kif], window: &Window) -> Vec<Kif> {
    let (taps, channels) = (Taps::pooling(window), window.input[2]);
    let at = |at: usize| {
        let under = taps.under(at / channels, at % channels);
        under.map(|e| formats[e]).max_by_key(|f| f.bits()).unwrap_or(Kif::ZERO)
    };
    (0..taps.positions * channels).map(at).collect()
}

/// HGQ v1's exact count of the model.
pub fn ebops(model: &FixedModel, bounds: &AllBounds) -> u64 {
    layers(model, bounds).iter().map(|l| l.ebops).sum()
}

/// HGQ v1's count of what training does not steer: element-wise scales and products of tensors.
///
/// # Errors
/// See [`interval::bounds()`].
pub fn fixed(model: &FixedModel) -> Result<u64, IntervalError> {
    let bounds = interval::bounds(model)?;
    let scale = |l: &LayerEbops| matches!(model.nodes[l.node].op, FixedOp::Affine(_) | FixedOp::Merge(_));
    Ok(layers(model, &bounds).iter().filter(|l| scale(l)).map(|l| l.ebops).sum())
}

/// HGQ2's count of the model.
pub fn ebops_hgq2(model: &FixedModel, bounds: &AllBounds) -> u64 {
    layers(model, bounds).iter().map(|l| l.ebops_hgq2).sum()
}

fn unsigned_bits(f: Kif) -> u64 {
    if f.is_zero() { 0 } else { (f.integer + f.fractional).max(0) as u64 }
}
