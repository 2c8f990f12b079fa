//! Which elements of each value must exist: not constant and read, directly or not, by a model output.

use crate::graph::ValueId;
use crate::proxy::interval::Span;
use crate::quant::{FixedModel, FixedOp};

/// A float32 holds this many significant bits.
const FLOAT_BITS: u32 = 24;

/// Per value and element: must it be computed? Run after [`super::constant::fold`]: a constant that is still read by a
/// non-zero weight is live. Constant elements of model outputs are not: the output stage writes them.
pub fn live(model: &FixedModel, spans: &[Vec<Span>]) -> Vec<Vec<bool>> {
    read_by(model, |output, e| {
        let s = &spans[output][e];
        // a constant beyond float32 must be computed as the model does
        !s.is_constant() || (s.hi.unsigned_abs() >> FLOAT_BITS) != 0
    })
}

/// Per value and element: does a wanted element of a model output depend on it?
pub fn read_by(model: &FixedModel, wanted: impl Fn(ValueId, usize) -> bool) -> Vec<Vec<bool>> {
    let mut live: Vec<Vec<bool>> = model.values.iter().map(|v| vec![false; v.len()]).collect();
    for &output in &model.outputs {
        for (e, l) in live[output].iter_mut().enumerate() {
            *l |= wanted(output, e);
        }
    }
    for node in model.nodes.iter().rev() {
        let Some(&source) = node.inputs.first() else { continue };
        let out = live[node.output].clone();
        match &node.op {
            FixedOp::Dense(d) => {
                for (row, l) in d.weight.ints.chunks(d.outputs.max(1)).zip(&mut live[source]) {
                    *l |= row.iter().zip(&out).any(|(&w, &needed)| w != 0 && needed);
                }
            }
            _ => {
                for (l, needed) in live[source].iter_mut().zip(out) {
                    *l |= needed;
                }
            }
        }
    }
    live
}
