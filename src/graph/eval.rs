//! Reference interpreter of the imported graph in f64: what the file computes, with QONNX semantics for annotations.
//!
//! Samples are split into blocks that run in parallel; within a block every value is a matrix `[samples][elements]`. The
//! result of a sample does not depend on the block it is in.

use rayon::prelude::*;
use thiserror::Error;

use super::{Graph, annotation::QuantSpec, dag::ValueId, op::Op};

/// Samples per block: the activations of a layer of a few hundred features stay in the L2 cache.
const BLOCK: usize = 64;

/// What does not fit the graph.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EvalError {
    #[error("{found} inputs given, but the model has {expected}")]
    Inputs { found: usize, expected: usize },
    #[error("input `{name}` has {found} values, but {samples} samples need {expected}")]
    Length { name: String, found: usize, samples: usize, expected: usize },
    #[error("value {0} does not exist or is never computed")]
    Unknown(ValueId),
    #[error("node `{node}`: {what}")]
    Node { node: String, what: String },
}

/// Computes the values `wanted` for `samples` samples. `inputs` has one slice per graph input, `[samples][elements]`; so
/// has each result.
///
/// # Errors
/// [`EvalError`] where the inputs or the graph's parameters have the wrong size.
pub fn run(graph: &Graph, inputs: &[&[f32]], samples: usize, wanted: &[ValueId]) -> Result<Vec<Vec<f64>>, EvalError> {
    check(graph, inputs, samples, wanted)?;
    let weights: Vec<Option<Weights>> = graph.nodes.iter().map(|n| Weights::of(&n.op)).collect();
    let blocks: Vec<Vec<Vec<f64>>> = (0..samples.div_ceil(BLOCK))
        .into_par_iter()
        .map(|block| {
            let range = block * BLOCK..samples.min((block + 1) * BLOCK);
            let inputs = graph.inputs.iter().zip(inputs).map(|(&id, data)| {
                let len = graph.len_of(id);
                data[range.start * len..range.end * len].iter().map(|&x| f64::from(x)).collect()
            });
            evaluate(graph, &weights, inputs.collect(), range.len(), wanted)
        })
        .collect();
    let mut results = vec![Vec::new(); wanted.len()];
    for block in blocks {
        for (result, part) in results.iter_mut().zip(block) {
            result.extend(part);
        }
    }
    Ok(results)
}

fn check(graph: &Graph, inputs: &[&[f32]], samples: usize, wanted: &[ValueId]) -> Result<(), EvalError> {
    if inputs.len() != graph.inputs.len() {
        return Err(EvalError::Inputs { found: inputs.len(), expected: graph.inputs.len() });
    }
    for (&id, data) in graph.inputs.iter().zip(inputs) {
        let expected = graph.len_of(id).saturating_mul(samples);
        if data.len() != expected {
            let name = graph.values[id].name.clone();
            return Err(EvalError::Length { name, found: data.len(), samples, expected });
        }
    }
    if let Some(&id) = wanted.iter().find(|&&id| !graph.inputs.contains(&id) && graph.producer(id).is_none()) {
        return Err(EvalError::Unknown(id));
    }
    graph.check().map_err(|fault| EvalError::Node { node: fault.node, what: fault.what })?;
    for node in &graph.nodes {
        let (from, to) = (graph.len_of(node.inputs[0]), graph.len_of(node.output));
        let fits = match &node.op {
            Op::Dense(d) => {
                d.inputs == from
                    && d.outputs == to
                    && d.weight.len() == from * to
                    && d.bias.len() == to
                    && d.weight_quant.as_ref().is_none_or(|q| covers(q, from * to))
                    && d.bias_quant.as_ref().is_none_or(|q| covers(q, to))
            }
            Op::Affine(a) => from == to && a.scale.len() == to && a.shift.len() == to,
            Op::Quant(q) => from == to && covers(q, to),
            Op::Permute { source } => source.len() == to && source.iter().all(|&s| s < from),
            _ => from == to,
        };
        if !fits {
            let what = format!("its parameters do not fit {from} inputs and {to} outputs");
            return Err(EvalError::Node { node: node.name.clone(), what });
        }
    }
    Ok(())
}

