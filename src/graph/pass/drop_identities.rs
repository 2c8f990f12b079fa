//! Removes operations that do nothing: an affine of scale 1 and shift 0, a permutation in order, a reshape to the same
//! shape.

use super::{Links, bypass};
use crate::graph::{Graph, Op};

pub fn run(graph: &mut Graph) -> bool {
    let mut links = Links::of(graph);
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        let identity = match &node.op {
            Op::Affine(affine) => affine.scale.iter().all(|&s| s == 1.0) && affine.shift.iter().all(|&s| s == 0.0),
            Op::Permute { source } => {
                source.iter().enumerate().all(|(to, &from)| to == from)
                    && graph.values[node.output].shape == graph.values[node.inputs[0]].shape
            }
            Op::Reshape => graph.values[node.output].shape == graph.values[node.inputs[0]].shape,
            _ => false,
        };
        if identity {
            bypass(graph, &mut links, index);
        }
    }
    links.sweep(graph)
}
