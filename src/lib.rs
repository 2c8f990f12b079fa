//! hgq-onnx: an ONNX model goes in, a bit-accurate fixed-point proxy for hls4ml comes out.

pub mod cli;
pub mod convert;
pub mod data;
pub mod graph;
pub mod onnx;
pub mod proxy;
pub mod quant;
#[cfg(feature = "serve")]
pub mod service;
pub mod trace;
pub mod train;
pub mod verify;
