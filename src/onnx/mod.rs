//! Protobuf codec: bytes → `ModelProto` → bytes, with limits before decoding; typed access to
//! tensors and attributes.
//!
//! [`codec`] is the only door for bytes, [`wire`] scans them before prost allocates anything,
//! [`tensor`] and [`attribute`] turn messages into checked Rust values, [`info`] reads declared
//! shapes, [`metadata`] what a file states about itself.

pub mod attribute;
pub mod codec;
pub mod error;
pub mod info;
pub mod limits;
pub mod metadata;
pub mod tensor;
mod wire;

pub use attribute::Attributes;
pub use codec::{decode, encode};
pub use error::OnnxError;
pub use limits::Limits;
pub use tensor::{Tensor, Values};

/// QONNX's domain of operators whose channels are the last axis.
pub const CHANNELS_LAST: &str = "qonnx.custom_op.channels_last";

/// Message types generated from `proto/onnx.proto`.
#[allow(clippy::all, clippy::pedantic, missing_docs, rustdoc::all)]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/onnx.rs"));
}
