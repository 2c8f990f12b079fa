//! The compiled plan: stages in execution order over numbered buffers. Built once by
//! [`mod@super::compile`], run by [`super::shard`].
//!
//! A value of several positions lies in its buffer as `[sample][position][channel]`, channels
//! padded to whole lanes; kernels see `samples·positions` rows. A flat value has one position.

use super::bits::{BitTable, LayerBits};
use super::kernel::{Isa, Taps};
use super::op::Unary;
use super::op::bias::ChannelGroups;
use super::op::dense::{DenseOp, DenseState};
use super::op::gather::Gather;
use super::op::quantizer::QuantizerState;
use super::op::saturating::{SaturatingOp, SaturatingState};
use super::quantizer_plan::QuantizerPlan;
use super::slot::Slot;
use crate::ops::Merge;
use crate::quant::Rounding;

/// Where a stage leaves the gradient of an input.
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
    /// Dense → Relu → Quantizer: the gate is `z > 0` (docs/recipe.md#gate).
    pub pre_relu: bool,
    /// Quantizer → Relu: the gate is `zq > 0` (HGQ v1).
    pub post_relu: bool,
}

/// One step of the forward pass; the backward pass runs them in reverse. Numbers index the lists of
/// [`Plan`].
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A product at every row; of a convolution, `x` holds the patches.
    Dense {
        dense: usize,
        x: Slot,
        z: Slot,
        fused: Option<Fused>,
    },
    /// A convolution whose output channels see single input channels: `x` holds one row of output
    /// channels for each pixel and channel of a group.
    Grouped {
        dense: usize,
        taps: usize,
        x: Slot,
        z: Slot,
    },
    Quantizer {
        quantizer: usize,
        x: Slot,
        y: Slot,
        post_relu: bool,
    },
    Unary {
        unary: usize,
        x: Slot,
        y: Slot,
    },
    Gather {
        gather: usize,
        inputs: Vec<Slot>,
        y: Slot,
    },
    /// `reciprocal`: factor of the sum; `None`: the maximum.
    Pool {
        taps: usize,
        reciprocal: Option<f32>,
        x: Slot,
        y: Slot,
    },
    /// Both operands and the result lie alike.
    Merge {
        merge: Merge,
        inputs: [Slot; 2],
        y: Slot,
    },
}

/// A step with its backward wiring.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    pub step: Step,
    /// One for each input, in order.
    pub input_grads: Vec<InputGrad>,
    /// The quantizer's backward pass is done by the consumer ([`InputGrad::Through`]).
    pub quantizer_done: bool,
    /// No gradient arrives here.
    pub dead: bool,
}

impl Stage {
    /// What this stage reads.
    pub fn inputs(&self) -> &[Slot] {
        match &self.step {
            Step::Dense { x, .. }
            | Step::Grouped { x, .. }
            | Step::Quantizer { x, .. }
            | Step::Unary { x, .. }
            | Step::Pool { x, .. } => std::slice::from_ref(x),
            Step::Gather { inputs, .. } => inputs,
            Step::Merge { inputs, .. } => inputs,
        }
    }

    /// What other stages read.
    pub fn output(&self) -> Slot {
        match self.step {
            Step::Dense { z, fused, .. } => fused.map_or(z, |f| f.y),
            Step::Grouped { z, .. } => z,
            Step::Quantizer { y, .. }
            | Step::Unary { y, .. }
            | Step::Gather { y, .. }
            | Step::Pool { y, .. }
            | Step::Merge { y, .. } => y,
        }
    }

    /// What becomes of the gradient of input `n`.
    pub fn input_grad(&self, n: usize) -> InputGrad {
        self.input_grads.get(n).copied().unwrap_or(InputGrad::Skip)
    }
}

/// Where a bias gets its fractional bits.
#[derive(Clone)]
pub enum BiasSource {
    Own(Vec<i32>),
    Quantizer { quantizer: usize, channels: ChannelGroups, rounding: Rounding },
}

/// Where the widths of a layer's constants are.
#[derive(Clone)]
pub enum LayerWidths {
    /// HGQ v1: segment of the weights' fractional bits, and where the bias gets its.
    F { f: usize, bias: BiasSource },
    /// HGQ2: segments of the first width (`f` or `b`); that of `i` lies directly after.
    Saturating { op: Box<SaturatingOp>, weight: usize, bias: usize },
}

/// A dense layer or a convolution of the plan, with its parameter segments.
#[derive(Clone)]
pub struct DensePlan {
    pub node: usize,
    pub op: DenseOp,
    pub weight: usize,
    pub bias: usize,
    pub widths: LayerWidths,
    /// The bits that enter the EBOPs of this layer.
    pub bits: LayerBits,
    /// Factor of its EBOPs ([`crate::quant::QDense::ebops_scale`]).
    pub ebops_scale: f64,
    /// Multiplications in parallel that share a weight: `n_g` of a weight counts them
    /// (docs/hgq-spec.md#a2-1).
    pub parallel: f64,
    /// Whether its widths are trained.
    pub trainable: bool,
    /// Factor of β in the gradient of its EBOPs.
    pub beta_scale: f32,
}

impl DensePlan {
    /// Its quantizers, where they are HGQ2's.
    pub fn saturating(&self) -> Option<&SaturatingOp> {
        match &self.widths {
            LayerWidths::F { .. } => None,
            LayerWidths::Saturating { op, .. } => Some(op),
        }
    }
}

/// Everything that stays the same over training.
#[derive(Clone)]
pub struct Plan {
    pub isa: Isa,
    pub stages: Vec<Stage>,
    /// Floats per sample of each buffer.
    pub buffers: Vec<usize>,
    /// Samples that go through all stages together.
    pub block: usize,
    /// A sample's inputs, in the order of the data.
    pub inputs: Vec<Slot>,
    /// Flat.
    pub output: Slot,
    pub dense: Vec<DensePlan>,
    pub quantizers: Vec<QuantizerPlan>,
    pub unary: Vec<Unary>,
    pub gathers: Vec<Gather>,
    /// Tables of [`Step::Grouped`] and [`Step::Pool`].
    pub taps: Vec<Taps>,
    pub bits: BitTable,
}

impl Plan {
    /// Elements of one sample over all inputs.
    pub fn input_len(&self) -> usize {
        self.inputs.iter().map(Slot::elements).sum()
    }

    /// Positions of the value with the most.
    pub fn positions(&self) -> usize {
        self.stages.iter().map(|s| s.output().positions).max().unwrap_or(1)
    }

    /// Elements of one sample over all outputs.
    pub fn output_len(&self) -> usize {
        self.output.elements()
    }
}

/// The plan with the quantized weights and scales of the current step: what all shards share.
#[derive(Clone)]
pub struct Prepared {
    pub plan: Plan,
    pub dense: Vec<DenseState>,
    /// By dense layer; `None` for widths of HGQ v1.
    pub saturating: Vec<Option<SaturatingState>>,
    pub quantizers: Vec<QuantizerState>,
}
