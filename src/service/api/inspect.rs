//! `POST /v1/inspect`: what is in a model and what of it is supported.

use super::App;
use crate::convert::Inspection;
use crate::convert::error::Error;
use crate::service::problem::Problem;
use crate::service::upload::{Kind, Part, read};
use axum::Json;
use axum::extract::{Request, State};

const PARTS: [Part; 1] = [Part::required("model", Kind::Model)];

#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "only described")]
pub struct Model {
    /// The model: ONNX, float or with QONNX annotations.
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    model: Vec<u8>,
}

/// What is in a model, and what of it is supported
#[utoipa::path(
    post, path = "/v1/inspect", operation_id = "inspect", tag = "models",
    request_body(content = Model, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "The findings", body = Inspection),
        Problem,
    )
)]
pub async fn post(State(app): State<App>, request: Request) -> Result<Json<Inspection>, Problem> {
    let app = app.0;
    let permit = app.checks.try_admit()?;
    let mut parts = read(request, &PARTS, &app.limits, &*app.store).await?;
    let engine = app.engine.clone();
    let work = move |_: &_| engine.inspect(&parts.take("model").map_err(|e| Error::Internal(e.to_string()))?);
    permit.run(&app.running, app.limits.job_time, work).await.map(Json)
}
