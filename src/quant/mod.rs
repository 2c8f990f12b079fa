//! Fixed point: formats, rounding, quantizers, QONNX annotations, EBOPs and exact evaluation. No training here.

pub mod groups;
pub mod kif;
pub mod model;
pub mod rounding;
pub mod table;

pub use groups::{Granularity, Groups};
pub use kif::Kif;
pub use model::{
    BiasBits, Declared, FixedAffine, FixedDense, FixedModel, FixedOp, FixedQuantizer, FixedTensor, Model, QDense, QOp, Quantizer,
    Range,
};
pub use rounding::{Overflow, Rounding};
