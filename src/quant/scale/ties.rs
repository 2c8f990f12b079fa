//! Which elements of a graph's values share a factor: the classes that its operations make.

use super::Sharing;
use crate::graph::{Graph, Op, ValueId};
use crate::ops::{Merge, Move};

/// Classes of elements that share an exponent.
pub(super) struct Classes {
    /// By value: where its units begin among all units, and how many it has. A unit is an element,
    /// or a channel at all positions.
    first: Vec<usize>,
    pub units: Vec<usize>,
    /// By unit: another one of its class; the class's own name for itself.
    parent: Vec<u32>,
    /// By unit, true of a class's name: its exponent is 0.
    pub fixed: Vec<bool>,
    /// Products of two tensors, `(a, b, product)`: exponents that add up.
    pub products: Vec<[usize; 3]>,
}

impl Classes {
    /// The unit of element `e` of `value`.
    pub fn unit(&self, value: ValueId, e: usize) -> usize {
        self.first[value] + e % self.units[value].max(1)
    }

    /// The class of a unit.
    pub fn class(&self, mut unit: usize) -> usize {
        while self.parent[unit] as usize != unit {
            unit = self.parent[unit] as usize;
        }
        unit
    }

    /// All units.
    pub fn count(&self) -> usize {
        self.parent.len()
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.class(a), self.class(b));
        let (low, high) = (a.min(b), a.max(b));
        self.parent[high] = low as u32;
        self.fixed[low] |= self.fixed[high];
    }

    fn join_elements(&mut self, (v, e): (ValueId, usize), (w, f): (ValueId, usize)) {
        let (a, b) = (self.unit(v, e), self.unit(w, f));
        self.join(a, b);
    }

    /// All elements of `value` in one class.
    fn join_all(&mut self, value: ValueId) {
        for n in 1..self.units[value] {
            self.join(self.first[value], self.first[value] + n);
        }
    }

    /// All positions of each of `channels`.
    fn join_positions(&mut self, value: ValueId, channels: usize) {
        for n in channels..self.units[value] {
            self.join(self.first[value] + n % channels.max(1), self.first[value] + n);
        }
    }

    /// Element by element; `len` of each.
    fn join_values(&mut self, v: ValueId, w: ValueId, len: usize) {
        let alike = self.units[v] == self.units[w];
        for e in 0..if alike { self.units[v] } else { len } {
            self.join_elements((v, e), (w, e));
        }
    }

    fn fix(&mut self, value: ValueId) {
        for n in 0..self.units[value] {
            let class = self.class(self.first[value] + n);
            self.fixed[class] = true;
        }
    }
}

/// The classes of `graph`.
pub(super) fn classes(graph: &Graph, sharing: &Sharing) -> Classes {
    let mut first = Vec::with_capacity(graph.values.len());
    let mut count = 0;
    let units: Vec<usize> = (0..graph.values.len()).map(|v| units(graph, v)).collect();
    for &n in &units {
        first.push(count);
        count += n;
    }
    let parent = (0..count as u32).collect();
    let mut c = Classes { first, units, parent, fixed: vec![false; count], products: Vec::new() };
    sharing.uniform.iter().chain(&sharing.alike).for_each(|&v| c.join_all(v));
    sharing.fixed.iter().for_each(|&v| c.fix(v));
    for node in &graph.nodes {
        tie(&mut c, graph, &node.op, &node.inputs, node.output);
    }
    c
}

/// Elements of a flat value, channels of one with positions. An input that is only flattened may
/// differ from element to element.
fn units(graph: &Graph, value: ValueId) -> usize {
    let shape = &graph.values[value].shape;
    let readers = graph.consumers(value);
    let flattened = graph.inputs.contains(&value)
        && !readers.is_empty()
        && readers.iter().all(|&n| {
            let node = &graph.nodes[n];
            matches!(node.op, Op::Move(Move::Reshape)) && graph.values[node.output].shape.len() == 1
        });
    if shape.len() > 1 && !flattened { shape.last().copied().unwrap_or(1) } else { graph.len_of(value) }
}

fn tie(c: &mut Classes, graph: &Graph, op: &Op, inputs: &[ValueId], output: ValueId) {
    let (from, len) = (inputs[0], graph.len_of(output));
    match op {
        Op::Dense(d) => {
            if let Some(w) = &d.window {
                c.join_positions(from, w.input[2]);
                c.join_positions(output, d.outputs);
            }
            // annotated grids stay where the file has them
            if d.weight_quant.is_some() || d.bias_quant.is_some() {
                c.fix(from);
                c.fix(output);
            }
        }
        // takes any factors
        Op::Affine(_) => {}
        Op::Elementwise(f) if f.is_homogeneous() => c.join_values(from, output, len),
        Op::Quant(_) | Op::Sign | Op::Elementwise(_) | Op::Clip { .. } => {
            c.fix(from);
            c.fix(output);
        }
        Op::Softmax { .. } => {
            c.join_all(from);
            c.fix(output);
        }
        Op::MaxPool(w) | Op::AveragePool { window: w, .. } => {
            c.join_positions(from, w.input[2]);
            c.join_positions(output, w.input[2]);
            c.join_values(from, output, w.input[2]);
        }
        Op::Merge(Merge::Add | Merge::Sub | Merge::Max | Merge::Min) => {
            inputs.iter().for_each(|&v| c.join_values(v, output, len));
        }
        Op::Merge(Merge::Mul) => {
            for e in 0..c.units[output].max(c.units[inputs[0]]).max(c.units[inputs[1]]) {
                let of = [c.unit(inputs[0], e), c.unit(inputs[1], e), c.unit(output, e)];
                c.products.push(of);
            }
        }
        // by units, not by elements
        Op::Move(Move::Reshape) => c.join_values(from, output, len),
        Op::Move(m) => {
            for (e, source) in m.sources(&graph.shapes(inputs)).into_iter().enumerate() {
                if let Some((which, at)) = source {
                    c.join_elements((inputs[which], at), (output, e));
                }
            }
        }
    }
}
