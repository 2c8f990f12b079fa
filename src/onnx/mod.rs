//! Protobuf codec: bytes → `ModelProto` → bytes, with limits before decoding.

/// Message types generated from `proto/onnx.proto`.
#[allow(clippy::all, clippy::pedantic, missing_docs, rustdoc::all)]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/onnx.rs"));
}