fn covers(spec: &QuantSpec, len: usize) -> bool {
    spec.scale.len() == len && spec.zero_point.len() == len && spec.bits.len() == len
}

/// Weight `[inputs][outputs]` and bias of a dense layer with their annotations applied.
struct Weights {
    weight: Vec<f64>,
    bias: Vec<f64>,
}

impl Weights {
    fn of(op: &Op) -> Option<Self> {
        let Op::Dense(dense) = op else { return None };
        let quantized = |values: &[f32], spec: &Option<QuantSpec>| -> Vec<f64> {
            let quantize = |(e, &x): (usize, &f32)| spec.as_ref().map_or(f64::from(x), |q| q.apply(e, x.into()));
            values.iter().enumerate().map(quantize).collect()
        };
        Some(Weights { weight: quantized(&dense.weight, &dense.weight_quant), bias: quantized(&dense.bias, &dense.bias_quant) })
    }
}

fn evaluate(
    graph: &Graph,
    weights: &[Option<Weights>],
    inputs: Vec<Vec<f64>>,
    samples: usize,
    wanted: &[ValueId],
) -> Vec<Vec<f64>> {
    let mut values: Vec<Vec<f64>> = vec![Vec::new(); graph.values.len()];
    for (&id, data) in graph.inputs.iter().zip(inputs) {
        values[id] = data;
    }
    for (node, weights) in graph.nodes.iter().zip(weights) {
        let x = &values[node.inputs[0]];
        let len = graph.len_of(node.output);
        values[node.output] = match (&node.op, weights) {
            (_, Some(weights)) => dense(x, weights, samples),
            (Op::Softmax, _) => softmax(x, graph.values[node.output].shape.last().copied().unwrap_or(1)),
            (Op::Permute { source }, _) => x.chunks(source.len().max(1)).flat_map(|row| source.iter().map(|&s| row[s])).collect(),
            (op, _) => x.iter().enumerate().map(|(at, &x)| scalar(op, at % len, x)).collect(),
        };
    }
    wanted.iter().map(|&id| values[id].clone()).collect()
}

/// `y = x·W + b`; zeros of `x` (after Relu about half) cost nothing.
fn dense(x: &[f64], Weights { weight, bias }: &Weights, samples: usize) -> Vec<f64> {
    let outputs = bias.len();
    let inputs = x.len() / samples.max(1);
    let mut y = Vec::with_capacity(samples * outputs);
    for row in x.chunks(inputs.max(1)) {
        let start = y.len();
        y.extend_from_slice(bias);
        for (&x, column) in row.iter().zip(weight.chunks(outputs.max(1))) {
            if x != 0.0 {
                y[start..].iter_mut().zip(column).for_each(|(y, w)| *y += x * w);
            }
        }
    }
    y
}

fn softmax(x: &[f64], classes: usize) -> Vec<f64> {
    x.chunks(classes.max(1))
        .flat_map(|row| {
            let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let exp: Vec<f64> = row.iter().map(|x| (x - max).exp()).collect();
            let sum: f64 = exp.iter().sum();
            exp.into_iter().map(move |e| e / sum)
        })
        .collect()
}

/// Element-wise operations on element `e` of a sample.
fn scalar(op: &Op, e: usize, x: f64) -> f64 {
    match op {
        Op::Affine(affine) => x * affine.scale[e] + affine.shift[e],
        Op::Quant(spec) => spec.apply(e, x),
        Op::Relu => x.max(0.0),
        Op::LeakyRelu { alpha } => {
            if x < 0.0 {
                x * f64::from(*alpha)
            } else {
                x
            }
        }
        Op::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Op::Tanh => x.tanh(),
        Op::Sign => {
            if x < 0.0 {
                -1.0
            } else {
                0.0
            }
        }
        Op::Dense(_) | Op::Softmax | Op::Reshape | Op::Permute { .. } => x,
        _ => unimplemented!("convolutions and merges"),
    }
}
