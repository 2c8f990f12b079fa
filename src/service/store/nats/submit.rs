//! From a request to a job in the queue. The steps are in an order in which a process may end after
//! any of them: what it leaves is either not seen by anybody, or taken up by who asks again, or by
//! [`super::retention`].

use super::super::{NewJob, Submitted};
use super::bucket::{Bucket, On};
use super::files::Files;
use super::names;
use super::objects::Objects;
use super::queue::Queue;
use super::row::Row;
use super::rows::Rows;
use crate::service::record::{JobId, State, now};
use crate::service::store_error::StoreError;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Time that the request which has a key gets to make its job, before another one of the same key
/// does it.
const MAKING: Duration = Duration::from_secs(10);
/// Pause between two looks at what it does.
const LOOK: Duration = Duration::from_millis(100);

/// What an Idempotency-Key stands for.
#[derive(Serialize, Deserialize)]
pub struct Key {
    pub id: JobId,
    pub identity: String,
    /// The job is there; if not, it is being made since `since` (milliseconds since 1970).
    pub made: bool,
    pub since: i64,
}

/// An entry of the list of a caller's jobs; its revision is the place in the order of submission.
#[derive(Serialize, Deserialize)]
pub struct Listed {
    pub since: i64,
    pub key: Option<String>,
}

/// What jobs are made of.
#[derive(Clone)]
pub struct Parts {
    pub rows: Rows,
    pub index: Bucket,
    pub files: Files,
    pub objects: Objects,
    pub queue: Queue,
}

/// What became of a key.
enum Keyed {
    Mine(u64),
    Other(Box<Submitted>),
}

impl Parts {
    pub async fn submit(&self, job: &NewJob) -> Result<Submitted, StoreError> {
        let mut row = Row::new(job);
        if let Some(key) = &job.key
            && let Some(entry) = self.index.get(&names::key(&job.owner, key)).await?
            && let Some(known) = self.known(&entry.json()?, &row).await?
        {
            return Ok(known);
        }
        let earlier = self.done_before(&row).await?;
        if earlier.is_none() {
            let depth = self.queue.depth().await?;
            if depth.queued + depth.running >= job.most {
                return Ok(Submitted::Busy);
            }
        }
        let id = JobId::random().map_err(|e| StoreError::Internal(e.to_string()))?;
        let mut keyed = None;
        if let Some(key) = &job.key {
            match self.take_key(key, &id, &row).await? {
                Keyed::Mine(revision) => keyed = Some((key, revision)),
                Keyed::Other(submitted) => return Ok(*submitted),
            }
        }
        self.list(&id, &row).await?;
        if earlier.is_none() {
            self.index.set(&names::waiting(&row.owner, &row.identity, &id), &row.created, On::Anything).await?;
        }
        let Some(revision) = self.rows.set(&id, &mut row, On::Nothing).await? else {
            return Err(StoreError::Internal("two jobs of one name".into()));
        };
        // used after the record names them: from here on they stay
        if !self.files.touch_all(row.spec.inputs.values().map(|i| &i.digest), None).await? {
            self.remove(&id, &row).await?;
            return Err(StoreError::Internal("an input of the job is gone".into()));
        }
        if let Some((key, at)) = keyed {
            let made = Key { id: id.clone(), identity: row.identity.to_string(), made: true, since: now() };
            if self.index.set(&names::key(&job.owner, key), &made, On::Revision(at)).await?.is_none() {
                // this took so long that another request of the same key made the job
                self.remove(&id, &row).await?;
                return Err(StoreError::Unavailable("the job was made by another request".into()));
            }
        }
        if let Some(earlier) = earlier
            && self.files.touch_all(earlier.artifacts.iter().map(|a| &a.digest), Some(&id)).await?
        {
            row.finish_like(&earlier);
            if self.rows.set(&id, &mut row, On::Revision(revision)).await?.is_some() {
                return Ok(Submitted::New(row.record(id)));
            }
            // canceled in this very moment
            let now = self.rows.get(&id).await?.map(|(row, _)| row);
            return now.map(|row| Submitted::New(row.record(id))).ok_or_else(|| StoreError::Internal("a job is gone".into()));
        }
        self.queue.push(&job.owner, &id).await?;
        Ok(Submitted::New(row.record(id)))
    }

    /// Puts a job on the lists of its caller.
    async fn list(&self, id: &JobId, row: &Row) -> Result<(), StoreError> {
        let listed = Listed { since: now(), key: row.key.clone() };
        self.index.set(&names::listed(&row.owner, id), &listed, On::Anything).await?;
        if let Some(sweep) = &row.sweep {
            self.index.set(&names::swept(&row.owner, sweep, id), &listed, On::Anything).await?;
        }
        Ok(())
    }

