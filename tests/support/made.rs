//! Conversions and their documents as JSON, as whoever reads files and answers sees them.

use hgq_onnx::convert::{self, Artifacts, Error, Event, Job, documents};
use serde_json::Value;
use std::ops::Deref;
use std::sync::atomic::AtomicBool;

/// [`Artifacts`] with their report as JSON.
#[derive(Clone, Debug)]
pub struct Made {
    pub report: Value,
    artifacts: Artifacts,
}

impl From<Artifacts> for Made {
    fn from(artifacts: Artifacts) -> Made {
        Made { report: documents::json(&artifacts.report).expect("a report is JSON"), artifacts }
    }
}

impl Deref for Made {
    type Target = Artifacts;

    fn deref(&self) -> &Artifacts {
        &self.artifacts
    }
}

/// See [`convert::run`].
pub fn run(job: &Job, progress: &mut (dyn FnMut(Event) + Send), cancel: &AtomicBool) -> Result<Made, Error> {
    convert::run(job, progress, cancel).map(Made::from)
}

/// See [`convert::plan`].
pub fn plan(job: &Job) -> Result<Value, Error> {
    documents::json(&convert::plan(job)?)
}
