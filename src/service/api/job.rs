//! `/v1/jobs/{id}`: one job.

use super::view::Job;
use super::{App, Owner, own_job};
use crate::diagnostic::Code;
use crate::service::jobs::worker::Phase;
use crate::service::jobs::{JobId, Record};
use crate::service::limits::LONGEST_WAIT;
use crate::service::problem::Problem;
use crate::service::store_error::StoreError;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::time::Duration;
use tokio::time::Instant;

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wait {
    /// Answer when the job has ended, or after this time: seconds, at most 300, with or without an
    /// `s`.
    #[param(example = "30s", pattern = "^[0-9]{1,3}s?$")]
    wait: Option<String>,
}

impl Wait {
    /// The time that a query asks for.
    ///
    /// # Errors
    /// 400 for another query, or what is not a time.
    pub fn time_of(query: Result<Query<Wait>, QueryRejection>) -> Result<Duration, Problem> {
        let Query(wait) = query.map_err(|e| Problem::new(Code::BadRequest, e.body_text()))?;
        let Some(text) = &wait.wait else { return Ok(Duration::ZERO) };
        let seconds = text.strip_suffix('s').unwrap_or(text).parse::<u16>().ok();
        let fault = || Problem::new(Code::BadRequest, format!("wait: `{text}` is not a time such as `30s`"));
        seconds.map(|s| Duration::from_secs(s.into()).min(LONGEST_WAIT)).ok_or_else(fault)
    }
}

/// A job and how it is getting on
#[utoipa::path(
    get, path = "/v1/jobs/{id}", operation_id = "getJob", tag = "jobs", params(("id" = String, Path, description = "Name of the job"), Wait),
    responses(
        (status = 200, description = "The job", body = Job),
        Problem,
    )
)]
pub async fn get(
    State(app): State<App>,
    Extension(owner): Extension<Owner>,
    Path(id): Path<String>,
    wait: Result<Query<Wait>, QueryRejection>,
) -> Result<Json<Job>, Problem> {
    let time = Wait::time_of(wait)?;
    let record = own_job(&app, &owner, &id).await?;
    let ended = tokio::select! {
        ended = ended(&app, record.clone(), time) => ended?,
        // whoever waits asks again elsewhere
        () = app.0.reached(Phase::Draining) => record,
    };
    Ok(Json(Job::from(&ended)))
}

/// The job as it is when it has ended, or after `time`.
///
/// # Errors
/// When the store cannot be used.
pub async fn ended(app: &App, mut record: Record, time: Duration) -> Result<Record, StoreError> {
    let until = Instant::now() + time;
    while !record.state.is_final() && Instant::now() < until {
        let left = until.saturating_duration_since(Instant::now());
        app.0.store.events(&record.id, record.last_event, left).await?;
        match app.0.store.job(&record.id).await? {
            Some(now) => record = now,
            None => break,
        }
    }
    Ok(record)
}

/// Cancel a job
///
/// A queued job ends at once, a running one within a batch; one that has ended stays as it is.
#[utoipa::path(
    delete, path = "/v1/jobs/{id}", operation_id = "cancelJob", tag = "jobs", params(("id" = String, Path, description = "Name of the job")),
    responses(
        (status = 200, description = "It has ended", body = Job),
        (status = 202, description = "It is going to end", body = Job),
        Problem,
    )
)]
pub async fn delete(
    State(app): State<App>,
    Extension(owner): Extension<Owner>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id: JobId = own_job(&app, &owner, &id).await?.id;
    app.0.store.cancel(&id).await?;
    let record = own_job(&app, &owner, id.as_str()).await?;
    let status = if record.state.is_final() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(Job::from(&record))).into_response())
}
