//! `/v1/files`: files that are sent once and named by their digests in many jobs.

use super::view::File;
use super::{App, Owner};
use crate::diagnostic::Code;
use crate::service::problem::Problem;
use crate::service::store::Digest;
use crate::service::upload::receive;
use axum::Json;
use axum::extract::{Extension, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Send a file
///
/// The body is an ONNX model or a .npy or .npz file; the answer has its digest, for the parts
/// `model_digest`, `calibration_digest`, … of jobs.
#[utoipa::path(
    post, path = "/v1/files", operation_id = "sendFile", tag = "files",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 201, description = "Stored", body = File, headers(("Location" = String))),
        Problem,
    )
)]
pub async fn post(State(app): State<App>, Extension(owner): Extension<Owner>, request: Request) -> Result<Response, Problem> {
    store(&app, &owner, request, None).await
}

/// Send a file of a known digest
#[utoipa::path(
    put, path = "/v1/files/{digest}", operation_id = "putFile", tag = "files",
    params(("digest" = String, Path, description = "SHA-256 of the content: 64 lower-case hexadecimal digits")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 201, description = "Stored", body = File, headers(("Location" = String))),
        Problem,
    )
)]
pub async fn put(
    State(app): State<App>,
    Extension(owner): Extension<Owner>,
    Path(digest): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let fault = || {
        let text = format!("`{digest}` is not a digest: 64 lower-case hexadecimal digits of SHA-256 are expected");
        Problem::new(Code::BadRequest, text)
    };
    let expected = Digest::parse(&digest).ok_or_else(fault)?;
    store(&app, &owner, request, Some(&expected)).await
}

/// Whether a file is there
#[utoipa::path(
    get, path = "/v1/files/{digest}", operation_id = "getFile", tag = "files",
    params(("digest" = String, Path, description = "SHA-256 of the content: 64 lower-case hexadecimal digits")),
    responses(
        (status = 200, description = "It is, and jobs may name it", body = File),
        Problem,
    )
)]
pub async fn get(
    State(app): State<App>,
    Extension(owner): Extension<Owner>,
    Path(digest): Path<String>,
) -> Result<Json<File>, Problem> {
    let bytes = match Digest::parse(&digest) {
        Some(digest) => app.0.store.owned(&owner.0, &digest).await?,
        None => None,
    };
    let missing = || Problem::not_found(format!("no file with digest `{digest}` was sent"));
    bytes.map(|bytes| Json(File { digest: digest.clone(), bytes })).ok_or_else(missing)
}

async fn store(app: &App, owner: &Owner, request: Request, expected: Option<&Digest>) -> Result<Response, Problem> {
    let upload = receive(request.into_body(), expected, &owner.0, &app.0.limits, &*app.0.store).await?;
    app.0.metrics.received(upload.bytes);
    let location = format!("/v1/files/{}", upload.digest);
    let file = File { digest: upload.digest.to_string(), bytes: upload.bytes };
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(file)).into_response())
}
