//! Reference interpreter of the imported graph in f64: what the file computes, with QONNX semantics
//! for annotations.
//!
//! Samples are split into blocks that run in parallel; within a block every value is a matrix
//! `[samples][elements]`. The result of a sample does not depend on the block it is in.

use super::Graph;
use super::dag::ValueId;
use super::op::Op;
use crate::ops::{Move, movement::Source};
use check::check;
use layer::Prepared;
use rayon::prelude::*;

mod check;
pub mod error;
mod layer;

pub use error::EvalError;

/// Most samples per block: the activations of a layer of a few hundred features stay in the L2
/// cache.
const BLOCK: usize = 64;
/// Elements of the largest value of a block: larger samples come in smaller blocks (4 MiB of f64
/// each).
const BLOCK_ELEMENTS: usize = 1 << 19;

/// Computes the values `wanted` for `samples` samples. `inputs` has one slice per graph input,
/// `[samples][elements]`; so has each result.
///
/// # Errors
/// [`EvalError`] where the inputs or the graph's parameters have the wrong size.
pub fn run(graph: &Graph, inputs: &[&[f32]], samples: usize, wanted: &[ValueId]) -> Result<Vec<Vec<f64>>, EvalError> {
    let none = || vec![Vec::new(); wanted.len()];
    let append = |mut all: Vec<Vec<f64>>, parts: &[&[f64]]| {
        all.iter_mut().zip(parts).for_each(|(all, part)| all.extend_from_slice(part));
        all
    };
    let merge = |a, b: Vec<Vec<f64>>| append(a, &b.iter().map(Vec::as_slice).collect::<Vec<&[f64]>>());
    fold(graph, inputs, samples, wanted, none, append, merge)
}

/// Shows the values `wanted` of all samples to `see`, block by block, as [`run`] would return them,
/// and puts what it made of them together in the order of the samples.
///
/// # Errors
/// As [`run`].
pub fn fold<T: Send>(
    graph: &Graph,
    inputs: &[&[f32]],
    samples: usize,
    wanted: &[ValueId],
    new: impl Fn() -> T + Send + Sync,
    see: impl Fn(T, &[&[f64]]) -> T + Send + Sync,
    merge: impl Fn(T, T) -> T + Send + Sync,
) -> Result<T, EvalError> {
    check(graph, inputs, samples, wanted)?;
    let prepared: Vec<Prepared> = graph.nodes.iter().map(|n| Prepared::of(&n.op)).collect();
    let mut last_use = graph.last_readers();
    // what is asked for is kept
    wanted.iter().for_each(|&id| last_use[id] = None);
    let size = (BLOCK_ELEMENTS / graph.largest()).clamp(1, BLOCK);
    let of_block = |all: T, block: usize| {
        let range = block * size..samples.min((block + 1) * size);
        let inputs = graph.inputs.iter().zip(inputs).map(|(&id, data)| {
            let len = graph.len_of(id);
            data[range.start * len..range.end * len].iter().map(|&x| f64::from(x)).collect()
        });
        let values = evaluate(graph, &prepared, &last_use, inputs.collect(), range.len());
        see(all, &wanted.iter().map(|&id| &values[id][..]).collect::<Vec<&[f64]>>())
    };
    Ok((0..samples.div_ceil(size)).into_par_iter().fold(&new, of_block).reduce(&new, merge))
}

/// All values that are still there at the end.
fn evaluate(
    graph: &Graph,
    prepared: &[Prepared],
    last_use: &[Option<usize>],
    inputs: Vec<Vec<f64>>,
    samples: usize,
) -> Vec<Vec<f64>> {
    let mut values: Vec<Vec<f64>> = vec![Vec::new(); graph.values.len()];
    for (&id, data) in graph.inputs.iter().zip(inputs) {
        values[id] = data;
    }
    for (index, (node, prepared)) in graph.nodes.iter().zip(prepared).enumerate() {
        let x = &values[node.inputs[0]];
        let len = graph.len_of(node.output);
        values[node.output] = match (&node.op, prepared) {
            (_, Prepared::Dense(weights)) => layer::dense(x, weights, samples),
            (_, Prepared::Conv(weights, window, pixels)) => layer::conv(x, weights, window, pixels, samples),
            (Op::AveragePool { divisor, .. }, Prepared::Pool(window, pixels)) => {
                layer::pool(x, window, pixels, 0.0, |a, b| a + b, |sum| sum / *divisor as f64)
            }
            (_, Prepared::Pool(window, pixels)) => layer::pool(x, window, pixels, f64::NEG_INFINITY, f64::max, |y| y),
            (Op::Softmax { log }, _) => softmax(x, graph.values[node.output].shape.last().copied().unwrap_or(1), *log),
            (Op::Merge(merge), _) => x.iter().zip(&values[node.inputs[1]]).map(|(&a, &b)| merge.apply(a, b)).collect(),
            (Op::Move(m), _) => moved(graph, &node.inputs, m, &values, samples),
            (op, Prepared::Nothing) => x.iter().enumerate().map(|(at, &x)| scalar(op, at % len, x)).collect(),
        };
        for &input in node.inputs.iter().filter(|&&input| last_use[input] == Some(index)) {
            values[input] = Vec::new();
        }
    }
    values
}

fn moved(graph: &Graph, inputs: &[ValueId], m: &Move, values: &[Vec<f64>], samples: usize) -> Vec<f64> {
    let map = m.sources(&graph.shapes(inputs));
    let lens: Vec<usize> = inputs.iter().map(|&v| graph.len_of(v)).collect();
    let element = |sample: usize, from: &Option<Source>| from.map_or(0.0, |(n, e)| values[inputs[n]][sample * lens[n] + e]);
    (0..samples).flat_map(|sample| map.iter().map(move |from| element(sample, from))).collect()
}

fn softmax(x: &[f64], classes: usize, log: bool) -> Vec<f64> {
    x.chunks(classes.max(1))
        .flat_map(|row| {
            let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let exp: Vec<f64> = row.iter().map(|x| (x - max).exp()).collect();
            let sum: f64 = exp.iter().sum();
            let share = move |(e, x): (f64, &f64)| if log { x - max - sum.ln() } else { e / sum };
            exp.into_iter().zip(row).map(share)
        })
        .collect()
}

/// Element-wise operations on element `e` of a sample.
fn scalar(op: &Op, e: usize, x: f64) -> f64 {
    match op {
        Op::Affine(affine) => x * affine.scale[e] + affine.shift[e],
        Op::Quant(spec) => spec.apply(e, x),
        Op::Elementwise(f) => f.real(x),
        Op::Clip { lo, hi } => x.clamp(*lo, *hi),
        Op::Sign if x < 0.0 => -1.0,
        Op::Sign => 0.0,
        // not computed element by element
        Op::Dense(_) | Op::Softmax { .. } | Op::MaxPool(_) | Op::AveragePool { .. } | Op::Merge(_) | Op::Move(_) => x,
    }
}
