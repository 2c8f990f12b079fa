//! Selections of selections are one; one that takes every element in its place is none.

use super::{Links, bypass};
use crate::graph::{Graph, Op};
use crate::ops::Move;

pub fn run(graph: &mut Graph) -> bool {
    let mut links = Links::of(graph);
    let mut changed = false;
    for index in 0..graph.nodes.len() {
        let (input, output) = (graph.nodes[index].inputs[0], graph.nodes[index].output);
        let Op::Move(Move::Select { source }) = &graph.nodes[index].op else { continue };
        if source.len() == graph.len_of(input) && source.iter().enumerate().all(|(at, &from)| from == Some(at)) {
            if graph.values[input].shape != graph.values[output].shape {
                graph.nodes[index].op = Op::Move(Move::Reshape);
                changed = true;
            } else {
                bypass(graph, &mut links, index);
            }
            continue;
        }
        let before = links.producer[input].filter(|&p| !links.dead[p] && links.only_consumer(input) == Some(index));
        let Some(before) = before else { continue };
        let Op::Move(Move::Select { source: first }) = &graph.nodes[before].op else { continue };
        let source = source.iter().map(|&at| at.and_then(|at| first[at])).collect();
        graph.nodes[index].op = Op::Move(Move::Select { source });
        graph.nodes[index].inputs = graph.nodes[before].inputs.clone();
        links.dead[before] = true;
        changed = true;
        break;
    }
    links.sweep(graph) || changed
}
