//! Removes permutations `y[j] = x[source[j]]`: a dense layer before absorbs it in its columns, a dense layer behind in its
//! rows, element-wise operations let it pass (their vectors are permuted back). Where neither is possible (before a graph
//! output or a Softmax) it becomes a dense layer of zeros and ones.
//!
//! One walk in topological order: a value that is stored in another order than it should have carries that order as
//! pending until a reader absorbs it.

use super::{Links, is_elementwise};
use crate::graph::{Dense, Graph, Node, Op, ValueId};

/// Largest permutation that becomes a matrix: 64 MiB of f32.
const MAX_AS_MATRIX: usize = 4096;

/// Where the elements of a value are.
#[derive(Clone)]
struct Place {
    /// The value that holds them.
    stored: ValueId,
    /// Element `j` is element `pending[j]` of `stored`.
    pending: Option<Vec<usize>>,
}

pub fn run(graph: &mut Graph) -> bool {
    let permutes = |nodes: &[Node<Op>]| nodes.iter().filter(|n| matches!(n.op, Op::Permute { .. })).count();
    let before = permutes(&graph.nodes);
    if before == 0 {
        return false;
    }
    let links = Links::of(graph);
    let mut places: Vec<Place> = (0..graph.values.len()).map(|stored| Place { stored, pending: None }).collect();
    let mut done: Vec<Node<Op>> = Vec::with_capacity(graph.nodes.len());
    // position in `done` of the dense layer that computes a value, if its only reader is still to come
    let mut open_layer: Vec<Option<usize>> = vec![None; graph.values.len()];
    let mut unordered: Vec<(ValueId, ValueId)> = Vec::new();
    for mut node in std::mem::take(&mut graph.nodes) {
        let input = node.inputs[0];
        let place = places[input].clone();
        match (&mut node.op, place.pending) {
            (Op::Permute { source }, None) if open_layer[input].is_some() => {
                if let Some(layer) = open_layer[input].and_then(|at| done.get_mut(at)) {
                    permute_columns(&mut layer.op, source);
                    layer.output = node.output;
                }
                if links.only_consumer(node.output).is_some() {
                    open_layer[node.output] = open_layer[input];
                }
                continue;
            }
            (Op::Permute { source }, pending) => {
                let composed = match pending {
                    None => std::mem::take(source),
                    Some(pending) => source.iter().map(|&s| pending[s]).collect(),
                };
                places[node.output] = Place { stored: place.stored, pending: Some(composed) };
                continue;
            }
            (_, None) => node.inputs = vec![place.stored],
            (Op::Dense(dense), Some(pending)) => {
                permute_rows(dense, &inverse(&pending));
                node.inputs = vec![place.stored];
            }
            (op, Some(pending)) if is_elementwise(op) => {
                permute_vectors(op, &inverse(&pending));
                node.inputs = vec![place.stored];
                places[node.output].pending = Some(pending);
                unordered.push((node.output, place.stored));
            }
            (_, Some(_)) => node.inputs = vec![materialize(graph, &mut places, &mut done, input)],
        }
        if matches!(node.op, Op::Dense(_)) && links.only_consumer(node.output).is_some() {
            open_layer[node.output] = Some(done.len());
        }
        done.push(node);
    }
    for index in 0..graph.outputs.len() {
        let output = graph.outputs[index];
        if places[output].pending.is_some() {
            graph.outputs[index] = materialize(graph, &mut places, &mut done, output);
        }
    }
    for (value, like) in unordered {
        graph.values[value].shape = graph.values[like].shape.clone();
    }
    graph.nodes = done;
    permutes(&graph.nodes) < before
}

/// Too large for a matrix; where such a permutation is all that is left, the import refuses it.
fn is_stuck(source: &[usize]) -> bool {
    source.len() > MAX_AS_MATRIX
}

/// Puts the elements of `value` in their order, by a matrix; returns the value that then holds them.
fn materialize(graph: &mut Graph, places: &mut [Place], done: &mut Vec<Node<Op>>, value: ValueId) -> ValueId {
    let Place { stored, pending } = places[value].clone();
    let Some(source) = pending else { return stored };
    let name = graph.values[value].name.clone();
    let ordered = if stored == value {
        // the value is computed in the wrong order under its own name: the ordered one takes the name
        let shape = graph.values[value].shape.clone();
        graph.values[value].name.push_str("_unordered");
        graph.add_value(name.clone(), shape)
    } else {
        value
    };
    let len = source.len();
    let op = if is_stuck(&source) {
        Op::Permute { source }
    } else {
        let mut weight = vec![0.0; len * len];
        for (to, &from) in source.iter().enumerate() {
            weight[from * len + to] = 1.0;
        }
        Op::Dense(Dense {
            inputs: len,
            outputs: len,
            weight,
            bias: vec![0.0; len],
            weight_quant: None,
            bias_quant: None,
            window: None,
        })
    };
    done.push(Node { name: format!("{name}_order"), op, inputs: vec![stored], output: ordered });
    places[value] = Place { stored: ordered, pending: None };
    ordered
}

fn inverse(source: &[usize]) -> Vec<usize> {
    let mut target = vec![0; source.len()];
    for (to, &from) in source.iter().enumerate() {
        target[from] = to;
    }
    target
}

/// The layer computes its output `source[j]` at place `j`.
fn permute_columns(op: &mut Op, source: &[usize]) {
    let Op::Dense(dense) = op else { return };
    let columns = dense.outputs;
    let elements: Vec<usize> = (0..dense.inputs).flat_map(|row| source.iter().map(move |&s| row * columns + s)).collect();
    dense.weight = elements.iter().map(|&e| dense.weight[e]).collect();
    dense.weight_quant = dense.weight_quant.as_ref().map(|q| q.gather(&elements));
    dense.bias = source.iter().map(|&s| dense.bias[s]).collect();
    dense.bias_quant = dense.bias_quant.as_ref().map(|q| q.gather(source));
}

/// The layer reads at place `i` what it read at place `target[i]`.
fn permute_rows(dense: &mut Dense, target: &[usize]) {
    let columns = dense.outputs;
    let elements: Vec<usize> = target.iter().flat_map(|&row| (0..columns).map(move |c| row * columns + c)).collect();
    dense.weight = elements.iter().map(|&e| dense.weight[e]).collect();
    dense.weight_quant = dense.weight_quant.as_ref().map(|q| q.gather(&elements));
}

fn permute_vectors(op: &mut Op, target: &[usize]) {
    match op {
        Op::Affine(affine) => {
            affine.scale = target.iter().map(|&t| affine.scale[t]).collect();
            affine.shift = target.iter().map(|&t| affine.shift[t]).collect();
        }
        Op::Quant(spec) => *spec = spec.gather(target),
        _ => {}
    }
}
