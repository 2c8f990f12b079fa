//! Options of every process that does jobs: `serve` and `worker`.

use crate::convert::error::Error;
use crate::service::store::Store;
use crate::service::{Limits, LocalStore};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

#[derive(clap::Args)]
pub struct Work {
    /// Folder for jobs and files, or for scratch files alone with --nats; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "hgq-onnx-data")]
    pub data: PathBuf,
    /// Conversions at the same time; 0 leaves them to workers of the same --nats
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub jobs: u16,
    /// Time for which ended jobs and unused files are kept, in hours
    #[arg(long, value_name = "HOURS", default_value_t = 168.0, value_parser = hours)]
    pub keep: f64,
    /// Longest run of a job, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    pub max_time: u32,
    /// Time that running jobs get to finish after SIGTERM, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub grace: u32,
}

/// Longest time for which things can be kept: ten years.
const MAX_HOURS: f64 = 87_660.0;

fn hours(text: &str) -> Result<f64, String> {
    let hours = text.parse().ok().filter(|h| (0.0..=MAX_HOURS).contains(h));
    hours.ok_or_else(|| format!("a number of hours from 0 to {MAX_HOURS} is expected"))
}

impl Work {
    /// The limits that these options set.
    pub fn limits(&self) -> Limits {
        let seconds = |n: u32| Duration::from_secs(n.into());
        Limits {
            jobs: self.jobs.into(),
            keep: Duration::from_secs_f64(self.keep * 3600.0),
            job_time: seconds(self.max_time),
            grace: seconds(self.grace),
            ..Limits::default()
        }
    }

    /// The store in the folder.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn open(&self) -> Result<Arc<dyn Store>, Error> {
        if self.jobs == 0 {
            return Err(Error::Config(vec!["--jobs 0: nobody else does the jobs of a folder; at least 1".into()]));
        }
        let store = LocalStore::open(&self.data).map_err(|e| Error::Config(vec![format!("--data {e}")]))?;
        Ok(Arc::new(store))
    }
}
