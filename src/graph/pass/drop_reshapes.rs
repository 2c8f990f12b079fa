//! Removes reshapes that change nothing for what follows. Where no operation looks at axes (a
//! multi-layer perceptron with a flat input), all of them: only a graph output and the last axis of
//! a Softmax then depend on a shape, and what follows a removed reshape takes the shape of what
//! precedes it. Otherwise a reshape of a reshape is one.

use super::{Links, bypass, is_elementwise, is_spatial};
use crate::graph::{Graph, Op};
use crate::ops::Move;

pub fn run(graph: &mut Graph) -> bool {
    if looks_at_axes(graph) { join(graph) } else { drop_all(graph) }
}

fn looks_at_axes(graph: &Graph) -> bool {
    graph.inputs.iter().any(|&i| graph.values[i].shape.len() > 1)
        || graph.nodes.iter().any(|n| {
            is_spatial(&n.op) || (matches!(n.op, Op::Move(Move::Concat { .. })) && graph.values[n.output].shape.len() > 1)
        })
}

fn join(graph: &mut Graph) -> bool {
    let links = Links::of(graph);
    let mut changed = false;
    for index in 0..graph.nodes.len() {
        let input = graph.nodes[index].inputs[0];
        let Some(first) = links.producer[input].filter(|_| matches!(graph.nodes[index].op, Op::Move(Move::Reshape))) else {
            continue;
        };
        if matches!(graph.nodes[first].op, Op::Move(Move::Reshape)) {
            graph.nodes[index].inputs[0] = graph.nodes[first].inputs[0];
            changed = true;
        }
    }
    if changed {
        let mut links = Links::of(graph);
        for index in 0..graph.nodes.len() {
            let output = graph.nodes[index].output;
            links.dead[index] = matches!(graph.nodes[index].op, Op::Move(Move::Reshape))
                && links.consumers[output].is_empty()
                && !links.is_output[output];
        }
        links.sweep(graph);
    }
    changed
}

fn drop_all(graph: &mut Graph) -> bool {
    let mut links = Links::of(graph);
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        if !matches!(node.op, Op::Move(Move::Reshape)) {
            continue;
        }
        let (input, output) = (node.inputs[0], node.output);
        let softmax = |&reader: &usize| matches!(graph.nodes[reader].op, Op::Softmax { .. });
        let last = |value: usize| graph.values[value].shape.last().copied();
        if links.consumers[output].iter().any(softmax) && last(input) != last(output) {
            continue;
        }
        // a graph output keeps its shape: its producer computes it directly, if nobody else reads
        // the old shape
        if links.is_output[output] {
            let sole = links.only_consumer(input) == Some(index);
            let producer_is_softmax = links.producer[input].is_some_and(|p| matches!(graph.nodes[p].op, Op::Softmax { .. }));
            if !sole || producer_is_softmax {
                continue;
            }
        }
        bypass(graph, &mut links, index);
    }
    let changed = links.sweep(graph);
    if changed {
        inherit_shapes(graph);
    }
    changed
}

fn inherit_shapes(graph: &mut Graph) {
    let outputs = graph.outputs.clone();
    let moved = |op: &Op| is_elementwise(op) || matches!(op, Op::Merge(_));
    for node in graph.nodes.iter().filter(|n| moved(&n.op) && !outputs.contains(&n.output)) {
        graph.values[node.output].shape = graph.values[node.inputs[0]].shape.clone();
    }
}
