//! The resources, one file each; [`router`] has their paths and what applies to all of them.

mod artifacts;
mod convert;
mod events;
mod files;
mod health;
mod inspect;
mod job;
mod jobs;
mod metrics;
mod middleware;
mod openapi;
mod router;
mod sweeps;
mod verify;
mod view;

pub use router::router;

use super::app::App;
use super::jobs::{JobId, Record};
use super::problem::Problem;

/// Who sent a request: the name of its token.
#[derive(Clone, Debug)]
struct Owner(String);

/// The caller's own job of this name.
///
/// # Errors
/// 404 for what is not a job, or another caller's.
async fn own_job(app: &App, owner: &Owner, id: &str) -> Result<Record, Problem> {
    let missing = || Problem::not_found(format!("there is no job `{id}`"));
    let id = JobId::parse(id).ok_or_else(missing)?;
    let found = app.0.store.job(&id).await?;
    found.filter(|record| record.owner == owner.0).ok_or_else(missing)
}
