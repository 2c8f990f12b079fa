//! The operations of the imported graph: what is left of ONNX once constants, layouts and spellings are gone.

use super::annotation::QuantSpec;

/// An imported operation. Every operand that is constant in the file is inside the variant.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// `y = x·W + b` (ONNX `Gemm`, `MatMul` [+ `Add`]).
    Dense(Dense),
    /// `y = x·scale + shift`, element by element: a BatchNormalization that could not be folded.
    Affine(Affine),
    /// A QONNX annotation on an activation.
    Quant(QuantSpec),
    Relu,
    LeakyRelu {
        alpha: f32,
    },
    Sigmoid,
    Tanh,
    /// Softmax over the last axis; only as the producer of a graph output.
    Softmax,
    /// Another shape for the same elements in the same order.
    Reshape,
    /// `y[j] = x[source[j]]` over the flattened sample; removed by the layout passes.
    Permute {
        source: Vec<usize>,
    },
}

/// Weights of a dense layer, row-major `[inputs][outputs]`.
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
}

/// Element-wise scale and shift of one sample; both as long as the sample. `f64`, since they are derived
/// (`scale = γ/√(σ²+ε)`, `shift = β − μ·scale`).
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    pub scale: Vec<f64>,
    pub shift: Vec<f64>,
}

impl Op {
    /// The ONNX operator that this stands for, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Op::Dense(_) => "Gemm",
            Op::Affine(_) => "BatchNormalization",
            Op::Quant(_) => "Quant",
            Op::Relu => "Relu",
            Op::LeakyRelu { .. } => "LeakyRelu",
            Op::Sigmoid => "Sigmoid",
            Op::Tanh => "Tanh",
            Op::Softmax => "Softmax",
            Op::Reshape => "Reshape",
            Op::Permute { .. } => "Transpose",
        }
    }
}
