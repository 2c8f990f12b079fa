//! Problem documents (RFC 9457) as they are sent and kept.

use crate::convert::error::NodeFault;
use crate::diagnostic::Code;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
/// `application/problem+json` (RFC 9457).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub struct Document {
    /// `urn:hgq-onnx:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    title: Cow<'static, str>,
    pub status: u16,
    detail: String,
    /// Stable: programs may compare it.
    pub code: Cow<'static, str>,
    /// All nodes that cannot be converted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeFault>,
    /// Every fault by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
}

impl Document {
    pub fn new(code: Code, detail: impl Into<String>) -> Document {
        Document {
            kind: format!("urn:hgq-onnx:problem:{code}"),
            title: code.statuses().title.into(),
            status: code.statuses().http,
            detail: detail.into(),
            code: code.name().into(),
            nodes: Vec::new(),
            faults: Vec::new(),
        }
    }

    pub fn code(&self) -> &str {
        &self.code
    }

    pub fn internal() -> Document {
        Document::new(Code::Internal, "a fault of hgq-onnx: please report it")
    }
}
