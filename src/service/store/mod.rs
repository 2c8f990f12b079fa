//! Where jobs, their events and all files live. One narrow trait, so that the service and its
//! workers do not know whether it is a folder of this machine ([`local`]) or a cluster (`nats`,
//! with the feature `farm`).

mod folder;
pub mod local;
#[cfg(feature = "farm")]
pub mod nats;
mod staged;

use super::record::{JobId, Outcome, Record, Spec, State, StoredEvent, SweepId};
pub use super::store_error::StoreError;
pub use crate::service::digest::Digest;
use async_trait::async_trait;
pub use staged::Staged;
use std::path::PathBuf;
use std::time::Duration;

/// Workers that a job may lose without a checkpoint in between: then it is the job that ends them.
/// Not few, as a service may also be killed many times for other reasons.
pub const MAX_LOST: u32 = 20;

/// A job that is asked for.
#[derive(Clone, Debug)]
pub struct NewJob {
    pub owner: String,
    /// `Idempotency-Key` of the request.
    pub key: Option<String>,
    /// The sweep that it is a part of.
    pub sweep: Option<SweepId>,
    pub spec: Spec,
    /// Queued and running jobs at which no more are taken.
    pub most: usize,
}

/// What became of it.
#[derive(Debug)]
pub enum Submitted {
    /// A new job; one that was done before is `succeeded` already.
    New(Record),
    /// The job of the same key.
    Again(Record),
    /// The key belongs to another job.
    OtherRequest,
    /// As many jobs wait and run as may.
    Busy,
}

/// A job in the hands of a worker.
#[derive(Clone, Debug)]
pub struct Claim {
    pub id: JobId,
    pub attempt: u32,
    pub spec: Spec,
    pub owner: String,
}

/// How many jobs there are that are not over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    pub queued: usize,
    pub running: usize,
}

/// An event without its number.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    pub kind: &'static str,
    /// JSON.
    pub data: String,
}

/// What was removed because it is old.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    pub jobs: usize,
    pub files: usize,
}

#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// An empty content to write an upload into; it vanishes unless it is kept.
    fn stage(&self) -> Staged;

    /// Keeps a content; `owner` may use it in jobs.
    ///
    /// # Errors
    /// [`StoreError`], as of all methods here.
    async fn keep(&self, staged: Staged, owner: &str) -> Result<Digest, StoreError>;

    /// Bytes of a file that `owner` has sent, `None` if there is none.
    async fn owned(&self, owner: &str, digest: &Digest) -> Result<Option<u64>, StoreError>;

    /// A file of this machine with the content.
    async fn open(&self, digest: &Digest) -> Result<PathBuf, StoreError>;

    async fn submit(&self, job: NewJob) -> Result<Submitted, StoreError>;

    async fn job(&self, id: &JobId) -> Result<Option<Record>, StoreError>;

    /// Jobs of `owner`, the newest first, those after `before` (or all), at most `most`; artifacts
    /// are left out.
    async fn jobs(&self, owner: &str, before: Option<&JobId>, most: usize) -> Result<Vec<Record>, StoreError>;

    /// All jobs of a sweep of `owner`, in the order of their submission, with artifacts.
    async fn sweep(&self, owner: &str, sweep: &SweepId) -> Result<Vec<Record>, StoreError>;

    /// Ends a queued job, asks a running one to end, leaves others as they are.
    async fn cancel(&self, id: &JobId) -> Result<(), StoreError>;

    /// Events after number `after`; if there are none, waits for some, up to `wait`.
    async fn events(&self, id: &JobId, after: u64, wait: Duration) -> Result<Vec<StoredEvent>, StoreError>;

    async fn depth(&self) -> Result<Depth, StoreError>;

    /// Whether it can be written to.
    async fn ready(&self) -> Result<(), StoreError>;

    /// Waits for a job and takes it; callers get their turns one after another. A job of the same
    /// caller and identity as one that has succeeded meanwhile is ended with what that one made,
    /// then or here, and not handed out.
    async fn claim(&self) -> Result<Claim, StoreError>;

    async fn append(&self, claim: &Claim, events: Vec<NewEvent>) -> Result<(), StoreError>;

    /// Returns when the job is asked to end.
    async fn canceled(&self, claim: &Claim) -> Result<(), StoreError>;

    async fn checkpoint(&self, claim: &Claim) -> Result<Option<Vec<u8>>, StoreError>;

    async fn save_checkpoint(&self, claim: &Claim, bytes: Vec<u8>) -> Result<(), StoreError>;

    /// Ends a job for good, with the files that it made and their names.
    async fn finish(&self, claim: &Claim, state: State, outcome: Outcome, made: Vec<(String, Staged)>) -> Result<(), StoreError>;

    /// Queues a job again: this worker stops.
    async fn give_back(&self, claim: &Claim) -> Result<(), StoreError>;

    /// Removes jobs that ended, and files that nobody used, longer than `keep` ago.
    async fn expire(&self, keep: Duration) -> Result<Expired, StoreError>;
}
