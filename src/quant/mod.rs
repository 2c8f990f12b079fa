//! Fixed point: formats, rounding, quantizers, QONNX annotations, EBOPs and exact evaluation. No
//! training here.

pub mod bias;
pub mod ebops;
pub mod exact;
pub mod groups;
pub mod hardware;
pub mod insert;
pub mod interval;
pub mod kif;
pub mod model;
pub mod port;
pub mod qonnx;
pub mod rescale;
pub mod rounding;
pub mod saturating;
pub mod scale;
pub mod taps;

pub use groups::{Granularity, Groups};
pub use kif::Kif;
pub use model::SaturatingDense;
pub use model::{
    AveragePool, BiasBits, Declared, FixedAffine, FixedDense, FixedModel, FixedOp, FixedQuantizer, FixedTensor, Model, QDense,
    QOp, Quantizer, Range,
};
pub use rounding::{Overflow, Rounding};
pub use saturating::Saturation;
