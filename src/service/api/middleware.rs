//! What happens to every request: a name for the log, who sent it, and what came of it.

use super::{App, Owner};
use crate::diagnostic::Code;
use crate::service::auth::ANYBODY;
use crate::service::problem::{Problem, ProblemCode};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use std::sync::atomic::{AtomicU64, Ordering};

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest name that is taken over from a client.
const MAX_ID: usize = 100;

/// Name of a request in the log and in the header `X-Request-Id` of its answer.
#[derive(Clone)]
pub struct RequestId(pub String);

/// Takes over the name that a proxy or client gave, or makes one.
pub async fn name(mut request: Request, next: Next) -> Response {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let plain = |t: &&str| (1..=MAX_ID).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    let given = request.headers().get(&REQUEST_ID).and_then(|v| v.to_str().ok()).filter(plain);
    let id = given.map_or_else(|| format!("r{}", COUNT.fetch_add(1, Ordering::Relaxed)), str::to_string);
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).await;
    if let Ok(value) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID.clone(), value);
    }
    response
}

/// Counts what was not successful.
pub async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if let Some(ProblemCode(code)) = response.extensions().get::<ProblemCode>() {
        app.0.metrics.refused(code);
    }
    response
}

/// Finds out who sends a request, and refuses it without a token where one is needed.
pub async fn identify(State(app): State<App>, mut request: Request, next: Next) -> Result<Response, Problem> {
    let owner = match bearer(request.headers()) {
        _ if !app.0.tokens.are_needed() => ANYBODY.to_string(),
        Some(token) => {
            app.0.tokens.owner(token).map(str::to_string).ok_or_else(|| unauthorized("the token is not known here"))?
        }
        None => return Err(unauthorized("send `Authorization: Bearer TOKEN`")),
    };
    app.0.rate.check(&owner)?;
    request.extensions_mut().insert(Owner(owner));
    Ok(next.run(request).await)
}

fn unauthorized(text: &str) -> Problem {
    Problem::new(Code::Unauthorized, text)
}

/// The token of RFC 6750, section 2.1; the scheme's case does not matter.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
