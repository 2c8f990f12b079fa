//! What stands above and below a value: the widths of its elements, and the width of a bias.

use super::products::{moved, pooled};
use super::quantizers::{quantize, rhe, round};
use hgq_onnx::graph::Window;
use hgq_onnx::ops::{Elementwise, Move};
use hgq_onnx::quant::{BiasBits, Model, QOp, Rounding};

/// A width: quantizer node, group, whether a Relu lies between.
pub type Width = (usize, usize, bool);

pub struct Network<'m> {
    pub model: &'m Model,
}

impl Network<'_> {
    /// The widths of each element of value `v`, of which the largest counts.
    pub fn above(&self, v: usize) -> Vec<Vec<Width>> {
        let n = self.model.producer(v).unwrap();
        let node = &self.model.nodes[n];
        let x = |which: usize| self.above(node.inputs[which]);
        let windows = |w: &Window| {
            let x = x(0);
            pooled(w).iter().map(|under| under.iter().flat_map(|&e| x[e].clone()).collect()).collect()
        };
        match &node.op {
            QOp::Quantizer(q) => (0..q.groups.elements()).map(|e| vec![(n, q.groups.of(e), false)]).collect(),
            QOp::Elementwise(Elementwise::Relu) => {
                x(0).into_iter().map(|set| set.into_iter().map(|(n, g, _)| (n, g, true)).collect()).collect()
            }
            QOp::Elementwise(Elementwise::LeakyRelu { .. }) | QOp::Move(Move::Reshape) => x(0),
            QOp::MaxPool(w) => windows(w),
            QOp::AveragePool(a) => windows(&a.window),
            QOp::Move(Move::Concat { .. }) | QOp::Move(Move::Pad { .. }) => {
                let inputs: Vec<_> = (0..node.inputs.len()).map(x).collect();
                moved(self.model, n).into_iter().map(|from| from.map_or(vec![], |(i, e)| inputs[i][e].clone())).collect()
            }
            _ => panic!("no width after {}", node.name),
        }
    }

    pub fn below(&self, v: usize) -> Option<usize> {
        self.model.consumers(v).into_iter().find_map(|n| match self.model.nodes[n].op {
            QOp::Quantizer(_) => Some(n),
            QOp::Elementwise(Elementwise::Relu | Elementwise::LeakyRelu { .. }) | QOp::Move(Move::Reshape) | QOp::MaxPool(_) => {
                self.below(self.model.nodes[n].output)
            }
            _ => None,
        })
    }

    /// Quantized bias, and the (quantizer, group) pairs that have its width.
    pub fn bias(&self, node: usize, c: usize) -> (f64, Vec<(usize, usize)>) {
        let d = match &self.model.nodes[node].op {
            QOp::Dense(d) => d,
            QOp::SaturatingDense(s) => return (quantize(&s.bias, c, f64::from(s.layer.bias[c])).0, vec![]),
            _ => panic!(),
        };
        match &d.bias_bits {
            BiasBits::Own(f) => (round(f64::from(d.bias[c]), f64::from(f[c]), Rounding::HalfUp), vec![]),
            BiasBits::Activation => {
                let n = self.below(self.model.nodes[node].output).unwrap();
                let QOp::Quantizer(q) = &self.model.nodes[n].op else { panic!() };
                let mut groups: Vec<usize> =
                    (0..q.groups.elements()).filter(|e| e % d.outputs == c).map(|e| q.groups.of(e)).collect();
                groups.sort_unstable();
                groups.dedup();
                let most = groups.iter().map(|&g| q.f[g]).fold(f32::MIN, f32::max);
                let widest = groups.into_iter().filter(|&g| q.f[g] == most).map(|g| (n, g)).collect();
                (round(f64::from(d.bias[c]), rhe(most), q.rounding), widest)
            }
        }
    }
}
