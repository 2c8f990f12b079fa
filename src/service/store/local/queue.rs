//! The way of a job through its states. Every change and its event are one transaction.

use super::super::{Claim, Depth, MAX_LOST, NewEvent, NewJob, Submitted};
use super::jobs::{self, get};
use super::rows::{self, to_json};
use crate::diagnostic::Code;
use crate::service::document::Document;
use crate::service::record::{Artifact, JobId, Outcome, Record, State, SweepId, now};
use crate::service::store_error::StoreError;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde_json::json;

pub fn submit(tx: &Transaction, job: &NewJob) -> Result<Submitted, StoreError> {
    let identity = job.spec.identity();
    if let Some(key) = &job.key {
        let same = "SELECT id, identity FROM job WHERE owner = ?1 AND key = ?2";
        let found: Option<(String, String)> =
            tx.query_row(same, params![job.owner, key], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        if let Some((id, found)) = found {
            return if found == identity.as_str() {
                Ok(Submitted::Again(existing(tx, &rows::id(&id)?)?))
            } else {
                Ok(Submitted::OtherRequest)
            };
        }
    }
    let done = done_before(tx, &job.owner, identity.as_str())?;
    let depth = depth(tx)?;
    if done.is_none() && depth.queued + depth.running >= job.most {
        return Ok(Submitted::Busy);
    }
    let id = JobId::random().map_err(|e| StoreError::Internal(e.to_string()))?;
    tx.execute(
        "INSERT INTO job (id, owner, key, sweep, identity, state, created, spec) VALUES (?1, ?2, ?3, ?4, ?5, 'queued', ?6, ?7)",
        params![
            id.as_str(),
            job.owner,
            job.key,
            job.sweep.as_ref().map(SweepId::as_str),
            identity.as_str(),
            now(),
            to_json(&job.spec)?
        ],
    )?;
    let number = tx.last_insert_rowid();
    tx.execute("INSERT OR IGNORE INTO caller VALUES (?1, 0)", [&job.owner])?;
    for input in job.spec.inputs.values() {
        let known = tx.execute("UPDATE file SET used = ?2 WHERE digest = ?1", params![input.digest.as_str(), now()])?;
        if known == 0 {
            return Err(StoreError::Internal("an input of the job is gone".into()));
        }
        tx.execute("INSERT OR IGNORE INTO input VALUES (?1, ?2)", params![number, input.digest.as_str()])?;
    }
    jobs::append(tx, &id, &[state_event(State::Queued, &Outcome::default())?])?;
    if let Some(earlier) = done {
        copy_result(tx, &id, earlier)?;
    }
    Ok(Submitted::New(existing(tx, &id)?))
}

fn existing(tx: &Transaction, id: &JobId) -> Result<Record, StoreError> {
    jobs::get(tx, id)?.ok_or_else(|| StoreError::Internal(format!("{id} is gone")))
}

/// Number of a job of the same caller and identity that succeeded.
fn done_before(tx: &Transaction, owner: &str, identity: &str) -> Result<Option<i64>, StoreError> {
    let same = "SELECT number FROM job WHERE owner = ?1 AND identity = ?2 AND state = 'succeeded' ORDER BY number DESC LIMIT 1";
    Ok(tx.prepare_cached(same)?.query_row(params![owner, identity], |row| row.get(0)).optional()?)
}

/// Ends `id` with what the job `earlier` made.
fn copy_result(tx: &Transaction, id: &JobId, earlier: i64) -> Result<(), StoreError> {
    let outcome: String = tx.query_row("SELECT outcome FROM job WHERE number = ?1", [earlier], |row| row.get(0))?;
    let outcome = Outcome { cached: true, ..rows::json(&outcome)? };
    let artifacts = jobs::artifacts(tx, earlier)?;
    finish(tx, id, State::Succeeded, &outcome, &artifacts)
}

pub fn depth(database: &Connection) -> Result<Depth, StoreError> {
    let count = |state: State| -> Result<usize, StoreError> {
        let count: i64 =
            database.prepare_cached("SELECT count(*) FROM job WHERE state = ?1")?.query_row([state.name()], |row| row.get(0))?;
        Ok(count as usize)
    };
    Ok(Depth { queued: count(State::Queued)?, running: count(State::Running)? })
}

/// Takes the next job: of the caller with the fewest running ones, of those whose last turn is
/// longest ago, the oldest. Jobs that have lost workers come after all others, which would never
/// get their turn if it is the job that ends the process.
pub fn claim(tx: &Transaction) -> Result<Option<Claim>, StoreError> {
    const NEXT: &str = "
        SELECT id, number, owner FROM job JOIN caller USING (owner) WHERE state = 'queued'
        ORDER BY lost, (SELECT count(*) FROM job AS other WHERE other.state = 'running' AND other.owner = job.owner), turn, number LIMIT 1";
    let row = |row: &rusqlite::Row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?));
    let Some((id, number, owner)) = tx.prepare_cached(NEXT)?.query_row([], row).optional()? else { return Ok(None) };
    let id = rows::id(&id)?;
    tx.execute("UPDATE caller SET turn = (SELECT max(turn) FROM caller) + 1 WHERE owner = ?1", [&owner])?;
    tx.execute(
        "UPDATE job SET state = 'running', attempts = attempts + 1, started = coalesce(started, ?2) WHERE number = ?1",
        params![number, now()],
    )?;
    jobs::append(tx, &id, &[state_event(State::Running, &Outcome::default())?])?;
    let record = existing(tx, &id)?;
    Ok(Some(Claim { id, attempt: record.attempts, spec: record.spec, owner }))
}

