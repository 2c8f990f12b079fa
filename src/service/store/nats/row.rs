//! A job as its record is stored. The last events are a part of it, so that a change and its events
//! are one write.

use super::super::{Digest, MAX_LOST, NewEvent, NewJob};
use super::fault::damaged;
use crate::diagnostic::Code;
use crate::service::document::Document;
use crate::service::record::{Artifact, JobId, Outcome, Record, Spec, State, StoredEvent, SweepId, now};
use crate::service::store_error::StoreError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Events and bytes in a record above which its events move out: every change writes the record
/// anew.
const TAIL_EVENTS: usize = 64;
const TAIL_BYTES: usize = 32 << 10;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub kind: String,
    pub data: String,
}

/// Events that moved out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    pub first: u64,
    pub key: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub owner: String,
    /// `Idempotency-Key`.
    pub key: Option<String>,
    pub sweep: Option<SweepId>,
    pub identity: Digest,
    pub state: State,
    pub cancel: bool,
    pub created: i64,
    pub started: Option<i64>,
    pub finished: Option<i64>,
    pub attempts: u32,
    /// Workers lost since the last checkpoint.
    pub lost: u32,
    pub spec: Spec,
    pub progress: Option<Value>,
    pub outcome: Outcome,
    pub artifacts: Vec<Artifact>,
    /// The object that holds the checkpoint.
    pub checkpoint: Option<String>,
    pub last_event: u64,
    /// The last events, up to `last_event`.
    pub tail: Vec<Event>,
    /// The events before, in order.
    pub chunks: Vec<Chunk>,
}

impl Row {
    pub fn new(job: &NewJob) -> Row {
        let mut row = Row {
            owner: job.owner.clone(),
            key: job.key.clone(),
            sweep: job.sweep.clone(),
            identity: job.spec.identity(),
            state: State::Queued,
            cancel: false,
            created: now(),
            started: None,
            finished: None,
            attempts: 0,
            lost: 0,
            spec: job.spec.clone(),
            progress: None,
            outcome: Outcome::default(),
            artifacts: Vec::new(),
            checkpoint: None,
            last_event: 0,
            tail: Vec::new(),
            chunks: Vec::new(),
        };
        row.state_event();
        row
    }

    pub fn record(self, id: JobId) -> Record {
        Record {
            id,
            owner: self.owner,
            sweep: self.sweep,
            state: self.state,
            created: self.created,
            started: self.started,
            finished: self.finished,
            attempts: self.attempts,
            cancel: self.cancel,
            spec: self.spec,
            progress: self.progress,
            outcome: self.outcome,
            artifacts: self.artifacts,
            last_event: self.last_event,
        }
    }

    /// Appends events; the last one of an epoch becomes the job's progress.
    pub fn append(&mut self, events: &[NewEvent]) -> Result<(), StoreError> {
        if let Some(progress) = events.iter().rev().find(|e| matches!(e.kind, "epoch" | "stage")) {
            self.progress = Some(serde_json::from_str(&progress.data).map_err(damaged)?);
        }
        self.last_event += events.len() as u64;
        self.tail.extend(events.iter().map(|e| Event { kind: e.kind.to_string(), data: e.data.clone() }));
        Ok(())
    }

    fn state_event(&mut self) {
        let mut data = json!({"event": "state", "state": self.state});
        if self.state.is_final() {
            data["outcome"] = json!(self.outcome);
        }
        self.last_event += 1;
        self.tail.push(Event { kind: "state".into(), data: data.to_string() });
    }

    /// Whether the events should move out.
    pub fn is_long(&self) -> bool {
        self.tail.len() > TAIL_EVENTS || self.tail.iter().map(|e| e.data.len()).sum::<usize>() > TAIL_BYTES
    }

    /// Number of the first event in the record.
    pub fn tail_first(&self) -> u64 {
        self.last_event + 1 - self.tail.len() as u64
    }

    /// Events of the record after number `after`.
    pub fn tail_after(&self, after: u64) -> impl Iterator<Item = StoredEvent> {
        numbered(self.tail_first(), self.tail.clone()).filter(move |e| e.seq > after)
    }

    pub fn begin(&mut self) {
        self.state = State::Running;
        self.attempts += 1;
        self.started = self.started.or_else(|| Some(now()));
        self.state_event();
    }

    pub fn give_back(&mut self) {
        self.state = State::Queued;
        self.state_event();
    }

    /// Its worker is gone: queued again, or over when it was to be canceled or loses too many.
    pub fn take_back(&mut self) {
        self.lost += 1;
        if self.cancel {
            self.finish(State::Canceled, Outcome::default(), Vec::new());
        } else if self.lost >= MAX_LOST {
            let text = format!("{} workers ended while they ran this job: it may need more memory than there is", self.lost);
            let error = Some(Document::new(Code::WorkerLost, text));
            self.finish(State::Failed, Outcome { error, ..Outcome::default() }, Vec::new());
        } else {
            self.give_back();
        }
    }

    pub fn finish(&mut self, state: State, outcome: Outcome, artifacts: Vec<Artifact>) {
        (self.state, self.outcome, self.artifacts, self.finished) = (state, outcome, artifacts, Some(now()));
        self.artifacts.sort_by(|a, b| a.name.cmp(&b.name));
        self.state_event();
    }

    /// Ends with what an earlier job made.
    pub fn finish_like(&mut self, earlier: &Row) {
        let outcome = Outcome { cached: true, ..earlier.outcome.clone() };
        self.finish(State::Succeeded, outcome, earlier.artifacts.clone());
    }
}

pub fn numbered(first: u64, events: Vec<Event>) -> impl Iterator<Item = StoredEvent> {
    (first..).zip(events).map(|(seq, e)| StoredEvent { seq, kind: e.kind, data: e.data })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::config::JobConfig;

    fn row() -> Row {
        let spec = Spec { inputs: Default::default(), config: JobConfig::default(), memory: 0 };
        Row::new(&NewJob { owner: "a".into(), key: None, sweep: None, spec, most: 1 })
    }

    #[test]
    fn a_job_that_ends_its_workers_fails() {
        let mut row = row();
        for _ in 1..MAX_LOST {
            row.begin();
            row.take_back();
            assert_eq!(row.state, State::Queued);
        }
        row.begin();
        row.take_back();
        assert_eq!((row.state, row.outcome.error.unwrap().code()), (State::Failed, "worker_lost"));
        assert_eq!(row.last_event, 1 + 2 * u64::from(MAX_LOST));
    }

    #[test]
    fn a_lost_job_that_is_to_be_canceled_is() {
        let mut row = row();
        row.begin();
        row.cancel = true;
        row.take_back();
        assert_eq!(row.state, State::Canceled);
        assert_eq!((row.tail_first(), row.tail_after(2).count()), (1, 1));
    }
}
