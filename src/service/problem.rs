//! RFC 9457 problem documents: every answer that is not a success.

use crate::convert::{Error, NodeFault};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// An answer that is not a success; boxed, as it is the error of many small functions.
#[derive(Debug)]
pub struct Problem(Box<Document>);

/// `application/problem+json`: `{type, title, status, detail, code, nodes?, faults?}`.
#[derive(Debug, Serialize)]
struct Document {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: String,
    /// Stable: programs may compare it.
    code: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nodes: Vec<NodeFault>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<String>,
    #[serde(skip)]
    retry_after: Option<u32>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        Problem(Box::new(Document {
            kind: format!("urn:hgq-onnx:problem:{code}"),
            title: title(code),
            status: status.as_u16(),
            detail: detail.into(),
            code,
            nodes: Vec::new(),
            faults: Vec::new(),
            retry_after: None,
        }))
    }

    pub fn internal(detail: &str) -> Problem {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    pub fn retry_after(mut self, seconds: u32) -> Problem {
        self.0.retry_after = Some(seconds);
        self
    }

    pub fn faults(mut self, faults: Vec<String>) -> Problem {
        self.0.faults = faults;
        self
    }
}

fn title(code: &str) -> &'static str {
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
        "not_found" => "No such resource",
        "method_not_allowed" => "The resource does not have this method",
        _ => "Internal error",
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        let status = match &error {
            Error::NotOnnx(_) | Error::Data(_) | Error::Config(_) => StatusCode::BAD_REQUEST,
            Error::Unsupported(_) | Error::Verification(_) | Error::TargetNotMet(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Error::Canceled => StatusCode::SERVICE_UNAVAILABLE,
            Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut problem = Problem::new(status, error.code(), error.to_string());
        match error {
            Error::Unsupported(nodes) => problem.0.nodes = nodes,
            Error::Data(faults) | Error::Config(faults) => problem.0.faults = faults,
            _ => {}
        }
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if let Some(seconds) = self.0.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
