//! A graph with the factors in its weights, biases and scales.

use super::MinMax;
use crate::graph::{Dense, Graph, Op, ValueId};
use crate::quant::kif::exp2i;

/// `graph` on values `x·2^-e`; `exponents` by value and element.
pub(super) fn graph(graph: &Graph, exponents: &[Vec<i32>]) -> Graph {
    let mut scaled = graph.clone();
    for node in &mut scaled.nodes {
        let (from, to) = (&exponents[node.inputs[0]], &exponents[node.output]);
        match &mut node.op {
            Op::Dense(d) => dense(d, from, to),
            Op::Affine(a) => {
                for (e, (scale, shift)) in a.scale.iter_mut().zip(&mut a.shift).enumerate() {
                    *scale *= exp2i(from[e] - to[e]);
                    *shift *= exp2i(-to[e]);
                }
            }
            // what has no units of its own; classes see to it that factors agree, or there are none
            Op::Quant(_)
            | Op::Elementwise(_)
            | Op::Softmax { .. }
            | Op::Sign
            | Op::Clip { .. }
            | Op::MaxPool(_)
            | Op::AveragePool { .. }
            | Op::Merge(_)
            | Op::Move(_) => {}
        }
    }
    scaled
}

fn dense(d: &mut Dense, from: &[i32], to: &[i32]) {
    let outputs = d.outputs.max(1);
    for (at, w) in d.weight.iter_mut().enumerate() {
        let (row, o) = (at / outputs, at % outputs);
        let channel = d.window.as_ref().map_or(row, |w| w.channel(row, o, outputs));
        *w = (f64::from(*w) * exp2i(from[channel] - to[o])) as f32;
    }
    for (b, &e) in d.bias.iter_mut().zip(to) {
        *b = (f64::from(*b) * exp2i(-e)) as f32;
    }
}

/// A range of values with these exponents, in the domain.
pub(super) fn range(range: &MinMax, exponents: &[i32]) -> MinMax {
    let scaled = |v: &[f64]| v.iter().zip(exponents).map(|(v, &e)| v * exp2i(-e)).collect();
    MinMax { min: scaled(&range.min), max: scaled(&range.max) }
}

/// Lets every layer that reads `input`, in whatever shape, make up for `offsets`, which are
/// subtracted from its elements.
pub(super) fn offset(graph: &mut Graph, input: ValueId, offsets: &[f64]) {
    for reader in graph.consumers(input) {
        let output = graph.nodes[reader].output;
        let Op::Dense(d) = &mut graph.nodes[reader].op else {
            // a shape: the finder lets nothing else through
            offset(graph, output, offsets);
            continue;
        };
        for o in 0..d.outputs {
            let taken = |row: usize| d.window.as_ref().map_or(row, |w| w.channel(row, o, d.outputs));
            let sum: f64 = (0..d.inputs).map(|row| f64::from(d.weight[row * d.outputs + o]) * offsets[taken(row)]).sum();
            d.bias[o] = (f64::from(d.bias[o]) + sum) as f32;
        }
    }
}
