//! What the service offers over HTTP, as a trait, so that the plumbing can be tested with slow,
//! failing and panicking work.

use crate::convert::Inspection;
use crate::convert::error::Error;
use crate::convert::job::{Artifacts, Job};
use crate::convert::progress::{CheckpointStore, Event};
use crate::convert::{self, DataLayout, Verified};
use crate::data::DataFile;
use std::sync::atomic::AtomicBool;

pub trait Engine: Send + Sync + 'static {
    /// See [`convert::run_with_checkpoints`].
    ///
    /// # Errors
    /// See [`Error`].
    fn convert(
        &self,
        job: &Job,
        progress: &mut (dyn FnMut(Event) + Send),
        keeper: &mut (dyn CheckpointStore + Send),
        cancel: &AtomicBool,
    ) -> Result<Artifacts, Error>;

    /// See [`convert::inspect`].
    ///
    /// # Errors
    /// See [`Error`].
    fn inspect(&self, model: &[u8]) -> Result<Inspection, Error>;

    /// See [`convert::verify`].
    ///
    /// # Errors
    /// See [`Error`].
    fn verify(&self, proxy: &[u8], inputs: &DataFile, expected: Option<&DataFile>, layout: DataLayout)
    -> Result<Verified, Error>;
}

/// The library itself.
pub struct Library;

impl Engine for Library {
    fn convert(
        &self,
        job: &Job,
        progress: &mut (dyn FnMut(Event) + Send),
        keeper: &mut (dyn CheckpointStore + Send),
        cancel: &AtomicBool,
    ) -> Result<Artifacts, Error> {
        convert::run_with_checkpoints(job, progress, keeper, cancel)
    }

    fn inspect(&self, model: &[u8]) -> Result<Inspection, Error> {
        convert::inspect(model)
    }

    fn verify(
        &self,
        proxy: &[u8],
        inputs: &DataFile,
        expected: Option<&DataFile>,
        layout: DataLayout,
    ) -> Result<Verified, Error> {
        convert::verify(proxy, inputs, expected, layout)
    }
}
