//! RFC 9457 problem documents: every answer that is not a success.

use super::limits::RETRY_AFTER;
use super::store::StoreError;
use crate::convert::{Error, NodeFault};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use utoipa::openapi::{self, Content, Ref, RefOr, ResponseBuilder};

/// An answer that is not a success; boxed, as it is the error of many small functions.
#[derive(Debug)]
pub struct Problem {
    document: Box<Document>,
    retry_after: Option<u32>,
    location: Option<String>,
}

/// `application/problem+json` (RFC 9457).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub struct Document {
    /// `urn:hgq-onnx:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    title: Cow<'static, str>,
    status: u16,
    detail: String,
    /// Stable: programs may compare it.
    code: Cow<'static, str>,
    /// All nodes that cannot be converted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    nodes: Vec<NodeFault>,
    /// Every fault by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    faults: Vec<String>,
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

/// Its description, the same for every resource.
impl utoipa::IntoResponses for Problem {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        let told = |what: &str| {
            let content = Content::new(Some(Ref::from_schema_name("Problem")));
            ResponseBuilder::new().description(what).content("application/problem+json", content).build().into()
        };
        let request = "What is wrong with the request, or that nothing of yours has this name";
        BTreeMap::from([("4XX".into(), told(request)), ("503".into(), told("Not now"))])
    }
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        Document::new(status.as_u16(), code, detail).into()
    }

    pub fn internal() -> Problem {
        Document::internal().into()
    }

    pub fn not_found(what: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not_found", what)
    }

    pub fn retry_after(self, seconds: u32) -> Problem {
        Problem { retry_after: Some(seconds), ..self }
    }

    /// Where more is to be found.
    pub fn location(self, location: String) -> Problem {
        Problem { location: Some(location), ..self }
    }

    pub fn faults(mut self, faults: Vec<String>) -> Problem {
        self.document.faults = faults;
        self
    }
}

impl From<Document> for Problem {
    fn from(document: Document) -> Problem {
        Problem { document: Box::new(document), retry_after: None, location: None }
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

impl From<Error> for Document {
    fn from(error: Error) -> Document {
        let status = match &error {
            Error::NotOnnx(_) | Error::Data(_) | Error::Config(_) => 400,
            Error::Unsupported(_) | Error::Verification(_) | Error::TargetNotMet(_) => 422,
            Error::Canceled => 503,
            Error::Internal(_) => 500,
        };
        let mut document = Document::new(status, error.code(), error.to_string());
        match error {
            Error::Unsupported(nodes) => document.nodes = nodes,
            Error::Data(faults) | Error::Config(faults) => document.faults = faults,
            _ => {}
        }
        document
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        Document::from(error).into()
    }
}

impl From<&StoreError> for Document {
    /// Without the error's text, which may name folders of this machine.
    fn from(error: &StoreError) -> Document {
        match error {
            StoreError::Full => Document::new(503, "storage_full", "the service has no room to store anything: try again later"),
            StoreError::Unavailable(_) | StoreError::Lost => {
                Document::new(503, "storage_unavailable", "the store of the service cannot be used now: try again later")
            }
            StoreError::Internal(_) => Document::internal(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        tracing::error!(%error, "store");
        let problem = Problem::from(Document::from(&error));
        if problem.document.status == 503 { problem.retry_after(RETRY_AFTER) } else { problem }
    }
}

/// The code of a problem, for whoever counts answers.
#[derive(Clone)]
pub struct Code(pub String);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.document.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.document).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(location) = self.location.and_then(|l| HeaderValue::try_from(l).ok()) {
            headers.insert(header::LOCATION, location);
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(Code(self.document.code.into_owned()));
        response
    }
}
