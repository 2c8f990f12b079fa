//! An affine before a dense layer without annotations scales its rows:
//! `(x·s + t)·W + b = x·(s·W) + (t·W + b)`, in f64 and rounded once.

use super::{Links, bypass};
use crate::graph::{Affine, Dense, Graph, Op, channels::per_channel};

pub fn run(graph: &mut Graph) -> bool {
    let mut links = Links::of(graph);
    for index in 0..graph.nodes.len() {
        let Op::Affine(affine) = &graph.nodes[index].op else { continue };
        let Some(layer) = links.only_consumer(graph.nodes[index].output) else { continue };
        let Op::Dense(dense) = &graph.nodes[layer].op else { continue };
        let Some(folded) = fold(affine, dense) else { continue };
        if bypass(graph, &mut links, index) {
            graph.nodes[layer].op = Op::Dense(folded);
        }
    }
    links.sweep(graph)
}

/// `None` where the layer is annotated, positions of a channel differ, the shift would have to
/// reach the padding, or the result leaves the range of f32.
fn fold(affine: &Affine, dense: &Dense) -> Option<Dense> {
    if dense.weight_quant.is_some() || dense.bias_quant.is_some() {
        return None;
    }
    // scale and shift of the element that the weight at row `k` and column `o` multiplies
    let channel = |k: usize, o: usize| dense.window.as_ref().map_or(k, |w| w.channel(k, o, dense.outputs));
    let inputs = dense.window.as_ref().map_or(dense.inputs, |w| w.input[2]);
    let (scale, shift) = (per_channel(&affine.scale, inputs)?, per_channel(&affine.shift, inputs)?);
    if dense.window.as_ref().is_some_and(|w| w.is_padded()) && shift.iter().any(|&t| t != 0.0) {
        return None;
    }
    let mut bias: Vec<f64> = dense.bias.iter().map(|&b| f64::from(b)).collect();
    let mut weight = Vec::with_capacity(dense.weight.len());
    for (k, row) in dense.weight.chunks(dense.outputs).enumerate() {
        for (o, (&w, b)) in row.iter().zip(&mut bias).enumerate() {
            let c = channel(k, o);
            weight.push((f64::from(w) * scale[c]) as f32);
            *b += f64::from(w) * shift[c];
        }
    }
    let bias: Vec<f32> = bias.into_iter().map(|b| b as f32).collect();
    let finite = weight.iter().chain(&bias).all(|v| v.is_finite());
    finite.then(|| Dense { weight, bias, ..dense.clone() })
}
