//! What is known of every block of samples while parameters change.

use crate::graph::ValueId;
use crate::quant::exact::program::Program;
use crate::quant::model::FixedModel;
use crate::simd::{Buffer, Isa};
/// Samples of a block, at most.
pub const BLOCK: usize = 1024;

/// One weight or bias of a dense layer that gets another value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    pub node: usize,
    pub what: Parameter,
    pub value: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Parameter {
    /// Index into `[inputs][outputs]`.
    Weight(usize),
    Bias(usize),
}

/// The values of some samples.
pub struct Block {
    pub samples: usize,
    /// Between the beginnings of columns.
    pub stride: usize,
    /// By value.
    pub values: Vec<Buffer<f64>>,
}

impl Block {
    /// Element `e` of `value` over the samples.
    pub fn column(&self, value: ValueId, e: usize) -> &[f64] {
        &self.values[value][e * self.stride..][..self.samples]
    }
}

/// See the module.
pub struct Variants<'a> {
    pub model: &'a FixedModel,
    pub isa: Isa,
    pub(super) programs: Vec<Program>,
    /// Weights and biases of dense layers, by node.
    pub weights: Vec<Vec<f64>>,
    pub biases: Vec<Vec<f64>>,
    /// In the order of the samples.
    pub blocks: Vec<Block>,
    /// By node and operand.
    pub readers: Vec<Vec<Readers>>,
    /// By value: the last node that reads it; beyond all of them for outputs.
    pub last_read: Vec<usize>,
}

/// Where each element of an operand goes: elements of the result, and the weight in between if the
/// node is a layer.
pub type Readers = Vec<Vec<(u32, u32)>>;
