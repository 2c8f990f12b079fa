//! The compiled plan: stages in execution order over numbered buffers. Built once by [`super::compile`], run by [`super::shard`].

use super::kernel::{Isa, pad};
use super::op::Unary;
use super::op::bias::ChannelGroups;
use super::op::dense::{DenseOp, DenseState};
use super::op::quantizer::{QuantizerOp, QuantizerState};
use crate::quant::Rounding;

/// Index of a block buffer (values and gradients alike).
pub type Slot = usize;

/// Where a stage leaves the gradient of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputGrad {
    /// Nothing upstream learns.
    Skip,
    /// First gradient of this buffer in the backward pass.
    Store,
    Add,
    /// In the same kernel on through the quantizer of that stage, whose only reader this stage is.
    Through(usize),
}

/// A quantizer in the epilogue of a dense layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fused {
    pub quantizer: usize,
    pub y: Slot,
    /// Dense → Relu → Quantizer: the gate is `z > 0` (recipe).
    pub pre_relu: bool,
    /// Quantizer → Relu: the gate is `zq > 0` (HGQ v1).
    pub post_relu: bool,
}

/// One step of the forward pass; the backward pass runs them in reverse.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Dense { dense: usize, x: Slot, z: Slot, fused: Option<Fused> },
    Quantizer { quantizer: usize, x: Slot, y: Slot, post_relu: bool },
    Unary { unary: usize, x: Slot, y: Slot },
}

/// A step with its backward wiring.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    pub step: Step,
    pub input_grad: InputGrad,
    /// The quantizer's backward pass is done by the consumer ([`InputGrad::Through`]).
    pub quantizer_done: bool,
    /// No gradient arrives here.
    pub dead: bool,
}

impl Stage {
    /// The buffer this stage reads.
    pub fn input(&self) -> Slot {
        match self.step {
            Step::Dense { x, .. } | Step::Quantizer { x, .. } | Step::Unary { x, .. } => x,
        }
    }

    /// The buffer other stages read.
    pub fn output(&self) -> Slot {
        match self.step {
            Step::Dense { z, fused, .. } => fused.map_or(z, |f| f.y),
            Step::Quantizer { y, .. } | Step::Unary { y, .. } => y,
        }
    }
}

/// Where a bias gets its fractional bits.
#[derive(Clone)]
pub enum BiasSource {
    Own(Vec<i32>),
    Quantizer { quantizer: usize, channels: ChannelGroups, rounding: Rounding },
}

/// A dense layer of the plan, with its parameter segments.
#[derive(Clone)]
pub struct DensePlan {
    pub node: usize,
    pub op: DenseOp,
    pub weight: usize,
    pub bias: usize,
    pub f: usize,
    pub bias_source: BiasSource,
    /// The quantizer whose bits enter the EBOPs of this layer, and whether a Relu lies between.
    pub input_quantizer: usize,
    pub input_relu: bool,
    /// Whether its widths are trained.
    pub trainable: bool,
}

/// A quantizer of the plan, with its parameter segments.
#[derive(Clone)]
pub struct QuantizerPlan {
    pub node: usize,
    pub op: QuantizerOp,
    pub f: usize,
    /// Directly behind `f`.
    pub i: Option<usize>,
    /// Whether its widths are trained.
    pub trainable: bool,
}

/// Everything that stays the same over training.
#[derive(Clone)]
pub struct Plan {
    pub isa: Isa,
    pub stages: Vec<Stage>,
    /// Elements per sample of each buffer.
    pub slots: Vec<usize>,
    pub input: Slot,
    pub output: Slot,
    pub dense: Vec<DensePlan>,
    pub quantizers: Vec<QuantizerPlan>,
    pub unary: Vec<Unary>,
}

impl Plan {
    /// Padded row length of a buffer.
    pub fn stride(&self, slot: Slot) -> usize {
        pad(self.slots[slot])
    }
}

/// The plan with the quantized weights and scales of the current step: what all shards share.
#[derive(Clone)]
pub struct Prepared {
    pub plan: Plan,
    pub dense: Vec<DenseState>,
    pub quantizers: Vec<QuantizerState>,
}
