//! `GET /metrics`: for Prometheus.

use super::App;
use crate::service::problem::Problem;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

/// Metrics for Prometheus
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics", tag = "operation",
    responses(
        (status = 200, description = "OpenMetrics text", body = String, content_type = "application/openmetrics-text"),
        Problem,
    )
)]
pub async fn get(State(app): State<App>) -> Result<Response, Problem> {
    let depth = app.0.store.depth().await?;
    let text = app.0.metrics.text(depth).map_err(|_| Problem::internal())?;
    Ok(([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response())
}
