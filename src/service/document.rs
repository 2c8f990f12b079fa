//! Problem documents (RFC 9457) as they are sent and kept.

use crate::convert::error::NodeFault;
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
    pub fn new(status: u16, code: &'static str, detail: impl Into<String>) -> Document {
        Document {
            kind: format!("urn:hgq-onnx:problem:{code}"),
            title: title(code).into(),
            status,
            detail: detail.into(),
            code: code.into(),
            nodes: Vec::new(),
            faults: Vec::new(),
        }
    }

    pub fn code(&self) -> &str {
        &self.code
    }

    pub fn internal() -> Document {
        Document::new(500, "internal", "a fault of hgq-onnx: please report it")
    }
}

pub fn title(code: &str) -> &'static str {
    match code {
        "not_onnx" => "The model is not an ONNX file",
        "unsupported_model" => "The model has nodes that cannot be converted",
        "bad_data" => "Data are wrong",
        "bad_config" => "The job configuration is wrong",
        "verification_failed" => "The proxy does not equal the trained model",
        "target_not_met" => "No model reaches the target",
        "canceled" => "Canceled",
        "bad_request" => "The request is not well-formed",
        "missing_part" => "A part is missing",
        "unknown_part" => "A part is not known",
        "duplicate_part" => "A part is given twice",
        "unsupported_media_type" => "Wrong content type",
        "too_large" => "The request is too large",
        "request_timeout" => "The request arrives too slowly",
        "busy" => "The service is busy",
        "time_limit" => "The job takes too long",
        "unauthorized" => "A token is needed",
        "idempotency_key_reused" => "The key belongs to another request",
        "digest_mismatch" => "The content has another digest",
        "unknown_digest" => "No such file was sent",
        "not_done" => "The job is not done",
        "stopping" => "The service is stopping",
        "storage_full" => "The store is full",
        "storage_unavailable" => "The store cannot be used",
        "worker_lost" => "The job's workers ended",
        "too_much_memory" => "The job needs too much memory",
        "rate_limit" => "Too many requests",
        "not_found" => "No such resource",
        "method_not_allowed" => "The resource does not have this method",
        _ => "Internal error",
    }
}
