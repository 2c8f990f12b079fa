//! `/v1/sweeps`: several jobs in one request, and their common Pareto front.

use super::job::{Wait, ended};
use super::jobs::{self, receive};
use super::view::Job;
use super::{App, Owner};
use crate::service::jobs::sweep::{self, Member};
use crate::service::jobs::worker::Phase;
use crate::service::jobs::{Record, State as JobState, SweepId, submit};
use crate::service::problem::Problem;
use crate::service::store_error::StoreError;
use crate::service::upload::{Kind, Part};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::time::Duration;
use tokio::time::Instant;

const PARTS: [Part; 6] = {
    let [model, calibration, train, validation, config] = jobs::PARTS;
    [model, calibration, train, validation, config, Part::required("sweep", Kind::Config)]
};

/// The parts of a sweep: those of a job, and the values that differ.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[schema(as = SweepParts)]
#[expect(dead_code, reason = "only described")]
pub struct Parts {
    #[serde(flatten)]
    job: jobs::Parts,
    /// Fields of the configuration with lists of values, as JSON:
    /// `{"seed": [0, 1, 2], "target_ebops": [1000, 2000]}`. Every combination is a job.
    #[schema(value_type = Object)]
    sweep: String,
}

/// A sweep.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Sweep {
    id: String,
    /// `running` until all jobs have ended, then `failed` or `canceled` if one is.
    state: JobState,
    /// In the order of their combinations.
    jobs: Vec<Job>,
    /// Members of all fronts that no other equals or beats in size and metric; sizes are LUTs where
    /// a job counts in them. Metrics compare
    /// where `validation` was sent: else jobs of different seeds hold different samples back.
    pareto: Vec<Member>,
}

/// Queue several conversions
///
/// The answer is that of an earlier request if its `Idempotency-Key` is the same.
#[utoipa::path(
    post, path = "/v1/sweeps", operation_id = "createSweep", tag = "sweeps",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key again gives the same sweep", min_length = 1, max_length = 200)),
    request_body(content = Parts, content_type = "multipart/form-data"),
    responses(
        (status = 202, description = "Queued", body = Sweep, headers(("Location" = String))),
        Problem,
    )
)]
pub async fn post(State(app): State<App>, Extension(owner): Extension<Owner>, request: Request) -> Result<Response, Problem> {
    let headers = request.headers().clone();
    let received = receive(&app, &owner, &PARTS, request).await?;
    let id = submit::sweep(&*app.0.store, &app.0.limits, &owner.0, &headers, received).await?;
    let jobs = app.0.store.sweep(&owner.0, &id).await?;
    let location = format!("/v1/sweeps/{id}");
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(shown(&app, id, &jobs).await?)).into_response())
}

/// A sweep and its Pareto front so far
#[utoipa::path(
    get, path = "/v1/sweeps/{id}", operation_id = "getSweep", tag = "sweeps",
    params(("id" = String, Path, description = "Name of the sweep"), Wait),
    responses(
        (status = 200, description = "The sweep", body = Sweep),
        Problem,
    )
)]
pub async fn get(
    State(app): State<App>,
    Extension(owner): Extension<Owner>,
    Path(id): Path<String>,
    wait: Result<Query<Wait>, QueryRejection>,
) -> Result<Json<Sweep>, Problem> {
    let time = Wait::time_of(wait)?;
    let (id, jobs) = own_sweep(&app, &owner, &id).await?;
    tokio::select! {
        ended = all_ended(&app, jobs, time) => ended?,
        () = app.0.reached(Phase::Draining) => {}
    }
    let jobs = app.0.store.sweep(&owner.0, &id).await?;
    Ok(Json(shown(&app, id, &jobs).await?))
}

/// Cancel all jobs of a sweep
#[utoipa::path(
    delete, path = "/v1/sweeps/{id}", operation_id = "cancelSweep", tag = "sweeps",
    params(("id" = String, Path, description = "Name of the sweep")),
    responses(
        (status = 202, description = "Those that have not ended are going to", body = Sweep),
        Problem,
    )
)]
pub async fn delete(
    State(app): State<App>,
    Extension(owner): Extension<Owner>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (id, jobs) = own_sweep(&app, &owner, &id).await?;
    for job in &jobs {
        app.0.store.cancel(&job.id).await?;
    }
    let jobs = app.0.store.sweep(&owner.0, &id).await?;
    Ok((StatusCode::ACCEPTED, Json(shown(&app, id, &jobs).await?)).into_response())
}

async fn own_sweep(app: &App, owner: &Owner, id: &str) -> Result<(SweepId, Vec<Record>), Problem> {
    let missing = || Problem::not_found(format!("there is no sweep `{id}`"));
    let id = SweepId::parse(id).ok_or_else(missing)?;
    let jobs = app.0.store.sweep(&owner.0, &id).await?;
    if jobs.is_empty() { Err(missing()) } else { Ok((id, jobs)) }
}

/// Returns when all have ended, or after `time`.
async fn all_ended(app: &App, jobs: Vec<Record>, time: Duration) -> Result<(), StoreError> {
    let until = Instant::now() + time;
    for job in jobs {
        ended(app, job, until.saturating_duration_since(Instant::now())).await?;
    }
    Ok(())
}

async fn shown(app: &App, id: SweepId, jobs: &[Record]) -> Result<Sweep, StoreError> {
    let (mut all, mut order) = (Vec::new(), sweep::Order::default());
    for job in jobs {
        let Some(report) = job.artifacts.iter().find(|a| a.name == "report.json") else { continue };
        let bytes = tokio::fs::read(app.0.store.open(&report.digest).await?).await?;
        let report = serde_json::from_slice(&bytes).map_err(|e| StoreError::Internal(e.to_string()))?;
        let (members, of_job) = sweep::members(&job.id, &report);
        order.less_is_better |= of_job.less_is_better;
        order.by_luts |= of_job.by_luts;
        all.extend(members);
    }
    let jobs_shown = jobs.iter().map(Job::from).collect();
    Ok(Sweep { id: id.to_string(), state: sweep::state(jobs), jobs: jobs_shown, pareto: sweep::front(all, order) })
}
