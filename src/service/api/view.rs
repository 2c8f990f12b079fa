//! A job as clients see it.

use crate::convert::JobConfig;
use crate::service::document::Document;
use crate::service::jobs::{Record, State};
use serde::Serialize;
use std::collections::BTreeMap;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// An uploaded file.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct File {
    /// SHA-256 of the content, in hexadecimal.
    pub digest: String,
    pub bytes: u64,
}

/// A file that a job made.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Artifact {
    /// As the command line names it: `proxy.onnx`, `report.json`, `report.html`,
    /// `pareto/pareto.json`, `pareto/0/proxy.onnx`.
    pub name: String,
    pub digest: String,
    pub bytes: u64,
    /// Where it is fetched.
    pub href: String,
}

/// A job. Times are RFC 3339, in UTC.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Job {
    pub id: String,
    pub state: State,
    /// The sweep that it is a part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sweep: Option<String>,
    pub created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
    /// How often it was begun: more than once if a worker was lost or the service restarted.
    pub attempts: u32,
    /// Asked to end, which it has not done yet.
    pub cancel_requested: bool,
    /// The files sent, by part.
    pub inputs: BTreeMap<String, File>,
    /// The job configuration with all its defaults.
    #[schema(value_type = JobConfig)]
    pub config: serde_json::Value,
    /// Memory that it needs, estimated, in bytes.
    pub memory: u64,
    /// The last `stage` or `epoch` event.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub progress: Option<serde_json::Value>,
    /// Exact EBOPs of the proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ebops: Option<u64>,
    /// LUTs of the proxy, estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub luts: Option<u64>,
    /// Whether the proxy is what the job asked for (`target_ebops`, `max_metric_drop`, …); the
    /// artifacts are there either way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_met: Option<bool>,
    /// Why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unmet: Option<String>,
    /// Answered with the artifacts of an earlier job with the same files, configuration and
    /// version.
    pub cached: bool,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Document>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<Artifact>,
}

/// Path of a job.
pub fn href(record: &Record) -> String {
    format!("/v1/jobs/{}", record.id)
}

impl From<&Record> for Job {
    fn from(r: &Record) -> Job {
        let inputs = r.spec.inputs.iter();
        let file = |i: &crate::service::jobs::Input| File { digest: i.digest.to_string(), bytes: i.bytes };
        let succeeded = r.state == State::Succeeded;
        Job {
            id: r.id.to_string(),
            state: r.state,
            sweep: r.sweep.as_ref().map(ToString::to_string),
            created_at: rfc3339(r.created),
            started_at: r.started.map(rfc3339),
            finished_at: r.finished.map(rfc3339),
            attempts: r.attempts,
            cancel_requested: r.cancel && !r.state.is_final(),
            inputs: inputs.map(|(name, i)| (name.clone(), file(i))).collect(),
            // by way of text: an f32 keeps its short form
            config: serde_json::to_string(&r.spec.config).and_then(|t| serde_json::from_str(&t)).unwrap_or_default(),
            memory: r.spec.memory,
            progress: r.progress.clone(),
            ebops: r.outcome.ebops,
            luts: r.outcome.luts,
            target_met: succeeded.then_some(r.outcome.unmet.is_none()),
            unmet: r.outcome.unmet.clone(),
            cached: r.outcome.cached,
            error: r.outcome.error.clone(),
            artifacts: artifacts(r),
        }
    }
}

pub fn artifacts(r: &Record) -> Vec<Artifact> {
    let one = |a: &crate::service::jobs::Artifact| Artifact {
        name: a.name.clone(),
        digest: a.digest.to_string(),
        bytes: a.bytes,
        href: format!("{}/artifacts/{}", href(r), a.name),
    };
    r.artifacts.iter().map(one).collect()
}

fn rfc3339(milliseconds: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000);
    time.ok().and_then(|t| t.format(&Rfc3339).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(super::rfc3339(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(super::rfc3339(0), "1970-01-01T00:00:00Z");
    }
}
