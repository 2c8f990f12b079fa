//! Retention: what nobody needs any more goes, and nothing stays that no row names.

use super::super::Expired;
use super::begin;
use super::files::Files;
use crate::service::record::now;
use crate::service::store_error::StoreError;
use rusqlite::{Connection, OptionalExtension, params};
use std::fs;
use std::time::Duration;

/// Contents that no job names and that were used before the time `?1`.
const UNUSED: &str = "
    used < ?1 AND NOT EXISTS (SELECT 1 FROM input WHERE input.digest = file.digest)
    AND NOT EXISTS (SELECT 1 FROM artifact WHERE artifact.digest = file.digest)";

pub fn expire(database: &mut Connection, files: &Files, keep: Duration) -> Result<Expired, StoreError> {
    let before = now().saturating_sub(i64::try_from(keep.as_millis()).unwrap_or(i64::MAX));
    let tx = begin(database)?;
    let jobs = tx.execute("DELETE FROM job WHERE finished < ?1 AND state NOT IN ('queued', 'running')", [before])?;
    tx.execute(&format!("DELETE FROM file WHERE {UNUSED}"), [before])?;
    tx.commit()?;
    Ok(Expired { jobs, files: without_rows(database, files)? })
}

/// What a process that was killed left behind.
pub fn orphans(database: &Connection, files: &Files) -> Result<(), StoreError> {
    files.clear_staging()?;
    without_rows(database, files)?;
    Ok(())
}

/// Removes files that no row names. The database is locked meanwhile, so none can just be on its
/// way.
fn without_rows(database: &Connection, files: &Files) -> Result<usize, StoreError> {
    let mut removed = 0;
    let mut named = database.prepare_cached("SELECT 1 FROM file WHERE digest = ?1")?;
    for (digest, path) in files.contents()? {
        if named.query_row([digest.as_str()], |_| Ok(())).optional()?.is_none() {
            fs::remove_file(path)?;
            removed += 1;
        }
    }
    let mut unfinished = database.prepare_cached("SELECT 1 FROM job WHERE id = ?1 AND state IN ('queued', 'running')")?;
    for (job, path) in files.checkpoints()? {
        let needed = match job {
            Some(id) => unfinished.query_row(params![id.as_str()], |_| Ok(())).optional()?.is_some(),
            None => false,
        };
        if !needed {
            fs::remove_file(path)?;
            removed += 1;
        }
    }
    Ok(removed)
}
