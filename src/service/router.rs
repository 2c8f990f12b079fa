//! All routes, and what applies to each of them: logging, limits, panics.

use super::problem::Problem;
use super::{App, convert, health, inspect, verify};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use std::any::Any;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::trace::{DefaultMakeSpan, DefaultOnFailure, DefaultOnResponse, TraceLayer};
use tracing::Level;

/// The service as a tower service.
pub fn router(app: App) -> Router {
    let trace = TraceLayer::new_for_http()
        .make_span_with(DefaultMakeSpan::new().level(Level::INFO))
        .on_response(DefaultOnResponse::new().level(Level::INFO))
        .on_failure(DefaultOnFailure::new().level(Level::ERROR));
    let body = app.0.limits.body;
    Router::new()
        .route("/v1/convert", post(convert::post))
        .route("/v1/inspect", post(inspect::post))
        .route("/v1/verify", post(verify::post))
        .route("/healthz", get(health::get))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(body))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(trace)
        .with_state(app)
}

async fn not_found(uri: Uri) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", format!("there is nothing at {}", uri.path()))
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    let text = format!("{} does not take {method}", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", text)
}

fn panicked(_: Box<dyn Any + Send>) -> Response {
    Problem::internal("a fault of hgq-onnx: please report it").into_response()
}
