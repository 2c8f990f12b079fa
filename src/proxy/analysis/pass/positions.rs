//! Explicit reshapes around what only works on flat samples: dense layers without a window and
//! selections between positions next to a grid, and quantizers or scales that differ over the
//! positions of a channel (a stock `Quant` has one format per tensor). The outputs stay
//! bit-identical.

use crate::graph::channels::per_channel;
use crate::graph::{Node, ValueId};
use crate::ops::Move;
use crate::proxy::analysis::{layout, selection};
use crate::proxy::error::{Fault, Reason};
use crate::quant::{FixedModel, FixedOp};

/// A value with formats per position is rebuilt by a 0/1 matrix of this many rows and columns.
pub const FLAT_LIMIT: usize = 1024;

/// Rewrites `model`.
///
/// # Errors
/// Every node whose formats or constants differ over the positions of a value of more than
/// [`FLAT_LIMIT`] elements.
pub fn run(model: &mut FixedModel) -> Result<(), Vec<Fault>> {
    let grids = layout::grids(model);
    let mut faults = Vec::new();
    let mut nodes = Vec::with_capacity(model.nodes.len());
    for mut node in std::mem::take(&mut model.nodes) {
        let source = node.inputs.first().copied().unwrap_or(node.output);
        let differs = grids[source] && !same_everywhere(&node.op, model.values[source].shape.last().copied().unwrap_or(1));
        if differs && model.len_of(source) > FLAT_LIMIT {
            let reason = Reason::Positions { elements: model.len_of(source), limit: FLAT_LIMIT };
            faults.push(Fault { node: node.name.clone(), reason });
        }
        let flat_only = match &node.op {
            FixedOp::Dense(d) => d.window.is_none(),
            FixedOp::Move(Move::Select { source: elements }) => {
                selection::of(elements, &model.values[source].shape, &model.values[node.output].shape).is_none()
            }
            FixedOp::Quantize(_)
            | FixedOp::Affine(_)
            | FixedOp::Elementwise(_)
            | FixedOp::MaxPool(_)
            | FixedOp::AveragePool(_)
            | FixedOp::Merge(_)
            | FixedOp::Move(Move::Concat { .. } | Move::Pad { .. } | Move::Reshape | Move::Permute { .. }) => false,
        };
        if grids[source] && (differs || flat_only) {
            let flat = flat_value(model, source);
            nodes.push(reshape(&node.name, source, flat));
            node.inputs = vec![flat];
        }
        if grids[node.output] && (differs || flat_only) {
            let (flat, output) = (flat_value(model, node.output), node.output);
            let back = reshape(&node.name, flat, output);
            node.output = flat;
            nodes.extend([node, back]);
        } else {
            nodes.push(node);
        }
    }
    model.nodes = nodes;
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

fn flat_value(model: &mut FixedModel, value: ValueId) -> ValueId {
    let (name, len) = (format!("{}_flat", model.values[value].name), model.len_of(value));
    model.add_value(name, vec![len])
}

fn reshape(name: &str, from: ValueId, to: ValueId) -> Node<FixedOp> {
    Node { name: name.to_string(), op: FixedOp::Move(Move::Reshape), inputs: vec![from], output: to }
}

fn same_everywhere(op: &FixedOp, channels: usize) -> bool {
    match op {
        FixedOp::Quantize(q) => {
            let offsets = q.offset.as_ref().is_none_or(|c| per_channel(&c.ints, channels).is_some());
            offsets && per_channel(&q.formats, channels).is_some()
        }
        FixedOp::Affine(a) => [&a.scale, &a.shift].iter().all(|t| per_channel(&t.ints, channels).is_some()),
        FixedOp::Dense(_)
        | FixedOp::Elementwise(_)
        | FixedOp::MaxPool(_)
        | FixedOp::AveragePool(_)
        | FixedOp::Merge(_)
        | FixedOp::Move(_) => true,
    }
}
