//! The operations of the imported graph: what is left of ONNX once constants, layouts and spellings
//! are gone.

use super::annotation::QuantSpec;
use super::window::Window;
use crate::ops::{Elementwise, Merge, Move};

/// An imported operation. Every operand that is constant in the file is inside the variant.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant)] // a graph has few layers
pub enum Op {
    /// `y = x·W + b` (ONNX `Gemm`, `MatMul` [+ `Add`]), or the same at every position of a window
    /// (`Conv`).
    Dense(Dense),
    /// `y = x·scale + shift`, element by element: a BatchNormalization that could not be folded.
    Affine(Affine),
    /// A QONNX annotation on an activation.
    Quant(QuantSpec),
    Elementwise(Elementwise),
    /// Softmax over the last axis, or its logarithm; only as the producer of a graph output.
    Softmax {
        log: bool,
    },
    /// `−1` where `x < 0`, else `0`: `BipolarQuant` is an [`Affine`] of it, `scale·(2·y + 1)`.
    Sign,
    /// Between two bounds, of which either may be infinite; removed by the passes.
    Clip {
        lo: f64,
        hi: f64,
    },
    /// Largest value under a window with one group per channel; padding never wins.
    MaxPool(Window),
    /// Sum under a window with one group per channel, divided by `divisor`; padding counts as
    /// zeros.
    AveragePool {
        window: Window,
        divisor: usize,
    },
    /// Two tensors of one shape, element by element; the only operation of this list with two
    /// inputs besides [`Move::Concat`].
    Merge(Merge),
    /// The layout passes leave no [`Move::Permute`].
    Move(Move),
}

/// Weights of a dense layer, row-major `[inputs][outputs]`. With a window the layer is applied at
/// every output position to the elements under the kernel: `inputs` is [`Window::patch`] (kernel
/// row, kernel column, channel of the group), `outputs` the channels of the result, of which each
/// group of the window computes an equal share in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    pub inputs: usize,
    pub outputs: usize,
    /// Values as stored in the file, before their annotation is applied.
    pub weight: Vec<f32>,
    /// Length `outputs`; zeros when the file has no bias.
    pub bias: Vec<f32>,
    /// Annotation of the weight, expanded to `[inputs][outputs]`.
    pub weight_quant: Option<QuantSpec>,
    /// Annotation of the bias, expanded to `[outputs]`.
    pub bias_quant: Option<QuantSpec>,
    /// `None`: the whole flat sample is the input.
    pub window: Option<Window>,
}

/// Element-wise scale and shift of one sample; both as long as the sample. `f64`, since they are
/// derived (`scale = γ/√(σ²+ε)`, `shift = β − μ·scale`).
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    pub scale: Vec<f64>,
    pub shift: Vec<f64>,
}

impl Op {
    /// The ONNX operator that this stands for, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Op::Dense(d) => match &d.window {
                None => "Gemm",
                Some(_) => "Conv",
            },
            Op::Affine(_) => "BatchNormalization",
            Op::Quant(_) => "Quant",
            Op::Elementwise(f) => f.onnx(),
            Op::Softmax { log: false } => "Softmax",
            Op::Softmax { log: true } => "LogSoftmax",
            Op::Sign => "BipolarQuant",
            Op::Clip { .. } => "Clip",
            Op::MaxPool(_) => "MaxPool",
            Op::AveragePool { .. } => "AveragePool",
            Op::Merge(merge) => merge.onnx(),
            Op::Move(m) => m.onnx(),
        }
    }
}
