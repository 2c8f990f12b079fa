//! Errors of the codec and of tensor and attribute access.

use thiserror::Error;

/// Why bytes, a tensor or an attribute could not be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum OnnxError {
    #[error("not an ONNX file: it is empty")]
    Empty,
    /// The bytes are not a protobuf `ModelProto`, or they end too early.
    #[error("not an ONNX file: {what} (at byte {offset})")]
    NotOnnx { offset: usize, what: String },
    #[error("the ONNX file has {found} {what}, more than the limit of {limit}")]
    Limit { what: &'static str, found: usize, limit: usize },
    #[error("tensor `{tensor}`: {what}")]
    Tensor { tensor: String, what: String },
    #[error("attribute `{attribute}`: {what}")]
    Attribute { attribute: String, what: String },
}

impl OnnxError {
    pub(crate) fn tensor(tensor: &str, what: impl Into<String>) -> Self {
        OnnxError::Tensor { tensor: tensor.to_string(), what: what.into() }
    }
}
