//! From the parts of a request to a job in the queue.

use super::sweep;
use crate::convert::config::JobConfig;
use crate::convert::error::Error;
use crate::convert::estimate;
use crate::diagnostic::Code;
use crate::service::limits::{Limits, RETRY_AFTER};
use crate::service::problem::Problem;
use crate::service::record::{Input, Record, Spec, SweepId};
use crate::service::store::{NewJob, Store, Submitted};
use crate::service::upload::{Received, Upload};
use axum::http::HeaderMap;
use std::collections::{BTreeMap, BTreeSet};

/// Header by which a client that asks again gets the job of the first time.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Longest key: a UUID has 36 characters, a name of a pipeline and its run about 100.
const MAX_KEY: usize = 255;
/// Memory that a job needs, estimated from what its files declare.
pub fn memory(files: &BTreeMap<&'static str, Upload>) -> u64 {
    let (models, data): (Vec<_>, Vec<_>) = files.iter().partition(|(name, _)| **name == "model");
    estimate(models.iter().map(|m| m.1.bytes).sum(), data.iter().map(|d| (d.1.bytes, d.1.elements)))
}

/// The job configuration, within what the service allows.
///
/// # Errors
/// [`Error::Config`] with every fault.
pub fn config(given: Option<&[u8]>, limits: &Limits) -> Result<JobConfig, Error> {
    let config = given.map_or_else(|| Ok(JobConfig::default()), JobConfig::parse);
    let mut config = config.map_err(Error::Config)?;
    let mut faults = config.check().err().unwrap_or_default();
    if config.trains() && config.epochs > limits.epochs {
        faults.push(format!("config: epochs: at most {} on this service", limits.epochs));
    }
    if config.threads.is_some_and(|t| t > limits.threads) {
        faults.push(format!("config: threads: at most {} on this service", limits.threads));
    }
    config.threads = Some(config.thread_count().min(limits.threads));
    if faults.is_empty() { Ok(config) } else { Err(Error::Config(faults)) }
}

/// Queues a job; also tells whether it is that of an earlier request.
///
/// # Errors
/// 400 for a faulty configuration or key, 413 for a job that needs too much memory, 422 for a key
/// of another request, 429 when the queue is full, 503 when the store cannot be used.
pub async fn submit(
    store: &dyn Store,
    limits: &Limits,
    owner: &str,
    headers: &HeaderMap,
    received: Received,
) -> Result<(Record, bool), Problem> {
    let key = key(headers)?;
    let config = config(received.texts.get("config").map(Vec::as_slice), limits)?;
    let job = NewJob { owner: owner.to_string(), key, sweep: None, spec: spec(received, config, limits)?, most: most(limits) };
    put(store, job).await
}

/// Queues a job for every combination of a sweep.
///
/// # Errors
/// As [`submit`]; then none of the jobs that this request has queued goes on.
pub async fn sweep(
    store: &dyn Store,
    limits: &Limits,
    owner: &str,
    headers: &HeaderMap,
    received: Received,
) -> Result<SweepId, Problem> {
    let key = key(headers)?;
    let text = |name: &str| received.texts.get(name).map(Vec::as_slice);
    let configs = sweep::combinations(text("config"), text("sweep").unwrap_or_default()).map_err(Error::Config)?;
    let configs: Vec<Result<JobConfig, Error>> = configs.iter().map(|c| config(Some(c), limits)).collect();
    let faults = configs.iter().filter_map(|c| if let Err(Error::Config(faults)) = c { Some(faults.clone()) } else { None });
    // what all combinations have is said once
    let mut said = BTreeSet::new();
    let faults: Vec<String> = faults.flatten().filter(|fault| said.insert(fault.clone())).collect();
    if !faults.is_empty() {
        return Err(Error::Config(faults).into());
    }
    let configs = configs.into_iter().collect::<Result<Vec<JobConfig>, Error>>()?;
    let mut id = SweepId::random().map_err(|_| Problem::internal())?;
    let mut queued: Vec<Record> = Vec::new();
    for (number, config) in configs.into_iter().enumerate() {
        let job = NewJob {
            owner: owner.to_string(),
            // a request that was cut off and is sent again finds the jobs that it had queued
            key: key.as_ref().map(|key| format!("{key}#{number}")),
            sweep: Some(id.clone()),
            spec: spec(received.clone(), config, limits)?,
            most: most(limits),
        };
        match put(store, job).await {
            Ok((record, replayed)) => {
                // the sweep of an earlier request goes on under its name
                id = record.sweep.clone().unwrap_or(id);
                queued.extend((!replayed).then_some(record));
            }
            Err(problem) => {
                for record in &queued {
                    store.cancel(&record.id).await?;
                }
                return Err(problem);
            }
        }
    }
    Ok(id)
}

fn most(limits: &Limits) -> usize {
    limits.jobs + limits.queue
}

fn spec(received: Received, config: JobConfig, limits: &Limits) -> Result<Spec, Problem> {
    let memory = memory(&received.files);
    if memory > limits.memory {
        let text = format!("the job needs about {} MiB of memory, this service allows {}", memory >> 20, limits.memory >> 20);
        return Err(Problem::new(Code::TooMuchMemory, text));
    }
    let input = |(name, file): (&'static str, Upload)| (name.to_string(), Input { digest: file.digest, bytes: file.bytes });
    Ok(Spec { inputs: received.files.into_iter().map(input).collect(), config, memory })
}

async fn put(store: &dyn Store, job: NewJob) -> Result<(Record, bool), Problem> {
    match store.submit(job).await? {
        Submitted::New(record) => Ok((record, false)),
        Submitted::Again(record) => Ok((record, true)),
        Submitted::OtherRequest => {
            let text = "this Idempotency-Key was used for other files or another configuration: take a new one";
            Err(Problem::new(Code::IdempotencyKeyReused, text))
        }
        Submitted::Busy => Err(busy()),
    }
}

/// Refuses a request before its body is read when its job would find no place.
///
/// # Errors
/// 429, and 503 when the store cannot be used.
pub async fn check_room(store: &dyn Store, limits: &Limits) -> Result<(), Problem> {
    let depth = store.depth().await?;
    if depth.queued + depth.running >= most(limits) { Err(busy()) } else { Ok(()) }
}

fn busy() -> Problem {
    Problem::new(Code::Busy, "as many jobs run and wait as this service takes").retry_after(RETRY_AFTER)
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let text = value.to_str().ok().filter(|t| !t.is_empty() && t.len() <= MAX_KEY);
    let fault = || format!("the header Idempotency-Key has 1 to {MAX_KEY} visible ASCII characters");
    text.map(|t| Some(t.to_string())).ok_or_else(|| Problem::new(Code::BadRequest, fault()))
}
