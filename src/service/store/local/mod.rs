//! The store of one process: an SQLite file and a folder. Nothing to configure.
//!
//! ```text
//! DIR/lock            held while a process uses DIR
//! DIR/jobs.sqlite     jobs, events, which file belongs to what
//! DIR/files/ab/abcd…  contents by their digests
//! DIR/staging/        uploads and artifacts while they are written
//! DIR/checkpoints/    of running jobs, by their names
//! ```
//!
//! Whatever is in the database is on disk: a file is synced and in its place before a row names it.
//! What no row names is removed, at the start and by [`Store::expire`].

mod files;
mod jobs;
mod notifier;
mod queue;
mod retention;
mod rows;
mod schema;

use super::{Claim, Depth, Digest, Expired, NewEvent, NewJob, Staged, Store, Submitted, folder};
use crate::service::record::{Artifact, JobId, Outcome, Record, State, StoredEvent, SweepId};
use crate::service::store_error::StoreError;
use async_trait::async_trait;
use files::{Files, Synced};
use notifier::JobNotifier;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// See the module.
#[derive(Clone)]
pub struct LocalStore(Arc<Inner>);

struct Inner {
    database: Mutex<Connection>,
    files: Files,
    notifier: JobNotifier,
    /// A job was queued.
    queued: Notify,
    _lock: File,
}

impl LocalStore {
    /// Opens a folder, which is made if need be. Jobs that were running when its last process ended
    /// are queued again.
    ///
    /// # Errors
    /// A message for the operator: no folder, no permission, in use by another process, damaged.
    pub fn open(dir: &Path) -> Result<LocalStore, String> {
        let at = |what: &str, e: &dyn std::fmt::Display| format!("{}: {what}: {e}", dir.display());
        let lock = folder::take(dir)?;
        let files = Files::open(dir).map_err(|e| at("cannot write to the folder", &e))?;
        let mut database = schema::open(&dir.join("jobs.sqlite")).map_err(|e| at("cannot open jobs.sqlite", &e))?;
        let start = |database: &mut Connection| -> Result<(), StoreError> {
            let tx = begin(database)?;
            queue::take_back_all(&tx)?;
            tx.commit()?;
            retention::orphans(database, &files)?;
            Ok(())
        };
        start(&mut database).map_err(|e| at("cannot read jobs.sqlite", &e))?;
        let inner =
            Inner { database: Mutex::new(database), files, notifier: JobNotifier::default(), queued: Notify::new(), _lock: lock };
        Ok(LocalStore(Arc::new(inner)))
    }

    /// Runs `work` on the database, off the threads that answer requests.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner, &mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = self.0.clone();
        let task = tokio::task::spawn_blocking(move || {
            let mut database = inner.database.lock().unwrap_or_else(PoisonError::into_inner);
            work(&inner, &mut database)
        });
        task.await.unwrap_or_else(|e| Err(StoreError::Internal(e.to_string())))
    }

    /// Writes contents out, off the threads that answer requests and before the database is locked:
    /// this may take long.
    async fn synced(&self, staged: Vec<(String, Staged)>) -> Result<Vec<(String, Synced)>, StoreError> {
        let inner = self.0.clone();
        let task = tokio::task::spawn_blocking(move || inner.files.synced(staged));
        task.await.unwrap_or_else(|e| Err(StoreError::Internal(e.to_string())))
    }

    /// [`Self::with`], in one transaction.
    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner, &Transaction) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let changed = move |inner: &Inner, database: &mut Connection| {
            let tx = begin(database)?;
            let done = work(inner, &tx)?;
            tx.commit()?;
            Ok(done)
        };
        self.with(changed).await
    }
}

/// A transaction that is going to write.
fn begin(database: &mut Connection) -> Result<Transaction<'_>, StoreError> {
    Ok(database.transaction_with_behavior(TransactionBehavior::Immediate)?)
}

impl From<rusqlite::Error> for StoreError {
    fn from(e: rusqlite::Error) -> StoreError {
        match e.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => StoreError::Full,
            Some(rusqlite::ErrorCode::SystemIoFailure | rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::CannotOpen) => {
                StoreError::Unavailable(e.to_string())
            }
            _ => StoreError::Internal(e.to_string()),
        }
    }
}

#[async_trait]
impl Store for LocalStore {
    fn stage(&self) -> Staged {
        self.0.files.stage()
    }

    async fn keep(&self, staged: Staged, owner: &str) -> Result<Digest, StoreError> {
        let owner = owner.to_string();
        let mut synced = self.synced(vec![(String::new(), staged)]).await?;
        self.change(move |inner, tx| match synced.pop() {
            Some((_, file)) => inner.files.keep_of(tx, file, &owner),
            None => Err(StoreError::Internal("no file".into())),
        })
        .await
    }

    async fn owned(&self, owner: &str, digest: &Digest) -> Result<Option<u64>, StoreError> {
        let (owner, digest) = (owner.to_string(), digest.clone());
        self.change(move |_, tx| files::owned(tx, &owner, &digest)).await
    }

    async fn open(&self, digest: &Digest) -> Result<PathBuf, StoreError> {
        Ok(self.0.files.path(digest))
    }

