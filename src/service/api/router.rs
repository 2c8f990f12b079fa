//! All routes, and what applies to each of them: names, logging, tokens, limits, panics.

use super::middleware::{RequestId, count, identify, name};
use super::{App, artifacts, convert, events, files, health, inspect, job, jobs, metrics, openapi, sweeps, verify};
use crate::diagnostic::Code;
use crate::service::page;
use crate::service::problem::Problem;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{Method, Uri, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::any::Any;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::trace::{DefaultOnFailure, DefaultOnResponse, TraceLayer};
use tracing::Level;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The service as a tower service.
pub fn router(app: App) -> Router {
    let trace = TraceLayer::new_for_http()
        .make_span_with(span)
        .on_response(DefaultOnResponse::new().level(Level::INFO))
        .on_failure(DefaultOnFailure::new().level(Level::ERROR));
    let protected = OpenApiRouter::with_openapi(openapi::start())
        .routes(routes!(convert::post))
        .routes(routes!(jobs::post, jobs::list))
        .routes(routes!(job::get, job::delete))
        .routes(routes!(events::get))
        .routes(routes!(artifacts::list))
        .routes(routes!(artifacts::get))
        .routes(routes!(sweeps::post))
        .routes(routes!(sweeps::get, sweeps::delete))
        .routes(routes!(files::post))
        .routes(routes!(files::put, files::get))
        .routes(routes!(inspect::post))
        .routes(routes!(verify::post))
        .routes(routes!(metrics::get))
        .layer(from_fn_with_state(app.clone(), identify));
    let open = OpenApiRouter::new()
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(page::index))
        .routes(routes!(page::file));
    let (routes, description) = protected.merge(open).split_for_parts();
    let document = openapi::document(&description);
    routes
        .route("/openapi.json", get(move || async { ([(header::CONTENT_TYPE, "application/json")], document) }))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(app.0.limits.body))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(app.clone(), count))
        .layer(trace)
        .layer(from_fn(name))
        .with_state(app)
}

fn span(request: &Request) -> tracing::Span {
    let id = request.extensions().get::<RequestId>().map_or("", |id| id.0.as_str());
    tracing::info_span!("request", id, method = %request.method(), path = request.uri().path())
}

async fn not_found(uri: Uri) -> Problem {
    Problem::not_found(format!("there is nothing at {}", uri.path()))
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    let text = format!("{} does not take {method}", uri.path());
    Problem::new(Code::MethodNotAllowed, text)
}

fn panicked(_: Box<dyn Any + Send>) -> Response {
    Problem::internal().into_response()
}
