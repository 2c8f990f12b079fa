//! An affine after a dense layer without annotations scales its columns:
//! `(x·W + b)·s + t = x·(W·s) + (b·s + t)`, in f64 and rounded once. An annotated layer keeps its
//! weights, and the affine stays.

use super::{Links, bypass};
use crate::graph::{Affine, Dense, Graph, Op, channels::per_channel};

pub fn run(graph: &mut Graph) -> bool {
    let mut links = Links::of(graph);
    for index in 0..graph.nodes.len() {
        let input = graph.nodes[index].inputs[0];
        let Some(layer) = links.producer[input].filter(|_| links.only_consumer(input) == Some(index)) else { continue };
        let (Op::Dense(dense), Op::Affine(affine)) = (&graph.nodes[layer].op, &graph.nodes[index].op) else { continue };
        let Some(folded) = fold(dense, affine) else { continue };
        // the layer now computes what the affine did, so it takes its name
        let name = graph.values[graph.nodes[index].output].name.clone();
        if bypass(graph, &mut links, index) {
            graph.nodes[layer].op = Op::Dense(folded);
            graph.values[input].name = name;
        }
    }
    links.sweep(graph)
}

/// `None` where the layer is annotated, positions of a channel differ, or the result leaves the
/// range of f32.
fn fold(dense: &Dense, affine: &Affine) -> Option<Dense> {
    if dense.weight_quant.is_some() || dense.bias_quant.is_some() {
        return None;
    }
    let (scale, shift) = (per_channel(&affine.scale, dense.outputs)?, per_channel(&affine.shift, dense.outputs)?);
    let columns = |row: &[f32]| -> Vec<f32> { row.iter().zip(scale).map(|(&w, s)| (f64::from(w) * s) as f32).collect() };
    let weight: Vec<f32> = dense.weight.chunks(dense.outputs).flat_map(columns).collect();
    let bias: Vec<f32> = (dense.bias.iter().zip(scale).zip(shift)).map(|((&b, s), t)| (f64::from(b) * s + t) as f32).collect();
    let finite = weight.iter().chain(&bias).all(|v| v.is_finite());
    finite.then(|| Dense { weight, bias, ..dense.clone() })
}
