//! Effective bit operations of an exact model, in both published counts.
//!
//! * [`ebops`]: HGQ v1's exact count (spec A2.2, A2.3): enclosed bits of each weight × bits of its input; multiplications only.
//! * [`ebops_hgq2`]: HGQ2's rule for dense layers (spec B2): widths without sign, every weight at its format's width, plus bias bits.
//!
//! The two count different quantities; never compare one with the other.

use super::interval::{self, AllBounds, IntervalError};
use super::kif::Kif;
use super::model::{FixedModel, FixedOp, enclosed_bits};
use crate::graph::ValueId;

/// EBOPs of one node.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerEbops {
    /// Index into [`FixedModel::nodes`](crate::graph::Dag::nodes).
    pub node: usize,
    pub ebops: u64,
    pub ebops_hgq2: u64,
}

/// The format that each element of `value` has on the wire: its quantizer's; behind a Relu without the sign; the worst case of
/// interval arithmetic where there is no quantizer.
pub fn wire_formats(model: &FixedModel, bounds: &AllBounds, value: ValueId) -> Vec<Kif> {
    let len = model.len_of(value);
    match model.producer(value).map(|n| &model.nodes[n]) {
        Some(node) => match &node.op {
            FixedOp::Quantize(q) => q.formats.clone(),
            FixedOp::Relu => {
                let mut formats = wire_formats(model, bounds, node.inputs[0]);
                for f in &mut formats {
                    f.keep_negative = false;
                }
                formats
            }
            FixedOp::Reshape => wire_formats(model, bounds, node.inputs[0]),
            _ => bounds[value].as_ref().map_or_else(|| vec![Kif::ZERO; len], |b| (0..len).map(|e| b.format(e)).collect()),
        },
        None => vec![Kif::ZERO; len],
    }
}

/// EBOPs of every node that multiplies.
pub fn layers(model: &FixedModel, bounds: &AllBounds) -> Vec<LayerEbops> {
    let mut out = Vec::new();
    for (node, n) in model.nodes.iter().enumerate() {
        match &n.op {
            FixedOp::Dense(d) => {
                let formats = wire_formats(model, bounds, n.inputs[0]);
                let (mut v1, mut v2) = (0u64, 0u64);
                for (i, f) in formats.iter().enumerate() {
                    let row = i * d.outputs..(i + 1) * d.outputs;
                    let weight: u64 = d.weight.ints[row.clone()].iter().map(|&w| enclosed_bits(w) as u64).sum();
                    v1 += f.bits() as u64 * weight;
                    v2 += unsigned_bits(*f) * d.weight_bits[row].iter().map(|&b| b as u64).sum::<u64>();
                }
                v2 += d.bias_bits.iter().map(|&b| b as u64).sum::<u64>();
                out.push(LayerEbops { node, ebops: v1, ebops_hgq2: v2 });
            }
            FixedOp::Affine(a) => {
                let formats = wire_formats(model, bounds, n.inputs[0]);
                let v1 = formats.iter().zip(&a.scale.ints).map(|(f, &s)| f.bits() as u64 * enclosed_bits(s) as u64).sum();
                let v2: u64 = formats.iter().zip(&a.scale.ints).map(|(f, &s)| unsigned_bits(*f) * enclosed_bits(s) as u64).sum();
                let shift: u64 = a.shift.ints.iter().map(|&s| enclosed_bits(s) as u64).sum();
                out.push(LayerEbops { node, ebops: v1, ebops_hgq2: v2 + shift });
            }
            _ => {}
        }
    }
    out
}

/// HGQ v1's exact count of the model.
pub fn ebops(model: &FixedModel, bounds: &AllBounds) -> u64 {
    layers(model, bounds).iter().map(|l| l.ebops).sum()
}

/// HGQ v1's count of what training cannot change: element-wise scales.
///
/// # Errors
/// See [`interval::bounds`].
pub fn fixed(model: &FixedModel) -> Result<u64, IntervalError> {
    let bounds = interval::bounds(model)?;
    let scale = |l: &LayerEbops| matches!(model.nodes[l.node].op, FixedOp::Affine(_));
    Ok(layers(model, &bounds).iter().filter(|l| scale(l)).map(|l| l.ebops).sum())
}

/// HGQ2's count of the model.
pub fn ebops_hgq2(model: &FixedModel, bounds: &AllBounds) -> u64 {
    layers(model, bounds).iter().map(|l| l.ebops_hgq2).sum()
}

fn unsigned_bits(f: Kif) -> u64 {
    if f.is_zero() { 0 } else { (f.integer + f.fractional).max(0) as u64 }
}
