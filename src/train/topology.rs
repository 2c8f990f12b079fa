//! Who reads and who makes each tensor of a model, with reshapes looked through; which quantizer belongs to which layer.

use crate::quant::{Model, QOp};

/// Readers and producers by *root*: the value a chain of reshapes starts from.
pub struct Topology<'m> {
    model: &'m Model,
    root: Vec<usize>,
    producer: Vec<Option<usize>>,
    readers: Vec<Vec<usize>>,
    is_output: Vec<bool>,
}

impl<'m> Topology<'m> {
    /// `model` must pass [`crate::graph::Dag::check`].
    pub fn new(model: &'m Model) -> Topology<'m> {
        let n = model.values.len();
        let mut t = Topology {
            model,
            root: (0..n).collect(),
            producer: vec![None; n],
            readers: vec![Vec::new(); n],
            is_output: vec![false; n],
        };
        for (index, node) in model.nodes.iter().enumerate() {
            let input = t.root[node.inputs[0]];
            if matches!(node.op, QOp::Reshape) {
                t.root[node.output] = input;
            } else {
                t.producer[node.output] = Some(index);
                t.readers[input].push(index);
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

    /// The node that makes `value`; `None` for the model input.
    pub fn producer(&self, value: usize) -> Option<usize> {
        self.producer[self.root[value]]
    }

    /// The only reader of `value`, if nothing else sees it.
    pub fn sole_reader(&self, value: usize) -> Option<usize> {
        let root = self.root[value];
        match self.readers[root][..] {
            [reader] if !self.is_output[root] => Some(reader),
            _ => None,
        }
    }

    /// The quantizer that feeds `value`, looked for up through Relu and LeakyRelu, and whether a Relu lies between.
    pub fn quantizer_above(&self, value: usize) -> Option<(usize, bool)> {
        let (mut at, mut relu) = (value, false);
        loop {
            let node = self.producer(at)?;
            match self.model.nodes[node].op {
                QOp::Quantizer(_) => return Some((node, relu)),
                QOp::Relu => relu = true,
                QOp::LeakyRelu { .. } => {}
                _ => return None,
            }
            at = self.model.nodes[node].inputs[0];
        }
    }

    /// All quantizers reached from `value` down through Relu and LeakyRelu.
    pub fn quantizers_below(&self, value: usize) -> Vec<usize> {
        let (mut found, mut open) = (Vec::new(), vec![self.root[value]]);
        while let Some(root) = open.pop() {
            for &node in &self.readers[root] {
                match self.model.nodes[node].op {
                    QOp::Quantizer(_) => found.push(node),
                    QOp::Relu | QOp::LeakyRelu { .. } => open.push(self.root[self.model.nodes[node].output]),
                    _ => {}
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}
