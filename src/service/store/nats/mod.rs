//! The store of a farm: NATS JetStream, for any number of processes that serve and work.
//!
//! ```text
//! HGQ_QUEUE    work-queue stream, a message `hgq.queue.CALLER.JOB` for each job that is not over;
//!              a durable consumer for each caller
//! hgq-jobs     bucket: records, by job
//! hgq-events   bucket: events that no longer fit into the record
//! hgq-index    bucket: lists of jobs by caller and sweep, Idempotency-Keys, results by identity
//! hgq-files    bucket: contents by digest: their objects, and who uses them
//! hgq-objects  object store: models, data, artifacts, checkpoints
//! ```
//!
//! Who does a job is decided by its record alone: every change is made on the revision that was
//! read, so of two workers that believe to have a job, one is told [`StoreError::Lost`]. The queue
//! only says that somebody should look at a job. Whatever is lost on the way, a message that comes
//! twice or late is looked up in the record and does no harm.

mod bucket;
mod cache;
mod claims;
mod connect;
mod fault;
mod files;
mod names;
mod notifier;
mod objects;
mod queue;
mod retention;
mod row;
mod rows;
mod submit;

pub use connect::NatsOptions;

use super::{Claim, Depth, Digest, Expired, NewEvent, NewJob, Staged, Store, Submitted};
use crate::service::record::{Artifact, JobId, Outcome, Record, State, StoredEvent, SweepId, now};
use crate::service::store_error::StoreError;
use async_trait::async_trait;
use bucket::On;
use claims::Claims;
use files::{Files, User};
use futures_util::{StreamExt, TryStreamExt};
use notifier::JobNotifier;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use submit::Parts;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Time after which a waiting worker looks for jobs without being woken: those of workers that are
/// gone.
const LOOK_QUEUE: Duration = Duration::from_secs(2);
/// Time after which it looks again when it was woken and found nothing: the message may be on its
/// way.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Time after which those who wait for a job look at it without being rung.
const LOOK_JOB: Duration = Duration::from_secs(5);
/// Records that are fetched at the same time for a list.
const AT_ONCE: usize = 16;
/// Time for which NATS may be away without a running job failing for it.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same for fetching a file, for which a client may wait.
const PATIENCE_FILE: Duration = Duration::from_secs(20);
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// See the module.
pub struct NatsStore {
    parts: Parts,
    claims: Claims,
    notifier: JobNotifier,
    /// Ends with the store.
    _tasks: JoinSet<()>,
}

/// Tries again while NATS is away.
async fn patiently<T, F: Future<Output = Result<T, StoreError>>>(
    patience: Duration,
    mut try_it: impl FnMut() -> F,
) -> Result<T, StoreError> {
    let until = Instant::now() + patience;
    loop {
        match try_it().await {
            Err(StoreError::Unavailable(_)) if Instant::now() < until => tokio::time::sleep(PAUSE).await,
            result => return result,
        }
    }
}

impl NatsStore {
    /// Connects, and makes what is not there.
    ///
    /// # Errors
    /// A message for the operator: NATS cannot be reached, has no JetStream, or the folder cannot
    /// be used.
    pub async fn open(options: &NatsOptions) -> Result<NatsStore, String> {
        let cache = Arc::new(cache::Cache::open(&options.scratch)?);
        let opened = connect::open(options).await?;
        let rows = rows::Rows { jobs: opened.jobs.clone(), events: opened.events };
        let files = Files { entries: opened.files, objects: opened.objects.clone(), cache };
        let queue = queue::Queue::new(opened.context, opened.queue, options.ack_wait);
        let parts = Parts { rows, index: opened.index, files, objects: opened.objects, queue };
        let notifier = JobNotifier::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(notifier.clone().watch(opened.client, opened.jobs));
        tasks.spawn(parts.queue.clone().listen());
        Ok(NatsStore { claims: Claims::new(parts.clone(), options.ack_wait), parts, notifier, _tasks: tasks })
    }

