//! Forgets the values that no node computes any more and numbers the others in the order in which
//! they are computed.

use crate::graph::{Graph, ValueId};

pub fn run(graph: &mut Graph) -> bool {
    let order: Vec<ValueId> = graph.inputs.iter().copied().chain(graph.nodes.iter().map(|n| n.output)).collect();
    if order.iter().copied().eq(0..graph.values.len()) {
        return false;
    }
    let mut renumbered = vec![0; graph.values.len()];
    for (new, &old) in order.iter().enumerate() {
        renumbered[old] = new;
    }
    graph.values = order.iter().map(|&old| graph.values[old].clone()).collect();
    let ids = graph.nodes.iter_mut().flat_map(|n| n.inputs.iter_mut().chain(std::iter::once(&mut n.output)));
    for id in ids.chain(&mut graph.inputs).chain(&mut graph.outputs) {
        *id = renumbered[*id];
    }
    true
}
