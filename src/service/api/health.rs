//! Whether the service is alive and ready.

use super::App;
use crate::diagnostic::Code;
use crate::service::document::Document;
use crate::service::limits::RETRY_AFTER;
use crate::service::problem::Problem;
use axum::Json;
use axum::extract::State;

use serde::Serialize;

#[derive(Serialize, utoipa::ToSchema)]
pub struct Health {
    status: &'static str,
    version: &'static str,
}

const WELL: Health = Health { status: "ok", version: env!("CARGO_PKG_VERSION") };

/// Whether the process answers
#[utoipa::path(get, path = "/healthz", operation_id = "live", tag = "operation", responses((status = 200, description = "It does", body = Health)), security(()))]
pub async fn live() -> Json<Health> {
    Json(WELL)
}

/// Whether jobs are taken
///
/// The store can be written to, and the service is not about to stop.
#[utoipa::path(
    get, path = "/readyz", operation_id = "ready", tag = "operation", security(()),
    responses(
        (status = 200, description = "They are", body = Health),
        (status = 503, description = "Not now", body = Document, content_type = "application/problem+json"),
    )
)]
pub async fn ready(State(app): State<App>) -> Result<Json<Health>, Problem> {
    if !app.0.is_serving() {
        let text = "the service is about to stop";
        return Err(Problem::new(Code::Stopping, text).retry_after(RETRY_AFTER));
    }
    app.0.store.ready().await?;
    Ok(Json(WELL))
}
