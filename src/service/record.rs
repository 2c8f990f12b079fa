//! What is known of a job, in the form in which it is stored.

use super::digest::Digest;
use super::document::Document;
use crate::convert::config::JobConfig;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// Name of a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobId(String);

const PREFIX: &str = "job_";
const SWEEP_PREFIX: &str = "sweep_";

impl JobId {
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn random() -> Result<JobId, getrandom::Error> {
        Ok(JobId(random_name(PREFIX)?))
    }

    /// `None` for what cannot be the name of a job.
    pub fn parse(text: &str) -> Option<JobId> {
        is_random_name(PREFIX, text).then(|| JobId(text.to_string()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Name of a sweep: jobs that were asked for together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepId(String);

impl SweepId {
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn random() -> Result<SweepId, getrandom::Error> {
        Ok(SweepId(random_name(SWEEP_PREFIX)?))
    }

    /// `None` for what cannot be the name of a sweep.
    pub fn parse(text: &str) -> Option<SweepId> {
        is_random_name(SWEEP_PREFIX, text).then(|| SweepId(text.to_string()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SweepId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `prefix` and 128 random bits, so that none can be guessed.
fn random_name(prefix: &str) -> Result<String, getrandom::Error> {
    let mut bits = [0u8; 16];
    getrandom::fill(&mut bits)?;
    let hex: String = bits.iter().map(|b| format!("{b:02x}")).collect();
    Ok(format!("{prefix}{hex}"))
}

fn is_random_name(prefix: &str, text: &str) -> bool {
    let hex = text.strip_prefix(prefix).unwrap_or_default();
    hex.len() == 32 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// `queued → running → succeeded | failed | canceled`; a running job whose worker is gone is queued
/// again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Queued,
    Running,
    Succeeded,
    Failed,
    Canceled,
}

impl State {
    pub const ALL: [State; 5] = [State::Queued, State::Running, State::Succeeded, State::Failed, State::Canceled];

    /// As it is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            State::Queued => "queued",
            State::Running => "running",
            State::Succeeded => "succeeded",
            State::Failed => "failed",
            State::Canceled => "canceled",
        }
    }

    pub fn parse(name: &str) -> Option<State> {
        State::ALL.into_iter().find(|s| s.name() == name)
    }

    /// Whether nothing follows.
    pub fn is_final(self) -> bool {
        !matches!(self, State::Queued | State::Running)
    }
}

/// An uploaded file that a job reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    pub digest: Digest,
    pub bytes: u64,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// `model`, `calibration`, and maybe `train` and `validation`.
    pub inputs: BTreeMap<String, Input>,
    pub config: JobConfig,
    /// Memory that the job will need, in bytes: see [`super::jobs::submit::memory`].
    pub memory: u64,
}

impl Spec {
    /// A name for the result: jobs of one identity have the same proxies.
    pub fn identity(&self) -> Digest {
        let config = serde_json::to_vec(&self.config).unwrap_or_default();
        let threads = self.config.thread_count().to_string();
        let mut hash = Sha256::new();
        let mut part = |name: &str, bytes: &[u8]| {
            // lengths keep the parts apart
            for bytes in [name.as_bytes(), bytes] {
                hash.update((bytes.len() as u64).to_le_bytes());
                hash.update(bytes);
            }
        };
        part("version", env!("CARGO_PKG_VERSION").as_bytes());
        part("threads", threads.as_bytes());
        part("config", &config);
        for (name, input) in &self.inputs {
            part(name, input.digest.as_str().as_bytes());
        }
        Digest::from_hash(hash)
    }
}

/// How a job ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Exact EBOPs of the proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ebops: Option<u64>,
    /// LUTs of the proxy, estimated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub luts: Option<u64>,
    /// Why the proxy misses the job's target, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmet: Option<String>,
    /// Why there is no proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Document>,
    /// Whether it was answered with the artifacts of an earlier job of the same identity.
    #[serde(default)]
    pub cached: bool,
}

/// A file that a job made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// As the command line names it: `proxy.onnx`, `report.json`, `report.html`,
    /// `pareto/pareto.json`, `pareto/3/proxy.onnx`.
    pub name: String,
    pub digest: Digest,
    pub bytes: u64,
}

/// All that is stored of a job but its events.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub id: JobId,
    /// The caller whose job it is: see [`crate::service::auth`].
    pub owner: String,
    pub sweep: Option<SweepId>,
    pub state: State,
    /// Milliseconds since 1970.
    pub created: i64,
    pub started: Option<i64>,
    pub finished: Option<i64>,
    /// How often it was begun.
    pub attempts: u32,
    /// Asked to stop.
    pub cancel: bool,
    pub spec: Spec,
    /// The last progress event.
    pub progress: Option<serde_json::Value>,
    pub outcome: Outcome,
    pub artifacts: Vec<Artifact>,
    /// Number of the last event.
    pub last_event: u64,
}

/// One thing that happened to a job.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEvent {
    /// Counted from 1 without gaps.
    pub seq: u64,
    /// `state`, `stage`, `epoch` or `note`.
    pub kind: String,
    /// JSON.
    pub data: String,
}

/// The time, in milliseconds since 1970.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}
