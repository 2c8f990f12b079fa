//! Records: read, changed on what was read, and their events gathered.

use super::super::Digest;
use super::bucket::{Bucket, On};
use super::row::{Chunk, Event, Row, numbered};
use crate::service::record::{JobId, StoredEvent};
use crate::service::store_error::StoreError;

/// Events that are given at once.
const MAX_EVENTS: usize = 1000;
/// Changes that may come in between before one gives up: only cancels and takings are made by
/// others.
const TRIES: usize = 100;

#[derive(Clone)]
pub struct Rows {
    pub jobs: Bucket,
    pub events: Bucket,
}

impl Rows {
    pub async fn get(&self, id: &JobId) -> Result<Option<(Row, u64)>, StoreError> {
        let Some(found) = self.jobs.get(id.as_str()).await? else { return Ok(None) };
        Ok(Some((found.json()?, found.revision)))
    }

    /// Stores a record; `None` when it was changed by others.
    pub async fn set(&self, id: &JobId, row: &mut Row, on: On) -> Result<Option<u64>, StoreError> {
        if row.is_long() {
            // the key is made of the content: writers that lose the race for the record do not
            // touch what the winner wrote
            let text = serde_json::to_vec(&row.tail).map_err(super::fault::damaged)?;
            let hash = Digest::of(&text);
            let chunk = Chunk { first: row.tail_first(), key: format!("{id}.{}-{}", row.tail_first(), &hash.as_str()[..16]) };
            self.events.set(&chunk.key, &row.tail, On::Anything).await?;
            row.chunks.push(chunk);
            row.tail.clear();
        }
        self.jobs.set(id.as_str(), row, on).await
    }

    /// Changes a record as it is now; `None` when there is none or `change` says no.
    pub async fn change(&self, id: &JobId, change: impl Fn(&mut Row) -> bool) -> Result<Option<Row>, StoreError> {
        for _ in 0..TRIES {
            let Some((mut row, revision)) = self.get(id).await? else { return Ok(None) };
            if !change(&mut row) {
                return Ok(None);
            }
            if self.set(id, &mut row, On::Revision(revision)).await?.is_some() {
                return Ok(Some(row));
            }
        }
        Err(StoreError::Unavailable(format!("{id} is changed all the time")))
    }

    /// Events of a job after number `after`.
    pub async fn events(&self, row: &Row, after: u64) -> Result<Vec<StoredEvent>, StoreError> {
        let mut found = Vec::new();
        let ends = row.chunks.iter().skip(1).map(|c| c.first).chain([row.tail_first()]);
        for (chunk, end) in row.chunks.iter().zip(ends) {
            if end <= after.saturating_add(1) {
                continue;
            }
            // without it, the job is just being removed
            let Some(entry) = self.events.get(&chunk.key).await? else { return Ok(found) };
            found.extend(numbered(chunk.first, entry.json::<Vec<Event>>()?).filter(|e| e.seq > after));
            if found.len() >= MAX_EVENTS {
                return Ok(found);
            }
        }
        found.extend(row.tail_after(after));
        Ok(found)
    }
}
