//! Whether inputs and the parameters of every node fit the shapes of a graph, so that the loops of
//! the interpreter need no checks.

use super::error::EvalError;
use crate::graph::annotation::QuantSpec;
use crate::graph::dag::ValueId;
use crate::graph::op::{Dense, Op};
use crate::graph::window::Window;
use crate::graph::{Graph, Node};

/// # Errors
/// [`EvalError`] with the first thing that does not fit.
pub fn check(graph: &Graph, inputs: &[&[f32]], samples: usize, wanted: &[ValueId]) -> Result<(), EvalError> {
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
        if !fits(graph, node) {
            let from = graph.shapes(&node.inputs);
            let what = format!("its parameters do not fit inputs {from:?} and output {:?}", graph.values[node.output].shape);
            return Err(EvalError::Node { node: node.name.clone(), what });
        }
    }
    Ok(())
}

fn fits(graph: &Graph, node: &Node<Op>) -> bool {
    let shapes = graph.shapes(&node.inputs);
    let (from, to) = (graph.len_of(node.inputs[0]), graph.len_of(node.output));
    let wanted = if matches!(node.op, Op::Merge(_)) { 2 } else { 1 };
    // movements say it themselves
    (node.inputs.len() == wanted || matches!(node.op, Op::Move(_)))
        && match &node.op {
            Op::Dense(d) => dense(d, from, to),
            Op::Affine(a) => from == to && a.scale.len() == to && a.shift.len() == to,
            Op::Quant(q) => from == to && covers(q, to),
            Op::MaxPool(w) => pool(w, from, to) && !w.sees_padding_only(),
            Op::AveragePool { window, divisor } => pool(window, from, to) && *divisor > 0,
            Op::Merge(_) => from == to && graph.len_of(node.inputs[1]) == to,
            Op::Move(m) => m.fits(&shapes, to).is_ok(),
            Op::Elementwise(_) | Op::Softmax { .. } | Op::Sign | Op::Clip { .. } => from == to,
        }
}

fn dense(d: &Dense, from: usize, to: usize) -> bool {
    let shape = match &d.window {
        None => d.inputs == from && d.outputs == to,
        Some(w) => {
            window(w, from)
                && d.outputs.is_multiple_of(w.groups)
                && d.inputs == w.patch()
                && w.positions().checked_mul(d.outputs) == Some(to)
        }
    };
    let len = d.inputs.saturating_mul(d.outputs);
    shape
        && d.weight.len() == len
        && d.bias.len() == d.outputs
        && d.weight_quant.as_ref().is_none_or(|q| covers(q, len))
        && d.bias_quant.as_ref().is_none_or(|q| covers(q, d.outputs))
}

fn window(w: &Window, from: usize) -> bool {
    w.input.iter().product::<usize>() == from
        && w.kernel.iter().chain(&w.stride).all(|&k| k > 0)
        && w.groups > 0
        && w.input[2].is_multiple_of(w.groups)
        && w.positions() > 0
}

fn pool(w: &Window, from: usize, to: usize) -> bool {
    window(w, from) && w.groups == w.input[2] && w.positions().checked_mul(w.input[2]) == Some(to)
}

fn covers(spec: &QuantSpec, len: usize) -> bool {
    spec.scale.len() == len && spec.zero_point.len() == len && spec.bits.len() == len
}
