//! The web page at `/`: static files within the program, for people without a client of their own.
//!
//! The page is a client like any other: it has no rights but those of the token that its user gives
//! it, and everything it does goes through the resources of [`super::api`]. So its files are open,
//! as `/healthz` is. They are plain JavaScript modules, without a build step. The policy lets the
//! browser load these files and talk to this service, and nothing else: no inline script, no other
//! origin.

use super::document::Document;
use super::problem::Problem;
use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};

/// What the browser may load and do.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
 base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Name, type and content of the files that the page loads.
const FILES: [(&str, &str, &str); 11] = [
    ("style.css", "text/css; charset=utf-8", include_str!("style.css")),
    ("main.js", SCRIPT, include_str!("main.js")),
    ("api.js", SCRIPT, include_str!("api.js")),
    ("chart.js", SCRIPT, include_str!("chart.js")),
    ("dom.js", SCRIPT, include_str!("dom.js")),
    ("events.js", SCRIPT, include_str!("events.js")),
    ("front.js", SCRIPT, include_str!("front.js")),
    ("job.js", SCRIPT, include_str!("job.js")),
    ("jobs.js", SCRIPT, include_str!("jobs.js")),
    ("problem.js", SCRIPT, include_str!("problem.js")),
    ("submit.js", SCRIPT, include_str!("submit.js")),
];

/// The page
///
/// For people: submit models, watch jobs, fetch what they made.
#[utoipa::path(
    get, path = "/", operation_id = "page", tag = "page", security(()),
    responses((status = 200, description = "HTML", body = String, content_type = "text/html")),
)]
pub async fn index() -> Response {
    answer(HTML, include_str!("index.html"))
}

/// A file of the page
#[utoipa::path(
    get, path = "/page/{name}", operation_id = "pageFile", tag = "page",
    params(("name" = String, Path, description = "Name of the file")),
    responses(
        (status = 200, description = "The file", content((String = "text/javascript"), (String = "text/css"))),
        (status = 404, description = "There is no such file", body = Document, content_type = "application/problem+json"),
    ),
    security(()),
)]
pub async fn file(Path(name): Path<String>) -> Result<Response, Problem> {
    let found = FILES.iter().find(|f| f.0 == name);
    let (_, kind, content) = found.ok_or_else(|| Problem::not_found(format!("the page has no file `{name}`")))?;
    Ok(answer(kind, content))
}

fn answer(kind: &'static str, content: &'static str) -> Response {
    let head = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // another version of the program brings another page
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (head, content).into_response()
}