    /// Makes a key stand for the job `id` that is about to be made.
    async fn take_key(&self, key: &str, id: &JobId, row: &Row) -> Result<Keyed, StoreError> {
        let name = names::key(&row.owner, key);
        loop {
            let mine = Key { id: id.clone(), identity: row.identity.to_string(), made: false, since: now() };
            let on = match self.index.get(&name).await? {
                None => On::Nothing,
                Some(entry) => {
                    let known: Key = entry.json()?;
                    if let Some(submitted) = self.known(&known, row).await? {
                        return Ok(Keyed::Other(Box::new(submitted)));
                    }
                    if !known.made && now().saturating_sub(known.since) < MAKING.as_millis() as i64 {
                        tokio::time::sleep(LOOK).await;
                        continue;
                    }
                    On::Revision(entry.revision)
                }
            };
            if let Some(revision) = self.index.set(&name, &mine, on).await? {
                return Ok(Keyed::Mine(revision));
            }
        }
    }

    /// The answer to a request whose key is known; `None` when its job is not there: not yet, or no
    /// longer.
    async fn known(&self, key: &Key, row: &Row) -> Result<Option<Submitted>, StoreError> {
        if key.identity != row.identity.as_str() {
            return Ok(Some(Submitted::OtherRequest));
        }
        if !key.made {
            return Ok(None);
        }
        let Some((found, _)) = self.rows.get(&key.id).await? else { return Ok(None) };
        if found.state == State::Queued {
            // whoever made it may have ended before it was queued
            self.queue.push(&found.owner, &key.id).await?;
        }
        Ok(Some(Submitted::Again(found.record(key.id.clone()))))
    }

    /// A job of the same caller and identity that succeeded.
    pub async fn done_before(&self, row: &Row) -> Result<Option<Row>, StoreError> {
        let Some(entry) = self.index.get(&names::done(&row.owner, &row.identity)).await? else { return Ok(None) };
        let found = self.rows.get(&entry.json()?).await?;
        Ok(found.map(|(row, _)| row).filter(|row| row.state == State::Succeeded))
    }

    /// Ends the waiting jobs of the same caller and identity as `id`, which has succeeded: there is
    /// nothing left to do for them.
    pub async fn finish_same(&self, id: &JobId, done: &Row) -> Result<(), StoreError> {
        let mut waiting = Vec::new();
        self.index
            .each(&names::waiting_for(&done.owner, &done.identity), |entry| {
                waiting.extend(names::job(&entry.key));
                Ok(())
            })
            .await?;
        for other in waiting {
            self.index.remove_all(&names::waiting(&done.owner, &done.identity, &other)).await?;
            let waits = self.rows.get(&other).await?.is_some_and(|(row, _)| row.state == State::Queued);
            let artifacts = done.artifacts.iter().map(|a| &a.digest);
            if other == *id || !waits || !self.files.touch_all(artifacts, Some(&other)).await? {
                continue;
            }
            let ended = self.rows.change(&other, |row| {
                let waits = row.state == State::Queued;
                if waits {
                    row.finish_like(done);
                }
                waits
            });
            if ended.await?.is_some() {
                self.queue.remove(&done.owner, &other).await?;
            }
        }
        Ok(())
    }

    /// Removes a job and all that is kept for it alone; its record last, so that what is left is
    /// found again.
    pub async fn remove(&self, id: &JobId, row: &Row) -> Result<(), StoreError> {
        self.rows.events.remove_all(&format!("{id}.>")).await?;
        if let Some(checkpoint) = &row.checkpoint {
            self.objects.delete(checkpoint).await?;
        }
        self.forget(&names::done(&row.owner, &row.identity), |entry: JobId| entry == *id).await?;
        self.index.remove_all(&names::waiting(&row.owner, &row.identity, id)).await?;
        if let Some(sweep) = &row.sweep {
            self.index.remove_all(&names::swept(&row.owner, sweep, id)).await?;
        }
        self.unlist(&row.owner, id, row.key.as_deref()).await?;
        self.rows.jobs.remove_all(id.as_str()).await
    }

    /// Removes a job from the list of its caller, and its key.
    pub async fn unlist(&self, owner: &str, id: &JobId, key: Option<&str>) -> Result<(), StoreError> {
        if let Some(key) = key {
            self.forget(&names::key(owner, key), |entry: Key| entry.id == *id).await?;
        }
        self.index.remove_all(&names::listed(owner, id)).await
    }

    /// Removes an entry of the index that is about a job, unless it is about another one by now.
    async fn forget<T: serde::de::DeserializeOwned>(&self, name: &str, is_it: impl Fn(T) -> bool) -> Result<(), StoreError> {
        if let Some(entry) = self.index.get(name).await?
            && is_it(entry.json()?)
        {
            self.index.remove(name, entry.revision).await?;
        }
        Ok(())
    }
}