/// Ends the waiting jobs of the same caller and identity as `id`, which has succeeded: there is
/// nothing left to do for them. Returns them.
pub fn finish_same(tx: &Transaction, id: &JobId) -> Result<Vec<JobId>, StoreError> {
    let number = rows::number(tx, id)?.ok_or(StoreError::Lost)?;
    let same = "
        SELECT other.id FROM job JOIN job AS other USING (owner, identity)
        WHERE job.number = ?1 AND job.state = 'succeeded' AND other.state = 'queued'";
    let found: Vec<String> = tx.prepare(same)?.query_map([number], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let found: Vec<JobId> = found.iter().map(|id| rows::id(id)).collect::<Result<_, _>>()?;
    for waiting in &found {
        copy_result(tx, waiting, number)?;
    }
    Ok(found)
}

/// # Errors
/// [`StoreError::Lost`] when the job is not this claim's any more.
pub fn check(tx: &Transaction, claim: &Claim) -> Result<(), StoreError> {
    let mine = "SELECT 1 FROM job WHERE id = ?1 AND state = 'running' AND attempts = ?2";
    let found = tx.prepare_cached(mine)?.query_row(params![claim.id.as_str(), claim.attempt], |_| Ok(())).optional()?;
    found.ok_or(StoreError::Lost)
}

pub fn made_progress(tx: &Transaction, id: &JobId) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE job SET lost = 0 WHERE id = ?1")?.execute([id.as_str()])?;
    Ok(())
}

pub fn finish(tx: &Transaction, id: &JobId, state: State, outcome: &Outcome, artifacts: &[Artifact]) -> Result<(), StoreError> {
    let number = rows::number(tx, id)?.ok_or(StoreError::Lost)?;
    tx.execute(
        "UPDATE job SET state = ?2, outcome = ?3, finished = ?4 WHERE number = ?1",
        params![number, state.name(), to_json(outcome)?, now()],
    )?;
    let mut insert = tx.prepare_cached("INSERT INTO artifact VALUES (?1, ?2, ?3, ?4)")?;
    for a in artifacts {
        insert.execute(params![number, a.name, a.digest.as_str(), a.bytes])?;
    }
    jobs::append(tx, id, &[state_event(state, outcome)?])
}

pub fn give_back(tx: &Transaction, id: &JobId) -> Result<(), StoreError> {
    tx.execute("UPDATE job SET state = 'queued' WHERE id = ?1", [id.as_str()])?;
    jobs::append(tx, id, &[state_event(State::Queued, &Outcome::default())?])
}

/// Queues what was running when the last process ended; what lost too many workers fails.
pub fn take_back_all(tx: &Transaction) -> Result<(), StoreError> {
    let mut statement = tx.prepare("SELECT id, lost + 1, cancel FROM job WHERE state = 'running'")?;
    let running: Vec<(String, u32, bool)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect::<Result<_, _>>()?;
    for (id, lost, cancel) in running {
        let id = rows::id(&id)?;
        tx.execute("UPDATE job SET lost = ?2 WHERE id = ?1", params![id.as_str(), lost])?;
        if cancel {
            finish(tx, &id, State::Canceled, &Outcome::default(), &[])?;
        } else if lost >= MAX_LOST {
            let text = format!("{lost} workers ended while they ran this job: it may need more memory than there is");
            let error = Some(Document::new(Code::WorkerLost, text));
            finish(tx, &id, State::Failed, &Outcome { error, ..Outcome::default() }, &[])?;
        } else {
            give_back(tx, &id)?;
        }
    }
    Ok(())
}

fn state_event(state: State, outcome: &Outcome) -> Result<NewEvent, StoreError> {
    let mut data = json!({"event": "state", "state": state});
    if state.is_final() {
        data["outcome"] = serde_json::to_value(outcome).map_err(|e| StoreError::Internal(e.to_string()))?;
    }
    Ok(NewEvent { kind: "state", data: data.to_string() })
}

pub fn cancel(tx: &Transaction, id: &JobId) -> Result<(), StoreError> {
    let Some(record) = get(tx, id)? else { return Ok(()) };
    match record.state {
        State::Queued => super::queue::finish(tx, id, State::Canceled, &Outcome::default(), &[]),
        State::Running => {
            tx.execute("UPDATE job SET cancel = 1 WHERE id = ?1", [id.as_str()])?;
            Ok(())
        }
        _ => Ok(()),
    }
}
