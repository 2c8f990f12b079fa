//! What evaluation knows of a node beforehand: non-zero products, elements under windows, where
//! moved elements come from.

use crate::ops::movement::Source;
use crate::quant::model::{FixedModel, FixedOp};
use crate::quant::taps::Taps;

/// A layer `[patch][outputs]`.
pub(super) struct Layer {
    pub taps: Taps,
    /// By output: rows and weights that are not 0.
    pub columns: Vec<Vec<(u32, f64)>>,
    pub bias: Vec<f64>,
}

/// One node.
pub(super) enum Program {
    /// Nothing to know.
    Plain,
    Layer(Layer),
    /// With the number of channels.
    Pool(Taps, usize),
    Average(Taps, usize),
    /// For each element of the result: operand and element, or zero.
    Move(Vec<Option<(u32, u32)>>),
}

/// The program of every node.
pub(super) fn programs(model: &FixedModel) -> Vec<Program> {
    model
        .nodes
        .iter()
        .map(|node| match &node.op {
            FixedOp::Dense(d) => {
                let column = |o: usize| {
                    let entries = (0..d.inputs).map(|k| (k, k * d.outputs + o)).filter(|&(_, at)| d.weight.ints[at] != 0);
                    entries.map(|(k, at)| (k as u32, d.weight.value(at))).collect()
                };
                Program::Layer(Layer {
                    taps: Taps::new(d.inputs, d.outputs, d.window.as_ref()),
                    columns: (0..d.outputs).map(column).collect(),
                    bias: (0..d.outputs).map(|o| d.bias.value(o)).collect(),
                })
            }
            FixedOp::MaxPool(w) => Program::Pool(Taps::pooling(w), w.input[2]),
            FixedOp::AveragePool(a) => Program::Average(Taps::pooling(&a.window), a.window.input[2]),
            FixedOp::Move(m) => {
                let small = |(which, e): Source| (which as u32, e as u32);
                Program::Move(m.sources(&model.shapes(&node.inputs)).into_iter().map(|from| from.map(small)).collect())
            }
            FixedOp::Quantize(_) | FixedOp::Affine(_) | FixedOp::Elementwise(_) | FixedOp::Merge(_) => Program::Plain,
        })
        .collect()
}
