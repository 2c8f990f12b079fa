//! RFC 9457 problem documents: every answer that is not a success.

use super::document::Document;
use super::limits::RETRY_AFTER;
use super::store_error::StoreError;
use crate::convert::error::Error;
use crate::diagnostic::Code;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::collections::BTreeMap;
use utoipa::openapi::{self, Content, Ref, RefOr, ResponseBuilder};

/// An answer that is not a success; boxed, as it is the error of many small functions.
#[derive(Debug)]
pub struct Problem {
    document: Box<Document>,
    retry_after: Option<u32>,
    location: Option<String>,
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
    pub fn new(code: Code, detail: impl Into<String>) -> Problem {
        Document::new(code, detail).into()
    }

    pub fn internal() -> Problem {
        Document::internal().into()
    }

    pub fn not_found(what: impl Into<String>) -> Problem {
        Problem::new(Code::NotFound, what)
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

impl From<Error> for Document {
    fn from(error: Error) -> Document {
        let mut document = Document::new(error.code(), error.to_string());
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
            StoreError::Full => Document::new(Code::StorageFull, "the service has no room to store anything: try again later"),
            StoreError::Unavailable(_) | StoreError::Lost => {
                Document::new(Code::StorageUnavailable, "the store of the service cannot be used now: try again later")
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
pub struct ProblemCode(pub String);

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
        response.extensions_mut().insert(ProblemCode(self.document.code.into_owned()));
        response
    }
}
