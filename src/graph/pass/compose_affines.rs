//! Two affines in a row are one: `(x·s + t)·u + v = x·(s·u) + (t·u + v)`.

use super::{Links, bypass};
use crate::graph::{Affine, Graph, Op};

pub fn run(graph: &mut Graph) -> bool {
    let mut links = Links::of(graph);
    for second in 0..graph.nodes.len() {
        let input = graph.nodes[second].inputs[0];
        let Some(first) = links.producer[input].filter(|_| links.only_consumer(input) == Some(second)) else { continue };
        let (Op::Affine(a), Op::Affine(b)) = (&graph.nodes[first].op, &graph.nodes[second].op) else { continue };
        let composed = Affine {
            scale: a.scale.iter().zip(&b.scale).map(|(s, u)| s * u).collect(),
            shift: a.shift.iter().zip(&b.scale).zip(&b.shift).map(|((t, u), v)| t * u + v).collect(),
        };
        if composed.scale.iter().chain(&composed.shift).all(|v| v.is_finite()) {
            graph.nodes[second].op = Op::Affine(composed);
            bypass(graph, &mut links, first);
        }
    }
    links.sweep(graph)
}
