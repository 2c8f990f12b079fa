//! Removes permutations `y[j] = x[source[j]]`: a dense layer before absorbs it in its columns, a dense layer behind in its
//! rows, element-wise operations let it pass (their vectors are permuted back). Where neither is possible (before a graph
//! output or a Softmax) it becomes a dense layer of zeros and ones.

use super::{Links, is_elementwise};
use crate::graph::{Dense, Graph, Node, Op};

/// Largest permutation that becomes a matrix: 64 MiB of f32.
const MAX_AS_MATRIX: usize = 4096;

/// One step: deals with the first permutation that can be changed.
pub fn run(graph: &mut Graph) -> bool {
    for index in 0..graph.nodes.len() {
        let Op::Permute { source } = &graph.nodes[index].op else { continue };
        let source = source.clone();
        let links = Links::of(graph);
        if into_columns(graph, &links, index, &source)
            || into_readers(graph, &links, index, &source)
            || into_matrix(graph, index, &source)
        {
            return true;
        }
    }
    false
}

/// The dense layer before computes its outputs in the new order.
fn into_columns(graph: &mut Graph, links: &Links, index: usize, source: &[usize]) -> bool {
    let (input, output) = (graph.nodes[index].inputs[0], graph.nodes[index].output);
    let Some(layer) = links.producer[input].filter(|_| links.only_consumer(input) == Some(index)) else { return false };
    let Op::Dense(dense) = &mut graph.nodes[layer].op else { return false };
    let columns = dense.outputs;
    let elements: Vec<usize> = (0..dense.inputs).flat_map(|row| source.iter().map(move |&s| row * columns + s)).collect();
    dense.weight = elements.iter().map(|&e| dense.weight[e]).collect();
    dense.weight_quant = dense.weight_quant.as_ref().map(|q| q.gather(&elements));
    dense.bias = source.iter().map(|&s| dense.bias[s]).collect();
    dense.bias_quant = dense.bias_quant.as_ref().map(|q| q.gather(source));
    graph.nodes[layer].output = output;
    graph.nodes.remove(index);
    true
}

/// Every reader that is a dense layer, a permutation or element-wise reads the input of the permutation instead.
fn into_readers(graph: &mut Graph, links: &Links, index: usize, source: &[usize]) -> bool {
    let (input, output) = (graph.nodes[index].inputs[0], graph.nodes[index].output);
    let mut target = vec![0; source.len()];
    for (to, &from) in source.iter().enumerate() {
        target[from] = to;
    }
    let mut behind = Vec::new();
    for &reader in &links.consumers[output] {
        match &mut graph.nodes[reader].op {
            Op::Dense(dense) => {
                let columns = dense.outputs;
                let elements: Vec<usize> = target.iter().flat_map(|&row| (0..columns).map(move |c| row * columns + c)).collect();
                dense.weight = elements.iter().map(|&e| dense.weight[e]).collect();
                dense.weight_quant = dense.weight_quant.as_ref().map(|q| q.gather(&elements));
            }
            Op::Affine(affine) => {
                affine.scale = target.iter().map(|&t| affine.scale[t]).collect();
                affine.shift = target.iter().map(|&t| affine.shift[t]).collect();
                behind.push(reader);
            }
            Op::Quant(spec) => {
                *spec = spec.gather(&target);
                behind.push(reader);
            }
            Op::Permute { source: next } => next.iter_mut().for_each(|s| *s = source[*s]),
            op if is_elementwise(op) => behind.push(reader),
            _ => continue,
        }
        graph.nodes[reader].inputs = vec![input];
    }
    let rewired = links.consumers[output].len();
    let remaining = graph.nodes.iter().filter(|n| n.inputs.contains(&output)).count();
    if rewired == remaining {
        return false;
    }
    // an element-wise reader now computes the old order; the permutation follows it
    for &reader in behind.iter().rev() {
        let permuted = graph.nodes[reader].output;
        let name = format!("{}_unpermuted", graph.values[permuted].name);
        let shape = graph.values[input].shape.clone();
        let plain = graph.add_value(name, shape);
        graph.nodes[reader].output = plain;
        let name = format!("{}_permuted", graph.nodes[reader].name);
        let op = Op::Permute { source: source.to_vec() };
        graph.nodes.insert(reader + 1, Node { name, op, inputs: vec![plain], output: permuted });
    }
    if remaining == 0 && !links.is_output[output] {
        graph.nodes.remove(index);
    }
    true
}

fn into_matrix(graph: &mut Graph, index: usize, source: &[usize]) -> bool {
    let len = source.len();
    if len > MAX_AS_MATRIX {
        return false;
    }
    let mut weight = vec![0.0; len * len];
    for (to, &from) in source.iter().enumerate() {
        weight[from * len + to] = 1.0;
    }
    let bias = vec![0.0; len];
    graph.nodes[index].op = Op::Dense(Dense { inputs: len, outputs: len, weight, bias, weight_quant: None, bias_quant: None });
    true
}
