//! `POST /v1/convert`: runs a job while the client waits, and answers with the proxy or, on request, its report.

use super::App;
use super::multipart::{Kind, Part, read};
use super::problem::Problem;
use crate::convert::{DataFile, Event, Job};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Response};

const PARTS: [Part; 5] = [
    Part::required("model", Kind::Model),
    Part::required("calibration", Kind::Data),
    Part::optional("train", Kind::Data),
    Part::optional("validation", Kind::Data),
    Part::optional("config", Kind::Config),
];

/// Exact EBOPs of the proxy.
static EBOPS: HeaderName = HeaderName::from_static("x-hgq-ebops");

pub async fn post(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let app = app.0;
    let wants_report = prefers_json(request.headers());
    let place = app.jobs.enter()?;
    let mut parts = read(request, &PARTS, &app.limits).await?;
    let job = Job {
        config: parts.config(&app.limits)?,
        model: parts.take("model"),
        calibration: DataFile { name: "calibration".into(), bytes: parts.take("calibration") },
        train: parts.data("train"),
        validation: parts.data("validation"),
    };
    let engine = app.engine.clone();
    let span = tracing::Span::current();
    let work = move |cancel: &_| engine.convert(&job, &mut |event| span.in_scope(|| log(&event)), cancel);
    let done = place.run(&app.running, app.limits.job_time, work).await?;
    let ebops = [(EBOPS.clone(), done.ebops.to_string()), (header::VARY, "accept".into())];
    Ok(if wants_report {
        (ebops, Json(done.report)).into_response()
    } else {
        let file = [
            (header::CONTENT_TYPE, "application/octet-stream"),
            (header::CONTENT_DISPOSITION, "attachment; filename=\"proxy.onnx\""),
        ];
        (ebops, file, done.proxy).into_response()
    })
}

/// Stages and notes of a job; epochs would flood the log.
fn log(event: &Event) {
    match event {
        Event::Stage { stage } => tracing::info!(stage, "job"),
        Event::Note { code, message } => tracing::info!(code, message, "job note"),
        Event::Epoch { .. } => {}
    }
}

/// Whether the client wants JSON rather than bytes: a higher quality for `application/json` (RFC 9110, 12.5.1).
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
