//! The whole job: `run(job) → artifacts`. The command line and the service call this and nothing
//! below it.

pub mod config;
pub mod documents;
#[doc(hidden)]
pub mod emit;
mod engine;
pub mod error;
mod evaluation;
mod feed;
mod inspect;
pub mod job;
mod layout;
mod memory;
mod plan;
mod prepared;
pub mod progress;
mod purpose;
mod quantizers;
#[doc(hidden)]
pub mod report;
mod run;
mod search;
mod settings;
mod source;
mod start;
#[doc(hidden)]
pub mod synthesis;
#[doc(hidden)]
pub mod task;
mod trace;
mod verify;

pub use config::JobConfig;
use config::on_threads;
pub use documents::{Inspection, Plan, Report, Trace};
pub use error::{Error, NodeFault};
pub use feed::{DataLayout, Fed};
pub use inspect::inspect;
pub use job::{ArtifactFile, Artifacts, Job, ParetoProxy};
pub use memory::estimate;
use progress::NoCheckpoints;
pub use progress::{CheckpointStore, Event, Step};
use std::sync::atomic::AtomicBool;
pub use trace::trace;
pub use verify::{Verified, verify};

pub use crate::data::DataFile;

/// Converts a model. `progress` is called from a worker thread; setting `cancel` ends the job
/// within one batch.
///
/// # Errors
/// See [`Error`].
pub fn run(job: &Job, progress: &mut (dyn FnMut(Event) + Send), cancel: &AtomicBool) -> Result<Artifacts, Error> {
    run_with_checkpoints(job, progress, &mut NoCheckpoints, cancel)
}

/// [`run`], with checkpoints: a job that was stopped in training goes on where its last checkpoint
/// was taken, and ends as if it had not been stopped.
///
/// # Errors
/// See [`Error`].
pub fn run_with_checkpoints(
    job: &Job,
    progress: &mut (dyn FnMut(Event) + Send),
    keeper: &mut (dyn CheckpointStore + Send),
    cancel: &AtomicBool,
) -> Result<Artifacts, Error> {
    on_threads(&job.config, || run::run(job, progress, keeper, cancel))
}

/// What [`run`] would do: everything is read and checked, nothing is trained.
///
/// # Errors
/// Those that [`run`] would find before its first step.
pub fn plan(job: &Job) -> Result<Plan, Error> {
    on_threads(&job.config, || plan::plan(job))
}
