//! Removes operations that do nothing: an affine of scale 1 and shift 0, a permutation in order, a
//! reshape to the same shape.

use super::{Links, bypass};
use crate::graph::{Graph, Op};
use crate::ops::Move;

pub fn run(graph: &mut Graph) -> bool {
    let mut links = Links::of(graph);
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        let same_shape = graph.values[node.output].shape == graph.values[node.inputs[0]].shape;
        let identity = if let Op::Affine(affine) = &node.op {
            affine.scale.iter().all(|&s| s == 1.0) && affine.shift.iter().all(|&s| s == 0.0)
        } else if let Op::Move(Move::Permute { source }) = &node.op {
            same_shape && source.iter().enumerate().all(|(to, &from)| to == from)
        } else {
            same_shape && matches!(node.op, Op::Move(Move::Reshape))
        };
        if identity {
            bypass(graph, &mut links, index);
        }
    }
    links.sweep(graph)
}
