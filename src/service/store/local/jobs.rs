//! Jobs as their owners see and steer them, and their events.

use super::super::{Digest, NewEvent};
use super::rows::{self, COLUMNS};
use crate::service::record::{Artifact, JobId, Record, StoredEvent, SweepId};
use crate::service::store_error::StoreError;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

pub fn get(database: &Connection, id: &JobId) -> Result<Option<Record>, StoreError> {
    let mut statement = database.prepare_cached(&format!("SELECT {COLUMNS} FROM job WHERE id = ?1"))?;
    let found = statement.query_row([id.as_str()], |row| Ok(rows::record(row))).optional()?;
    let Some((mut record, number)) = found.transpose()? else { return Ok(None) };
    record.artifacts = artifacts(database, number)?;
    Ok(Some(record))
}

pub fn artifacts(database: &Connection, number: i64) -> Result<Vec<Artifact>, StoreError> {
    let mut statement = database.prepare_cached("SELECT name, digest, bytes FROM artifact WHERE job = ?1 ORDER BY name")?;
    let mut found = Vec::new();
    let mut rows = statement.query([number])?;
    while let Some(row) = rows.next()? {
        let digest: String = row.get(1)?;
        let digest = Digest::parse(&digest).ok_or_else(|| StoreError::Internal("a damaged digest".into()))?;
        found.push(Artifact { name: row.get(0)?, digest, bytes: row.get(2)? });
    }
    Ok(found)
}

pub fn list(database: &Connection, owner: &str, before: Option<&JobId>, most: usize) -> Result<Vec<Record>, StoreError> {
    let from = before.map(|id| rows::number(database, id)).transpose()?.flatten().unwrap_or(i64::MAX);
    let select = format!("SELECT {COLUMNS} FROM job WHERE owner = ?1 AND number < ?2 ORDER BY number DESC LIMIT ?3");
    let mut statement = database.prepare_cached(&select)?;
    let mut found = Vec::new();
    let mut rows = statement.query(params![owner, from, most as i64])?;
    while let Some(row) = rows.next()? {
        found.push(rows::record(row)?.0);
    }
    Ok(found)
}

pub fn of_sweep(database: &Connection, owner: &str, sweep: &SweepId) -> Result<Vec<Record>, StoreError> {
    let select = format!("SELECT {COLUMNS} FROM job WHERE sweep = ?1 AND owner = ?2 ORDER BY number");
    let mut statement = database.prepare_cached(&select)?;
    let mut found = Vec::new();
    let mut rows = statement.query(params![sweep.as_str(), owner])?;
    while let Some(row) = rows.next()? {
        let (mut record, number) = rows::record(row)?;
        record.artifacts = artifacts(database, number)?;
        found.push(record);
    }
    Ok(found)
}

pub fn is_canceled(database: &Connection, id: &JobId) -> Result<bool, StoreError> {
    let mut statement = database.prepare_cached("SELECT cancel FROM job WHERE id = ?1")?;
    Ok(statement.query_row([id.as_str()], |row| row.get(0)).optional()?.unwrap_or(true))
}

pub fn events(database: &Connection, id: &JobId, after: u64) -> Result<Vec<StoredEvent>, StoreError> {
    let Some(number) = rows::number(database, id)? else { return Ok(Vec::new()) };
    let mut statement =
        database.prepare_cached("SELECT seq, kind, data FROM event WHERE job = ?1 AND seq > ?2 ORDER BY seq LIMIT 1000")?;
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let found = statement
        .query_map(params![number, after], |row| Ok(StoredEvent { seq: row.get(0)?, kind: row.get(1)?, data: row.get(2)? }))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Appends events; the last one of an epoch becomes the job's progress.
pub fn append(tx: &Transaction, id: &JobId, events: &[NewEvent]) -> Result<(), StoreError> {
    let last = "SELECT number, last_event FROM job WHERE id = ?1";
    let (number, last): (i64, u64) = tx.prepare_cached(last)?.query_row([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut insert = tx.prepare_cached("INSERT INTO event VALUES (?1, ?2, ?3, ?4)")?;
    for (event, seq) in events.iter().zip(last + 1..) {
        insert.execute(params![number, seq, event.kind, event.data])?;
    }
    tx.execute("UPDATE job SET last_event = ?2 WHERE number = ?1", params![number, last + events.len() as u64])?;
    if let Some(progress) = events.iter().rev().find(|e| matches!(e.kind, "epoch" | "stage")) {
        tx.execute("UPDATE job SET progress = ?2 WHERE number = ?1", params![number, progress.data])?;
    }
    Ok(())
}