    async fn records(&self, ids: Vec<JobId>) -> Result<Vec<Record>, StoreError> {
        let get = |id: JobId| async move {
            let found = self.parts.rows.get(&id).await?;
            Ok::<_, StoreError>(found.map(|(row, _)| row.record(id)))
        };
        let found: Vec<Option<Record>> = futures_util::stream::iter(ids).map(get).buffered(AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Names and places of jobs in the index, in the order of submission.
    async fn listed(&self, pattern: &str) -> Result<Vec<(u64, JobId)>, StoreError> {
        let mut found = Vec::new();
        self.parts
            .index
            .each(pattern, |entry| {
                found.extend(names::job(&entry.key).map(|id| (entry.revision, id)));
                Ok(())
            })
            .await?;
        Ok(found)
    }
}

#[async_trait]
impl Store for NatsStore {
    fn stage(&self) -> Staged {
        self.parts.files.cache.stage()
    }

    async fn keep(&self, staged: Staged, owner: &str) -> Result<Digest, StoreError> {
        self.parts.files.keep(&staged, User::Owner(owner)).await?;
        let digest = staged.digest();
        self.parts.files.cache.take(staged)?;
        Ok(digest)
    }

    async fn owned(&self, owner: &str, digest: &Digest) -> Result<Option<u64>, StoreError> {
        self.parts.files.owned(owner, digest).await
    }

    async fn open(&self, digest: &Digest) -> Result<PathBuf, StoreError> {
        patiently(PATIENCE_FILE, || self.parts.files.open(digest)).await
    }

    async fn submit(&self, job: NewJob) -> Result<Submitted, StoreError> {
        self.parts.submit(&job).await
    }

    async fn job(&self, id: &JobId) -> Result<Option<Record>, StoreError> {
        Ok(self.parts.rows.get(id).await?.map(|(row, _)| row.record(id.clone())))
    }

    async fn jobs(&self, owner: &str, before: Option<&JobId>, most: usize) -> Result<Vec<Record>, StoreError> {
        let mut listed = self.listed(&names::list(owner)).await?;
        if let Some(end) = before.and_then(|id| listed.iter().find(|l| l.1 == *id)).map(|l| l.0) {
            listed.retain(|l| l.0 < end);
        }
        listed.reverse();
        // a few more, as the newest may not be made yet
        listed.truncate(most.saturating_add(AT_ONCE));
        let mut records = self.records(listed.into_iter().map(|l| l.1).collect()).await?;
        records.truncate(most);
        records.iter_mut().for_each(|r| r.artifacts.clear());
        Ok(records)
    }

    async fn sweep(&self, owner: &str, sweep: &SweepId) -> Result<Vec<Record>, StoreError> {
        let listed = self.listed(&names::sweep(owner, sweep)).await?;
        self.records(listed.into_iter().map(|l| l.1).collect()).await
    }

    async fn cancel(&self, id: &JobId) -> Result<(), StoreError> {
        let canceled = self.parts.rows.change(id, |row| {
            match row.state {
                State::Queued => row.finish(State::Canceled, Outcome::default(), Vec::new()),
                State::Running => row.cancel = true,
                _ => return false,
            }
            true
        });
        if let Some(row) = canceled.await?.filter(|row| row.state == State::Canceled) {
            self.parts.queue.remove(&row.owner, id).await?;
            self.claims.drop_checkpoint(row.checkpoint).await;
        }
        Ok(())
    }

    async fn events(&self, id: &JobId, after: u64, wait: Duration) -> Result<Vec<StoredEvent>, StoreError> {
        let until = Instant::now() + wait;
        // listened to before the look: nothing that happens in between is missed
        let mut bell = self.notifier.listen(id);
        loop {
            let Some((row, _)) = self.parts.rows.get(id).await? else { return Ok(Vec::new()) };
            let found = if row.last_event > after { self.parts.rows.events(&row, after).await? } else { Vec::new() };
            if !found.is_empty() || Instant::now() >= until {
                return Ok(found);
            }
            let look = until.min(Instant::now() + LOOK_JOB);
            let _ = tokio::time::timeout_at(look, bell.changed()).await;
        }
    }

    async fn depth(&self) -> Result<Depth, StoreError> {
        self.parts.queue.depth().await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.parts.index.set("ready", &now(), On::Anything).await?;
        self.parts.files.cache.writable()
    }

    async fn claim(&self) -> Result<Claim, StoreError> {
        let mut woken = self.parts.queue.woken();
        let mut wait = LOOK_QUEUE;
        loop {
            woken.mark_unchanged();
            let (send, taken) = tokio::sync::oneshot::channel();
            let claims = self.claims.clone();
            // a task of its own: what is taken while the caller goes is given back, not held until
            // the ack wait is over
            tokio::spawn(async move {
                if let Err(Ok(Some(claim))) = send.send(claims.take().await) {
                    claims::release_claim(claims, claim).await;
                }
            });
            let taken = taken.await.map_err(|_| StoreError::Internal("the taking of a job ended".into()))?;
            if let Some(claim) = taken? {
                return Ok(claim);
            }
            let called = tokio::time::timeout(wait, woken.changed()).await.is_ok();
            wait = if called { LOOK_AGAIN } else { LOOK_QUEUE };
        }
    }

    async fn append(&self, claim: &Claim, events: Vec<NewEvent>) -> Result<(), StoreError> {
        let before = std::sync::OnceLock::new();
        let append = |row: &mut row::Row| {
            // nobody else appends: more events than there were are these, stored by a try whose
            // answer was lost
            if row.last_event > *before.get_or_init(|| row.last_event) { Ok(()) } else { row.append(&events) }
        };
        patiently(PATIENCE, || self.claims.change(claim, append)).await?;
        Ok(())
    }

    async fn canceled(&self, claim: &Claim) -> Result<(), StoreError> {
        let mut bell = self.notifier.listen(&claim.id);
        let mut revision = 0;
        loop {
            match self.claims.is_canceled(claim, revision).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                // a cancel that comes now is heard when NATS is back
                Err(StoreError::Unavailable(_)) => tokio::time::sleep(PAUSE).await,
                Err(error) => return Err(error),
            }
            revision = match tokio::time::timeout(LOOK_JOB, bell.changed()).await {
                Ok(_) => *bell.borrow_and_update(),
                Err(_) => 0,
            };
        }
    }

    async fn checkpoint(&self, claim: &Claim) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(object) = self.claims.checkpoint(claim).await? else { return Ok(None) };
        patiently(PATIENCE, || self.parts.files.read(&object)).await.map(Some)
    }