    async fn submit(&self, job: NewJob) -> Result<Submitted, StoreError> {
        let submitted = self.change(move |_, tx| queue::submit(tx, &job)).await?;
        if matches!(&submitted, Submitted::New(record) if record.state == State::Queued) {
            self.0.queued.notify_one();
        }
        Ok(submitted)
    }

    async fn job(&self, id: &JobId) -> Result<Option<Record>, StoreError> {
        let id = id.clone();
        self.with(move |_, database| jobs::get(database, &id)).await
    }

    async fn jobs(&self, owner: &str, before: Option<&JobId>, most: usize) -> Result<Vec<Record>, StoreError> {
        let (owner, before) = (owner.to_string(), before.cloned());
        self.with(move |_, database| jobs::list(database, &owner, before.as_ref(), most)).await
    }

    async fn sweep(&self, owner: &str, sweep: &SweepId) -> Result<Vec<Record>, StoreError> {
        let (owner, sweep) = (owner.to_string(), sweep.clone());
        self.with(move |_, database| jobs::of_sweep(database, &owner, &sweep)).await
    }

    async fn cancel(&self, id: &JobId) -> Result<(), StoreError> {
        let job = id.clone();
        self.change(move |_, tx| queue::cancel(tx, &job)).await?;
        self.0.notifier.notify(id);
        Ok(())
    }

    async fn events(&self, id: &JobId, after: u64, wait: Duration) -> Result<Vec<StoredEvent>, StoreError> {
        let until = tokio::time::Instant::now() + wait;
        // listened to before the look: nothing that happens in between is missed
        let mut bell = self.0.notifier.listen(id);
        loop {
            let job = id.clone();
            let found = self.with(move |_, database| jobs::events(database, &job, after)).await?;
            if !found.is_empty() || tokio::time::timeout_at(until, bell.changed()).await.is_err() {
                return Ok(found);
            }
        }
    }

    async fn depth(&self) -> Result<Depth, StoreError> {
        self.with(|_, database| queue::depth(database)).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.with(|inner, database| {
            database.execute_batch("BEGIN IMMEDIATE; UPDATE meta SET checked = checked + 1; COMMIT")?;
            inner.files.writable()
        })
        .await
    }

    async fn claim(&self) -> Result<Claim, StoreError> {
        loop {
            let queued = self.0.queued.notified();
            if let Some(claim) = self.change(|_, tx| queue::claim(tx)).await? {
                self.0.notifier.notify(&claim.id);
                // there may be more for other workers
                self.0.queued.notify_one();
                return Ok(claim);
            }
            queued.await;
        }
    }

    async fn append(&self, claim: &Claim, events: Vec<NewEvent>) -> Result<(), StoreError> {
        let held = claim.clone();
        self.change(move |_, tx| {
            queue::check(tx, &held)?;
            jobs::append(tx, &held.id, &events)
        })
        .await?;
        self.0.notifier.notify(&claim.id);
        Ok(())
    }

    async fn canceled(&self, claim: &Claim) -> Result<(), StoreError> {
        let mut bell = self.0.notifier.listen(&claim.id);
        loop {
            let id = claim.id.clone();
            if self.with(move |_, database| jobs::is_canceled(database, &id)).await? {
                return Ok(());
            }
            let _ = bell.changed().await;
        }
    }

    async fn checkpoint(&self, claim: &Claim) -> Result<Option<Vec<u8>>, StoreError> {
        let id = claim.id.clone();
        self.with(move |inner, _| inner.files.checkpoint(&id)).await
    }

    async fn save_checkpoint(&self, claim: &Claim, bytes: Vec<u8>) -> Result<(), StoreError> {
        let held = claim.clone();
        self.change(move |inner, tx| {
            queue::check(tx, &held)?;
            inner.files.save_checkpoint(&held.id, &bytes)?;
            queue::made_progress(tx, &held.id)
        })
        .await
    }

    async fn finish(&self, claim: &Claim, state: State, outcome: Outcome, made: Vec<(String, Staged)>) -> Result<(), StoreError> {
        let held = claim.clone();
        let synced = self.synced(made).await?;
        let same = self
            .change(move |inner, tx| {
                queue::check(tx, &held)?;
                let keep = |(name, file): (String, Synced)| inner.files.keep(tx, name, file);
                let artifacts = synced.into_iter().map(keep).collect::<Result<Vec<Artifact>, StoreError>>()?;
                queue::finish(tx, &held.id, state, &outcome, &artifacts)?;
                queue::finish_same(tx, &held.id)
            })
            .await?;
        self.0.files.drop_checkpoint(&claim.id);
        same.iter().chain([&claim.id]).for_each(|id| self.0.notifier.notify(id));
        Ok(())
    }

    async fn give_back(&self, claim: &Claim) -> Result<(), StoreError> {
        let held = claim.clone();
        self.change(move |_, tx| {
            queue::check(tx, &held)?;
            queue::give_back(tx, &held.id)
        })
        .await?;
        self.0.notifier.notify(&claim.id);
        self.0.queued.notify_one();
        Ok(())
    }

    async fn expire(&self, keep: Duration) -> Result<Expired, StoreError> {
        self.with(move |inner, database| retention::expire(database, &inner.files, keep)).await
    }
}
