//! Removes reshapes: every operation of the graph works on the flattened sample, so only a graph output and the last
//! axis of a Softmax depend on a shape. What follows a removed reshape takes the shape of what precedes it.

use super::{Links, bypass, is_elementwise};
use crate::graph::{Graph, Op};

pub fn run(graph: &mut Graph) -> bool {
    let mut links = Links::of(graph);
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        if !matches!(node.op, Op::Reshape) {
            continue;
        }
        let (input, output) = (node.inputs[0], node.output);
        let softmax = |&reader: &usize| matches!(graph.nodes[reader].op, Op::Softmax);
        let last = |value: usize| graph.values[value].shape.last().copied();
        if links.consumers[output].iter().any(softmax) && last(input) != last(output) {
            continue;
        }
        // a graph output keeps its shape: its producer computes it directly, if nobody else reads the old shape
        if links.is_output[output] {
            let sole = links.only_consumer(input) == Some(index);
            let producer_is_softmax = links.producer[input].is_some_and(|p| matches!(graph.nodes[p].op, Op::Softmax));
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
    for node in graph.nodes.iter().filter(|n| is_elementwise(&n.op) && !outputs.contains(&n.output)) {
        graph.values[node.output].shape = graph.values[node.inputs[0]].shape.clone();
    }
}
