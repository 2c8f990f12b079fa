//! Who reads each tensor of a model, with reshapes looked through; which quantizers lie after a
//! layer.

use crate::graph::Node;
use crate::ops::Move;
use crate::quant::{Model, QOp};

/// Readers by *root*: the value a chain of reshapes starts from.
pub struct Topology<'m> {
    model: &'m Model,
    root: Vec<usize>,
    readers: Vec<Vec<usize>>,
    is_output: Vec<bool>,
}

impl<'m> Topology<'m> {
    /// `model` must pass [`crate::graph::Dag::check`].
    pub fn new(model: &'m Model) -> Topology<'m> {
        let n = model.values.len();
        let mut t = Topology { model, root: (0..n).collect(), readers: vec![Vec::new(); n], is_output: vec![false; n] };
        for (index, node) in model.nodes.iter().enumerate() {
            if matches!(node.op, QOp::Move(Move::Reshape)) {
                t.root[node.output] = t.root[node.inputs[0]];
                continue;
            }
            for &input in &node.inputs {
                let root = t.root[input];
                t.readers[root].push(index);
            }
        }
        for &output in &model.outputs {
            t.is_output[t.root[output]] = true;
        }
        t
    }

    pub fn root(&self, value: usize) -> usize {
        self.root[value]
    }

    /// The only reader of `value`, if nothing else sees it.
    pub fn sole_reader(&self, value: usize) -> Option<usize> {
        let root = self.root[value];
        match self.readers[root][..] {
            [reader] if !self.is_output[root] => Some(reader),
            _ => None,
        }
    }

    /// All quantizers reached from `value` down through Relu, LeakyRelu and MaxPool, which leave
    /// each channel on its own.
    pub fn quantizers_below(&self, value: usize) -> Vec<usize> {
        let (mut found, mut open) = (Vec::new(), vec![self.root[value]]);
        while let Some(root) = open.pop() {
            for &node in &self.readers[root] {
                let Node { op, output, .. } = &self.model.nodes[node];
                if matches!(op, QOp::Quantizer(_)) {
                    found.push(node);
                } else if op.keeps_channels() {
                    open.push(self.root[*output]);
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}
