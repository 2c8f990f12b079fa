//! Quantizers around sums: what a bit of an operand costs, and where a sum is on a grid already.

use crate::ops::Merge;
use crate::quant::{Model, QOp};

/// A quantizer that reads nothing but other quantizers' grids, through a `Merge`.
pub(super) struct Merged {
    /// Node of the quantizer after.
    pub node: usize,
    /// Nodes of the quantizers in front.
    pub operands: Vec<usize>,
}

/// All of `model`, in the order of the nodes.
pub(super) fn all(model: &Model) -> Vec<Merged> {
    let quantizers = model.nodes.iter().enumerate().filter(|(_, n)| matches!(n.op, QOp::Quantizer(_)));
    quantizers.filter_map(|(node, n)| behind(model, n.inputs[0]).map(|operands| Merged { node, operands })).collect()
}

/// Quantizers in front of `value` where all that it comes from are quantizers, some through a
/// merge.
fn behind(model: &Model, value: usize) -> Option<Vec<usize>> {
    let (mut open, mut found, mut merges) = (vec![value], Vec::new(), false);
    while let Some(value) = open.pop() {
        let at = model.producer(value)?;
        let node = &model.nodes[at];
        match &node.op {
            QOp::Quantizer(_) => {
                found.push(at);
                continue;
            }
            QOp::Merge(Merge::Add | Merge::Sub | Merge::Max | Merge::Min) => merges = true,
            op if op.keeps_channels() => {}
            QOp::Move(_) => {}
            // their results are on finer grids, or on their own
            QOp::Merge(Merge::Mul)
            | QOp::Dense(_)
            | QOp::SaturatingDense(_)
            | QOp::Affine(_)
            | QOp::Elementwise(_)
            | QOp::Sign
            | QOp::MaxPool(_)
            | QOp::AveragePool(_) => return None,
        }
        open.extend(&node.inputs);
    }
    merges.then_some(found)
}
