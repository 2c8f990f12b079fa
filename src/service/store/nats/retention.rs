//! Retention: what nobody needs any more goes, nothing stays that no record names, and jobs that a
//! process left between two steps go on.

use super::super::{Digest, Expired};
use super::files::FileRow;
use super::names;
use super::row::Row;
use super::submit::{Listed, Parts};
use crate::service::record::{JobId, now};
use crate::service::store_error::StoreError;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Age at which a job that is not over is looked for in the queue: no submission takes that long.
const SUBMITTED: Duration = Duration::from_secs(60);
/// The same for an entry of a list whose job is not there.
const LISTED: Duration = Duration::from_secs(3600);

/// What the records say.
#[derive(Default)]
struct Seen {
    old: HashMap<JobId, Row>,
    unfinished: HashMap<JobId, (String, i64)>,
    all: HashSet<JobId>,
    used: HashSet<Digest>,
    checkpoints: HashSet<String>,
}

impl Seen {
    fn see(&mut self, id: JobId, row: Row, before: i64) {
        self.all.insert(id.clone());
        // a job may come twice, the newer state later
        self.unfinished.remove(&id);
        if row.state.is_final() && row.finished.is_some_and(|at| at < before) {
            self.old.insert(id, row);
            return;
        }
        self.used.extend(row.spec.inputs.values().map(|i| i.digest.clone()));
        self.used.extend(row.artifacts.iter().map(|a| a.digest.clone()));
        self.checkpoints.extend(row.checkpoint);
        if !row.state.is_final() {
            self.unfinished.insert(id, (row.owner, row.created));
        }
    }
}

pub async fn expire(parts: &Parts, keep: Duration) -> Result<Expired, StoreError> {
    let before = now().saturating_sub(i64::try_from(keep.as_millis()).unwrap_or(i64::MAX));
    // files before records: a file that is used after this look has another revision, one that was
    // used before is in a record
    let mut files = HashMap::new();
    parts
        .files
        .entries
        .each(">", |entry| {
            let row: FileRow = entry.json()?;
            if let Some(digest) = Digest::parse(&entry.key) {
                files.insert(digest, (row, entry.revision));
            }
            Ok(())
        })
        .await?;
    let mut seen = Seen::default();
    parts
        .rows
        .jobs
        .each(">", |entry| {
            let row = entry.json()?;
            if let Some(id) = JobId::parse(&entry.key) {
                seen.see(id, row, before);
            }
            Ok(())
        })
        .await?;
    for (id, row) in &seen.old {
        parts.remove(id, row).await?;
    }
    let mut gone = Expired { jobs: seen.old.len(), files: 0 };
    let mut objects = seen.checkpoints.clone();
    for (digest, (row, revision)) in files {
        let kept =
            row.used >= before || seen.used.contains(&digest) || row.makers.iter().any(|id| seen.unfinished.contains_key(id));
        if kept || !parts.files.entries.remove(digest.as_str(), revision).await? {
            objects.insert(row.object);
            continue;
        }
        parts.files.cache.forget(&digest);
        parts.objects.delete(&row.object).await?;
        gone.files += 1;
    }
    gone.files += parts.objects.sweep(&objects).await?;
    parts.files.cache.expire(keep)?;
    unlist(parts, &seen).await?;
    queue_again(parts, &seen).await?;
    Ok(gone)
}

/// Removes entries of lists whose jobs were never made.
async fn unlist(parts: &Parts, seen: &Seen) -> Result<(), StoreError> {
    let old = now().saturating_sub(LISTED.as_millis() as i64);
    let mut left = Vec::new();
    parts
        .index
        .each("list.>", |entry| {
            let listed: Listed = entry.json()?;
            if names::job(&entry.key).is_some_and(|id| !seen.all.contains(&id)) && listed.since < old {
                left.push(entry.key);
            }
            Ok(())
        })
        .await?;
    for key in left {
        parts.index.remove_all(&key).await?;
    }
    Ok(())
}

/// Queues jobs that are not over and not in the queue.
async fn queue_again(parts: &Parts, seen: &Seen) -> Result<(), StoreError> {
    let old = now().saturating_sub(SUBMITTED.as_millis() as i64);
    for (id, (owner, created)) in &seen.unfinished {
        if *created < old && parts.rows.get(id).await?.is_some_and(|(row, _)| !row.state.is_final()) {
            parts.queue.push(owner, id).await?;
        }
    }
    Ok(())
}