    async fn save_checkpoint(&self, claim: &Claim, bytes: Vec<u8>) -> Result<(), StoreError> {
        let object = objects::checkpoint_name(&claim.id)?;
        self.parts.objects.put(&object, &mut bytes.as_slice()).await?;
        let saved = self.claims.change(claim, |row| {
            row.checkpoint = Some(object.clone());
            row.lost = 0;
            Ok(())
        });
        match saved.await {
            Ok((before, _)) => self.claims.drop_checkpoint(before.checkpoint).await,
            Err(StoreError::Lost) => {
                self.claims.drop_checkpoint(Some(object)).await;
                return Err(StoreError::Lost);
            }
            // it may be stored nevertheless: the object is removed later if no record names it
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn finish(&self, claim: &Claim, state: State, outcome: Outcome, made: Vec<(String, Staged)>) -> Result<(), StoreError> {
        let mut artifacts = Vec::new();
        for (name, staged) in made {
            patiently(PATIENCE, || self.parts.files.keep(&staged, User::Maker(&claim.id))).await?;
            artifacts.push(Artifact { name, digest: staged.digest(), bytes: staged.bytes() });
            // clients fetch it from where they asked for it: here it is not needed any more
        }
        if state == State::Succeeded {
            // before the record says so, as it is believed only if the record does
            let done = names::done(&claim.owner, &claim.spec.identity());
            patiently(PATIENCE, || self.parts.index.set(&done, &claim.id, On::Anything)).await?;
        }
        let changed = patiently(PATIENCE, || {
            self.claims.change(claim, |row| {
                row.finish(state, outcome.clone(), artifacts.clone());
                row.checkpoint = None;
                Ok(())
            })
        });
        let (before, after) = changed.await?;
        self.claims.over(claim, before).await;
        if state == State::Succeeded
            && let Err(error) = self.parts.finish_same(&claim.id, &after).await
        {
            // what is left waiting is looked up when its turn comes
            tracing::warn!(job = %claim.id, %error, "jobs that wait for the same were not ended");
        }
        Ok(())
    }

    async fn give_back(&self, claim: &Claim) -> Result<(), StoreError> {
        self.claims
            .change(claim, |row| {
                row.give_back();
                Ok(())
            })
            .await?;
        self.claims.given_back(claim).await;
        Ok(())
    }

    async fn expire(&self, keep: Duration) -> Result<Expired, StoreError> {
        retention::expire(&self.parts, keep).await
    }
}
