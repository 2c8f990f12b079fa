//! Rows as [`Record`]s.

use crate::service::record::{JobId, Record, State, SweepId};
use crate::service::store_error::StoreError;
use rusqlite::{Connection, OptionalExtension, Row};
use serde::de::DeserializeOwned;

/// Columns that [`record`] reads.
pub const COLUMNS: &str =
    "id, owner, state, cancel, created, started, finished, attempts, spec, progress, outcome, last_event, number, sweep";

/// A record without artifacts, and its number.
pub fn record(row: &Row) -> Result<(Record, i64), StoreError> {
    let text = |n: usize| row.get::<_, String>(n);
    let record = Record {
        id: id(&text(0)?)?,
        owner: text(1)?,
        state: State::parse(&text(2)?).ok_or_else(|| StoreError::Internal("an unknown state".into()))?,
        cancel: row.get(3)?,
        created: row.get(4)?,
        started: row.get(5)?,
        finished: row.get(6)?,
        attempts: row.get(7)?,
        spec: json(&text(8)?)?,
        progress: row.get::<_, Option<String>>(9)?.map(|t| json(&t)).transpose()?,
        outcome: json(&text(10)?)?,
        artifacts: Vec::new(),
        sweep: row.get::<_, Option<String>>(13)?.and_then(|t| SweepId::parse(&t)),
        last_event: row.get(11)?,
    };
    Ok((record, row.get(12)?))
}

pub fn id(text: &str) -> Result<JobId, StoreError> {
    JobId::parse(text).ok_or_else(|| StoreError::Internal(format!("`{text}` is not a job")))
}

pub fn json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|e| StoreError::Internal(e.to_string()))
}

pub fn to_json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Internal(e.to_string()))
}

/// Number of a job.
pub fn number(database: &Connection, id: &JobId) -> Result<Option<i64>, StoreError> {
    let mut found = database.prepare_cached("SELECT number FROM job WHERE id = ?1")?;
    Ok(found.query_row([id.as_str()], |row| row.get(0)).optional()?)
}
