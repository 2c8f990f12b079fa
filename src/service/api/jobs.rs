//! `/v1/jobs`: takes jobs and lists them.

use super::view::{Job, href};
use super::{App, Owner};
use crate::convert::JobConfig;
use crate::diagnostic::Code;
use crate::service::jobs::JobId;
use crate::service::jobs::submit::{check_room, submit};
use crate::service::limits::PAGE;
use crate::service::problem::Problem;
use crate::service::upload::{Kind, Part, Received, read};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, Request, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::IntoResponse;
use axum::{Json, response::Response};
use serde::{Deserialize, Serialize};

pub const PARTS: [Part; 5] = [
    Part::required("model", Kind::Model).or_digest(),
    Part::required("calibration", Kind::Data).or_digest(),
    Part::optional("train", Kind::Data).or_digest(),
    Part::optional("validation", Kind::Data).or_digest(),
    Part::optional("config", Kind::Config),
];

/// Says that the answer is that of an earlier request with the same `Idempotency-Key`.
static REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The parts of a job. Instead of `NAME` a part `NAME_digest` may name a file that was sent before.
#[derive(Deserialize, utoipa::ToSchema)]
#[schema(as = JobParts)]
#[expect(dead_code, reason = "only described")]
pub struct Parts {
    /// The model: ONNX, float or with QONNX annotations.
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    model: Option<Vec<u8>>,
    /// Inputs as .npz or .npy.
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    calibration: Option<Vec<u8>>,
    /// Inputs and targets as .npz.
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    train: Option<Vec<u8>>,
    /// Inputs and targets as .npz.
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    validation: Option<Vec<u8>>,
    /// The job configuration, as JSON.
    #[schema(value_type = Option<JobConfig>)]
    config: Option<String>,
    model_digest: Option<String>,
    calibration_digest: Option<String>,
    train_digest: Option<String>,
    validation_digest: Option<String>,
}

/// Reads and stores the parts of a job.
///
/// # Errors
/// 429 before anything is read when the queue is full, else what is wrong with the parts.
pub async fn receive(app: &App, owner: &Owner, takes: &[Part], request: Request) -> Result<Received, Problem> {
    let shared = &app.0;
    check_room(&*shared.store, &shared.limits).await?;
    let parts = read(request, takes, &shared.limits, &*shared.store).await?;
    let received = parts.keep(&*shared.store, &owner.0).await?;
    shared.metrics.received(received.files.values().map(|f| f.bytes).sum());
    Ok(received)
}

/// Queue a conversion
#[utoipa::path(
    post, path = "/v1/jobs", operation_id = "createJob", tag = "jobs",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key again gives the same job", min_length = 1, max_length = 255)),
    request_body(content = Parts, content_type = "multipart/form-data"),
    responses(
        (status = 202, description = "Queued; a job that was done before has succeeded already", body = Job, headers(("Location" = String))),
        Problem,
    )
)]
pub async fn post(State(app): State<App>, Extension(owner): Extension<Owner>, request: Request) -> Result<Response, Problem> {
    let headers = request.headers().clone();
    let received = receive(&app, &owner, &PARTS, request).await?;
    let (record, replayed) = submit(&*app.0.store, &app.0.limits, &owner.0, &headers, received).await?;
    let mut response = (StatusCode::ACCEPTED, [(header::LOCATION, href(&record))], Json(Job::from(&record))).into_response();
    if replayed {
        response.headers_mut().insert(REPLAYED.clone(), header::HeaderValue::from_static("true"));
    }
    Ok(response)
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// Jobs older than this one.
    #[param(pattern = "^job_[0-9a-f]{32}$")]
    before: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<usize>,
}

/// A page of jobs.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Jobs {
    /// The newest first; without artifacts.
    jobs: Vec<Job>,
    /// The next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// List your jobs
#[utoipa::path(
    get, path = "/v1/jobs", operation_id = "listJobs", tag = "jobs", params(Page),
    responses(
        (status = 200, description = "A page of jobs", body = Jobs),
        Problem,
    )
)]
pub async fn list(
    State(app): State<App>,
    Extension(owner): Extension<Owner>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<Jobs>, Problem> {
    let Query(page) = page.map_err(|e| Problem::new(Code::BadRequest, e.body_text()))?;
    let limit = page.limit.unwrap_or(PAGE);
    if !(1..=PAGE).contains(&limit) {
        return Err(Problem::new(Code::BadRequest, format!("limit: between 1 and {PAGE}")));
    }
    let before = match &page.before {
        Some(text) => {
            let fault = || Problem::new(Code::BadRequest, format!("before: `{text}` is not the id of a job"));
            Some(JobId::parse(text).ok_or_else(fault)?)
        }
        None => None,
    };
    let found = app.0.store.jobs(&owner.0, before.as_ref(), limit).await?;
    let next = found.last().filter(|_| found.len() == limit).map(|last| format!("/v1/jobs?before={}&limit={limit}", last.id));
    Ok(Json(Jobs { jobs: found.iter().map(Job::from).collect(), next }))
}
