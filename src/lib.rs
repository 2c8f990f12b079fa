//! hgq-onnx: an ONNX model goes in, a bit-accurate fixed-point proxy for hls4ml comes out.
//!
//! ```text
//! bytes ──onnx──▶ ModelProto ──graph──▶ Graph ──quant──▶ Model ──train──▶ tuned weights and bits
//!                                                                           │ trace (trace_minmax)
//! report ◀── verify ◀── proxy.onnx ◀──proxy── FixedModel: exact formats (k,i,f) per element ◀──┘
//! ```
//!
//! | module | in → out | promise |
//! |---|---|---|
//! | [`onnx`] | bytes → `ModelProto` | limits before decoding |
//! | [`graph`] | `ModelProto` → [`graph::Graph`] | constants and BatchNormalization folded, every unsupported node named at once |
//! | [`quant`] | `Graph` → [`quant::Model`] | annotations taken over exactly, float tensors with HGQ's start; EBOPs; exact evaluation |
//! | [`train`] | + data → trained weights and bit widths | gradients equal HGQ's; reproducible for a seed and a thread count |
//! | [`trace`] | + calibration data → [`quant::FixedModel`] | ranges without overflow, formats per element |
//! | [`proxy`] | `FixedModel` → file | only what stock hls4ml computes exactly |
//! | [`verify`] | file, read again → integers | equal to the model on all calibration data, or the job fails |
//! | [`convert`] | job → artifacts | the stages in order, and the report |
//!
//! Each module knows only those above it (docs/architecture.md). [`cli`] and `service` call [`convert`]; [`data`], [`ops`] and [`simd`] stand beside
//! the line. The library never prints.

// whoever reads these pages works on the tree: they lead into rooms that are closed to others
#![allow(rustdoc::private_intra_doc_links)]

pub mod cli;
pub mod convert;
pub mod data;
pub mod diagnostic;
pub mod graph;
pub mod onnx;
pub mod ops;
pub mod proxy;
pub mod quant;
#[cfg(feature = "serve")]
pub mod service;
pub mod simd;
pub mod trace;
pub mod train;
pub mod verify;
