//! Zeros around a tensor that only a convolution or an average reads are padding of its window.

use super::{Links, bypass};
use crate::graph::{Graph, Op, Window};
use crate::ops::Move;

pub fn run(graph: &mut Graph) -> bool {
    let mut links = Links::of(graph);
    for index in 0..graph.nodes.len() {
        let Op::Move(Move::Pad { before, after }) = graph.nodes[index].op.clone() else { continue };
        let Some(reader) = links.only_consumer(graph.nodes[index].output) else { continue };
        let Some(wider) = padded(&mut graph.nodes[reader].op).and_then(|w| widened(w, &before, &after)) else { continue };
        // an average over padding alone stays one over zeros
        if matches!(graph.nodes[reader].op, Op::AveragePool { .. }) && wider.sees_padding_only() {
            continue;
        }
        if bypass(graph, &mut links, index)
            && let Some(window) = padded(&mut graph.nodes[reader].op)
        {
            *window = wider;
        }
    }
    links.sweep(graph)
}

/// The window of an operation that pads with zeros.
fn padded(op: &mut Op) -> Option<&mut Window> {
    if let Op::Dense(dense) = op {
        dense.window.as_mut()
    } else if let Op::AveragePool { window, .. } = op {
        Some(window)
    } else {
        None
    }
}

/// The window over the tensor without its padding; `None` where channels are padded.
fn widened(window: &Window, before: &[usize], after: &[usize]) -> Option<Window> {
    let rank = before.len().checked_sub(1)?;
    if before[rank] != 0 || after[rank] != 0 || !(1..=2).contains(&rank) {
        return None;
    }
    let mut wider = window.clone();
    for axis in 0..rank {
        // a one-dimensional sample is a row of height 1
        let at = axis + 2 - rank;
        wider.input[at] = wider.input[at].checked_sub(before[axis] + after[axis])?;
        wider.pads[at] += before[axis];
        wider.pads[at + 2] += after[axis];
    }
    Some(wider)
}
