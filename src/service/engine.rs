//! What the service offers over HTTP, as a trait, so that the plumbing can be tested with slow, failing and panicking work.

use crate::convert::{self, Artifacts, DataFile, Error, Event, Job, Verified};
use serde_json::Value;
use std::sync::atomic::AtomicBool;

pub trait Engine: Send + Sync + 'static {
    /// See [`convert::run`].
    ///
    /// # Errors
    /// See [`Error`].
    fn convert(&self, job: &Job, progress: &mut (dyn FnMut(Event) + Send), cancel: &AtomicBool) -> Result<Artifacts, Error>;

    /// See [`convert::inspect`].
    ///
    /// # Errors
    /// See [`Error`].
    fn inspect(&self, model: &[u8]) -> Result<Value, Error>;

    /// See [`convert::verify`].
    ///
    /// # Errors
    /// See [`Error`].
    fn verify(&self, proxy: &[u8], inputs: &DataFile, expected: Option<&DataFile>) -> Result<Verified, Error>;
}

/// The library itself.
pub struct Library;

impl Engine for Library {
    fn convert(&self, job: &Job, progress: &mut (dyn FnMut(Event) + Send), cancel: &AtomicBool) -> Result<Artifacts, Error> {
        let artifacts = convert::run(job, progress, cancel)?;
        // a caller that waits for the proxy's bytes must not take one that misses its target for a success
        artifacts.unmet.clone().map_or(Ok(artifacts), |why| Err(Error::TargetNotMet(why)))
    }

    fn inspect(&self, model: &[u8]) -> Result<Value, Error> {
        convert::inspect(model)
    }

    fn verify(&self, proxy: &[u8], inputs: &DataFile, expected: Option<&DataFile>) -> Result<Verified, Error> {
        convert::verify(proxy, inputs, expected)
    }
}
