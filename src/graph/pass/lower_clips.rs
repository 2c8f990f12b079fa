//! Clips become what hls4ml has: `clip(x, lo, hi) = lo + relu(x − lo) − relu(x − hi)`, which is
//! exact on every grid. A bound that the quantizer right after has anyway is left out first.

use super::{Links, bypass};
use crate::graph::{Affine, Graph, Node, Op, ValueId};
use crate::ops::{Elementwise, Merge};

pub fn run(graph: &mut Graph) -> bool {
    if !graph.nodes.iter().any(|n| matches!(n.op, Op::Clip { .. })) {
        return false;
    }
    relax(graph);
    let mut done = Vec::with_capacity(graph.nodes.len());
    for node in std::mem::take(&mut graph.nodes) {
        if let Op::Clip { lo, hi } = node.op {
            lower(graph, &mut done, node, lo, hi);
        } else {
            done.push(node);
        }
    }
    graph.nodes = done;
    true
}

/// Drops bounds that a quantizer after makes superfluous.
fn relax(graph: &mut Graph) {
    let mut links = Links::of(graph);
    for index in 0..graph.nodes.len() {
        let Op::Clip { lo, hi } = graph.nodes[index].op else { continue };
        let Some(Op::Quant(spec)) = links.only_consumer(graph.nodes[index].output).map(|c| &graph.nodes[c].op) else { continue };
        let within = |bound: f64, end: fn((f64, f64)) -> f64, side: f64| {
            (0..spec.scale.len()).all(|e| side * (bound - (end(spec.int_range(e)) - spec.zero_point[e]) * spec.scale[e]) >= 0.0)
        };
        let lo = if within(lo, |range| range.0, -1.0) { f64::NEG_INFINITY } else { lo };
        let hi = if within(hi, |range| range.1, 1.0) { f64::INFINITY } else { hi };
        if lo.is_infinite() && hi.is_infinite() {
            bypass(graph, &mut links, index);
        } else {
            graph.nodes[index].op =
                if lo == 0.0 && hi.is_infinite() { Op::Elementwise(Elementwise::Relu) } else { Op::Clip { lo, hi } };
        }
    }
    links.sweep(graph);
}

fn lower(graph: &mut Graph, done: &mut Vec<Node<Op>>, node: Node<Op>, lo: f64, hi: f64) {
    let x = node.inputs[0];
    let mut parts = Parts { graph, done, node: &node };
    match (lo.is_finite(), hi.is_finite()) {
        // max(x, lo) = relu(x − lo) + lo
        (true, false) => {
            let above = parts.above("above", x, lo);
            parts.end(shift(parts.len(), lo), vec![above]);
        }
        // min(x, hi) = x − relu(x − hi)
        (false, true) => {
            let over = parts.above("over", x, hi);
            parts.end(Op::Merge(Merge::Sub), vec![x, over]);
        }
        _ => {
            let (inside, over) = (parts.above("above", x, lo), parts.above("over", x, hi));
            if lo == 0.0 {
                parts.end(Op::Merge(Merge::Sub), vec![inside, over]);
            } else {
                let difference = parts.step("inside", Op::Merge(Merge::Sub), vec![inside, over]);
                parts.end(shift(parts.len(), lo), vec![difference]);
            }
        }
    }
}

fn shift(len: usize, by: f64) -> Op {
    Op::Affine(Affine { scale: vec![1.0; len], shift: vec![by; len] })
}

/// The nodes that take the place of one.
struct Parts<'a> {
    graph: &'a mut Graph,
    done: &'a mut Vec<Node<Op>>,
    node: &'a Node<Op>,
}

impl Parts<'_> {
    fn len(&self) -> usize {
        self.graph.len_of(self.node.output)
    }

    fn step(&mut self, what: &str, op: Op, inputs: Vec<ValueId>) -> ValueId {
        let name = format!("{}_{what}", self.node.name);
        let shape = self.graph.values[self.node.output].shape.clone();
        let output = self.graph.add_value(name.clone(), shape);
        self.done.push(Node { name, op, inputs, output });
        output
    }

    /// `relu(x − by)`.
    fn above(&mut self, what: &str, x: ValueId, by: f64) -> ValueId {
        let from = if by == 0.0 { x } else { self.step(&format!("{what}_shift"), shift(self.len(), -by), vec![x]) };
        self.step(what, Op::Elementwise(Elementwise::Relu), vec![from])
    }

    fn end(&mut self, op: Op, inputs: Vec<ValueId>) {
        self.done.push(Node { name: self.node.name.clone(), op, inputs, output: self.node.output });
    }
}
