//! `/v1/jobs/{id}/artifacts`: what a job made.

use super::view::{self, Artifact};
use super::{App, Owner, own_job};
use crate::diagnostic::Code;
use crate::service::jobs::Record;
use crate::service::problem::Problem;
use crate::service::store_error::StoreError;
use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use tokio::io::AsyncReadExt;

/// Bytes read at a time.
const CHUNK: usize = 64 << 10;

/// The files of a job.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Artifacts {
    artifacts: Vec<Artifact>,
}

/// List a job's artifacts
#[utoipa::path(
    get, path = "/v1/jobs/{id}/artifacts", operation_id = "listArtifacts", tag = "artifacts", params(("id" = String, Path, description = "Name of the job")),
    responses(
        (status = 200, description = "The files", body = Artifacts),
        Problem,
    )
)]
pub async fn list(
    State(app): State<App>,
    Extension(owner): Extension<Owner>,
    Path(id): Path<String>,
) -> Result<Json<Artifacts>, Problem> {
    let record = own_job(&app, &owner, &id).await?;
    check_done(&record)?;
    Ok(Json(Artifacts { artifacts: view::artifacts(&record) }))
}

/// Fetch an artifact
///
/// `path` has slashes for members of the Pareto front, such as `pareto/0/proxy.onnx`.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/artifacts/{*path}", operation_id = "getArtifact", tag = "artifacts",
    params(("id" = String, Path, description = "Name of the job"), ("path" = String, Path, description = "Name of the artifact")),
    responses(
        (status = 200, description = "Its bytes", content(
            (Vec<u8> = "application/octet-stream"), (Object = "application/json"), (String = "text/html"),
        ), headers(("ETag" = String, description = "The digest"))),
        (status = 304, description = "As `If-None-Match` has it"),
        Problem,
    )
)]
pub async fn get(
    State(app): State<App>,
    Extension(owner): Extension<Owner>,
    Path((id, path)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let record = own_job(&app, &owner, &id).await?;
    check_done(&record)?;
    content(&app, &record, &path, &headers).await
}

/// # Errors
/// 409 while the job has not ended, its own problem if it failed.
fn check_done(record: &Record) -> Result<(), Problem> {
    if let Some(error) = &record.outcome.error {
        return Err(Problem::new(Code::NotDone, format!("job {} failed: {}", record.id, error.code())));
    }
    if record.artifacts.is_empty() {
        let text = format!("job {} is {}: it has no artifacts", record.id, record.state.name());
        return Err(Problem::new(Code::NotDone, text));
    }
    Ok(())
}

/// The artifact `name` as an answer.
///
/// # Errors
/// 404 if there is none, 503 when the store cannot be used.
pub async fn content(app: &App, record: &Record, name: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let found = record.artifacts.iter().find(|a| a.name == name);
    let Some(found) = found else {
        let names: Vec<&str> = record.artifacts.iter().map(|a| a.name.as_str()).collect();
        return Err(Problem::not_found(format!("there is no artifact `{name}`; there are {}", names.join(", "))));
    };
    let tag = format!("\"{}\"", found.digest);
    if headers.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok()).is_some_and(|v| v.contains(&tag)) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let path = app.0.store.open(&found.digest).await?;
    let file = tokio::fs::File::open(path).await.map_err(StoreError::from)?;
    app.0.metrics.sent(found.bytes);
    let kind = match name.rsplit_once('.') {
        Some((_, "json")) => "application/json",
        Some((_, "html")) => "text/html; charset=utf-8",
        _ => "application/octet-stream",
    };
    let file_name = name.replace('/', "-");
    // a report opens in the browser, as a page of its own that can do nothing
    let shown = if kind.starts_with("text/html") { "inline" } else { "attachment" };
    let head = [
        (header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'; style-src 'unsafe-inline'".to_string()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_string()),
        (header::CONTENT_TYPE, kind.to_string()),
        (header::CONTENT_LENGTH, found.bytes.to_string()),
        (header::CONTENT_DISPOSITION, format!("{shown}; filename=\"{file_name}\"")),
        (header::ETAG, tag),
    ];
    let chunks = stream::try_unfold(file, |mut file| async move {
        let mut chunk = vec![0; CHUNK];
        let read = file.read(&mut chunk).await?;
        chunk.truncate(read);
        Ok::<_, std::io::Error>((read > 0).then_some((chunk, file)))
    });
    Ok((head, Body::from_stream(chunks)).into_response())
}
