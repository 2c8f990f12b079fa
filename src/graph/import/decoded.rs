//! Outputs of the file that are class labels: the scores that they were decoded from are the
//! outputs in their place.

use super::context::Context;
use crate::diagnostic::{Code, Diagnostic};
use crate::graph::{Graph, ValueId, op::Op};

/// An output of labels.
pub struct Decoded<'m> {
    pub name: &'m str,
    /// Outputs of the graph in front of it.
    pub position: usize,
    pub scores: ValueId,
}

/// Leaves the label outputs out. Scores that are no output yet become one, and Softmax that only
/// labels were behind goes.
pub fn leave_out(context: &mut Context<'_>, labels: &[Decoded<'_>]) -> Vec<ValueId> {
    let mut scores_of_labels = Vec::new();
    let mut added = 0;
    for label in labels {
        let graph = &mut context.graph;
        let logits = in_front_of_softmax(graph, label.scores);
        let same = |&&o: &&ValueId| in_front_of_softmax(graph, o) == logits;
        let there = graph.outputs.iter().find(same).copied();
        // what a Softmax gives has the same largest one as what it reads
        let output = there.unwrap_or(label.scores);
        let scores = graph.values[output].name.clone();
        let message = if there.is_some() {
            format!("output `{}` decodes class labels; it is left out, the scores `{scores}` stay", label.name)
        } else if graph.inputs.contains(&output) {
            continue;
        } else {
            graph.outputs.insert(label.position + added, output);
            added += 1;
            format!("output `{}` decodes class labels; the scores `{scores}` are the output in its place", label.name)
        };
        scores_of_labels.push(output);
        context.notes.push(Diagnostic::at(Code::LabelOutputDropped, label.name, message));
    }
    let graph = &mut context.graph;
    let unread = |n: &usize| {
        let node = &graph.nodes[*n];
        matches!(node.op, Op::Softmax { .. }) && !graph.outputs.contains(&node.output) && graph.consumers(node.output).is_empty()
    };
    let unread: Vec<usize> = (0..graph.nodes.len()).filter(unread).collect();
    unread.into_iter().rev().for_each(|n| drop(graph.nodes.remove(n)));
    scores_of_labels
}

fn in_front_of_softmax(graph: &Graph, value: ValueId) -> ValueId {
    let softmax = graph.producer(value).map(|n| &graph.nodes[n]).filter(|node| matches!(node.op, Op::Softmax { .. }));
    softmax.map_or(value, |node| node.inputs[0])
}

/// Quantizers between a Softmax and an output are left out: so is the Softmax afterwards.
pub fn quantized_shares(graph: &mut Graph, notes: &mut Vec<Diagnostic>) {
    for at in 0..graph.outputs.len() {
        let output = graph.outputs[at];
        let mut chain = Vec::new();
        let mut value = output;
        let softmax = loop {
            let Some(n) = graph.producer(value) else { break None };
            let op = &graph.nodes[n].op;
            if matches!(op, Op::Softmax { .. }) {
                break Some(value);
            }
            let read = value == output && !graph.consumers(value).is_empty();
            if read || !matches!(op, Op::Quant(_) | Op::Clip { .. }) {
                break None;
            }
            chain.push(n);
            value = graph.nodes[n].inputs[0];
            if graph.outputs.contains(&value) || graph.consumers(value).len() != 1 {
                break None;
            }
        };
        let Some(softmax) = softmax.filter(|_| !chain.is_empty()) else { continue };
        let name = std::mem::take(&mut graph.values[output].name);
        notes.push(Diagnostic::at(Code::SoftmaxDropped, &name, "the quantizer of a Softmax is left off with it"));
        graph.values[softmax].name = name;
        graph.outputs[at] = softmax;
        chain.sort_unstable();
        chain.into_iter().rev().for_each(|n| drop(graph.nodes.remove(n)));
    }
}
