//! `POST /v1/convert`: a job whose client waits, and gets the proxy or, on request, its report.

use super::artifacts::content;
use super::job::ended;
use super::jobs::{PARTS, Parts, receive};
use super::view::href;
use super::{App, Owner};
use crate::convert::Report;
use crate::convert::error::Error;
use crate::diagnostic::Code;
use crate::service::jobs::submit::submit;
use crate::service::jobs::worker::Phase;
use crate::service::jobs::{JobId, Record, State as JobState};
use crate::service::limits::RETRY_AFTER;
use crate::service::problem::Problem;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use std::time::Duration;
use tokio::runtime::Handle;

/// Exact EBOPs of the proxy.
static EBOPS: HeaderName = HeaderName::from_static("x-hgq-ebops");
static LUTS: HeaderName = HeaderName::from_static("x-hgq-luts");
/// Longer than any job may take and wait.
const FOR_EVER: Duration = Duration::from_secs(30 * 24 * 3600);

/// Convert a model while you wait
///
/// A job like those of `/v1/jobs`: `Location` says where its other artifacts are. A client that
/// leaves cancels it.
#[utoipa::path(
    post, path = "/v1/convert", operation_id = "convert", tag = "jobs",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key again gives the same job", min_length = 1, max_length = 255)),
    request_body(content = Parts, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "The proxy, or with `Accept: application/json` the report", content(
            (Vec<u8> = "application/octet-stream"), (Report = "application/json"),
        ), headers(("Location" = String, description = "The job"), ("X-Hgq-Ebops" = String, description = "Exact EBOPs of the proxy"), ("X-Hgq-Luts" = String, description = "LUTs of the proxy, estimated"))),
        Problem,
    )
)]
pub async fn post(State(app): State<App>, Extension(owner): Extension<Owner>, request: Request) -> Result<Response, Problem> {
    let headers = request.headers().clone();
    let received = receive(&app, &owner, &PARTS, request).await?;
    let (record, replayed) = submit(&*app.0.store, &app.0.limits, &owner.0, &headers, received).await?;
    let mut guard = CancelOnDrop(app.clone(), (!replayed).then(|| record.id.clone()));
    let location = href(&record);
    let done = tokio::select! {
        ended = ended(&app, record, FOR_EVER) => ended?,
        () = app.0.reached(Phase::Stopping) => {
            guard.1 = None;
            let text = "the service is stopping; the job goes on when it runs again";
            let problem = Problem::new(Code::Stopping, text);
            return Err(problem.retry_after(RETRY_AFTER).location(location));
        }
    };
    guard.1 = None;
    answer(&app, &done, &headers).await.map_err(|problem| problem.location(location))
}

async fn answer(app: &App, done: &Record, headers: &HeaderMap) -> Result<Response, Problem> {
    if let Some(error) = &done.outcome.error {
        return Err(error.clone().into());
    }
    if done.state != JobState::Succeeded {
        return Err(Error::Canceled.into());
    }
    // a caller that waits for the proxy's bytes must not take one that misses its target for a
    // success
    if let Some(why) = &done.outcome.unmet {
        return Err(Error::TargetNotMet(why.clone()).into());
    }
    let name = if prefers_json(headers) { "report.json" } else { "proxy.onnx" };
    let mut response = content(app, done, name, &HeaderMap::new()).await?;
    let ebops = done.outcome.ebops.unwrap_or_default();
    let found = response.headers_mut();
    found.insert(EBOPS.clone(), HeaderValue::from(ebops));
    // a job of an earlier version has none
    if let Some(luts) = done.outcome.luts {
        found.insert(LUTS.clone(), HeaderValue::from(luts));
    }
    found.insert(header::VARY, HeaderValue::from_static("accept"));
    if let Ok(location) = HeaderValue::try_from(href(done)) {
        found.insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Cancels the job when the request's future goes before its end: the client is gone.
struct CancelOnDrop(App, Option<JobId>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        let (Some(id), Ok(runtime)) = (self.1.take(), Handle::try_current()) else { return };
        let store = self.0.0.store.clone();
        runtime.spawn(async move {
            if let Err(error) = store.cancel(&id).await {
                tracing::warn!(job = %id, %error, "the job of a client that left was not canceled");
            }
        });
    }
}

/// Whether the client wants JSON rather than bytes: a higher quality for `application/json` (RFC
/// 9110, 12.5.1).
fn prefers_json(headers: &HeaderMap) -> bool {
    let accept: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok()).collect();
    let accept = accept.join(",");
    quality(&accept, "application", "json") > quality(&accept, "application", "octet-stream")
}

/// Quality of a media type: that of the most specific range that covers it; 0 when none does.
fn quality(accept: &str, kind: &str, subtype: &str) -> f32 {
    let mut best = (0, 0.0);
    for range in accept.split(',') {
        let mut fields = range.split(';').map(str::trim);
        let name = fields.next().unwrap_or_default().to_ascii_lowercase();
        let specific = match name.split_once('/') {
            Some((k, s)) if k == kind && s == subtype => 3,
            Some((k, "*")) if k == kind => 2,
            Some(("*", "*")) => 1,
            _ => continue,
        };
        let q = fields.find_map(|f| f.strip_prefix("q=")).map_or(1.0, |q| q.trim().parse().unwrap_or(0.0));
        if specific > best.0 {
            best = (specific, q);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn json_only_when_preferred() {
        let json = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            prefers_json(&headers)
        };
        assert!(!prefers_json(&HeaderMap::new()));
        assert!(!json("*/*"));
        assert!(!json("application/octet-stream"));
        assert!(!json("application/octet-stream, application/json;q=0.5"));
        assert!(!json("text/html"));
        assert!(json("application/json"));
        assert!(json("Application/JSON, */*;q=0.1"));
        assert!(json("application/json;q=0.9, application/octet-stream;q=0.2"));
    }
}
