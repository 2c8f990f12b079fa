//! `convert --server URL`: the same conversion on a service, with the same progress, files and exit
//! status.
//!
//! Files are named by their digests, and sent only if the service does not have them. The job is
//! queued with an Idempotency-Key, so that it is not queued twice when an answer is lost; its
//! events are read from where the last stream broke off.

mod events;
mod http;
pub mod refused;

use super::done::Done;
use super::progress::Progress;
use super::screen;
pub use crate::cli::remote::refused::Refused;
use crate::convert::error::Error;
use crate::convert::job::Job;
use crate::data::sha256::{sha256, sha256_of};
use crate::diagnostic::Code;
use http::Service;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use http::Token;

/// Largest artifact: reports and proxies have some megabytes.
const MAX_ARTIFACT: u64 = 1 << 30;
/// How long a request for the state of a job waits for its end.
const WAIT: Duration = Duration::from_secs(20);

/// Runs a job on a service and fetches what it made.
///
/// # Errors
/// [`Refused`], [`Error::Canceled`] after `cancel`, and unreadable files.
pub fn convert(server: &str, token: &Token, job: &Job, progress: &mut Progress, cancel: &AtomicBool) -> anyhow::Result<Done> {
    let service = Service::new(server, token)?;
    let named = send(&service, job, progress, cancel)?;
    go_on(cancel)?;
    let id = submit(&service, job, &named)?;
    let followed = events::follow(&service, &id, progress, cancel);
    if cancel.load(Ordering::Relaxed) {
        if let Err(why) = service.json("DELETE", &format!("/v1/jobs/{id}"), None) {
            screen::tell(screen::CAREFUL, "note:", &format!("the job {id} goes on: {why}"));
        }
        return Err(Error::Canceled.into());
    }
    followed?;
    let ended = wait(&service, &id)?;
    match ended["state"].as_str() {
        Some("succeeded") => fetch(&service, &id, &ended),
        Some("canceled") => Err(Error::Canceled.into()),
        _ => Err(Refused::of(server, &ended["error"]).into()),
    }
}

/// Names of the job's files and their digests; those that the service does not have are sent.
fn send(
    service: &Service,
    job: &Job,
    progress: &mut Progress,
    cancel: &AtomicBool,
) -> anyhow::Result<Vec<(&'static str, String)>> {
    let mut named = vec![("model", sha256(&job.model))];
    let parts = [("calibration", Some(&job.calibration)), ("train", job.train.as_ref()), ("validation", job.validation.as_ref())];
    let data: Vec<_> = parts.into_iter().filter_map(|(name, file)| Some((name, file?))).collect();
    for (name, file) in &data {
        named.push((name, sha256_of(file.reader())?));
    }
    for (name, digest) in &named {
        let path = format!("/v1/files/{digest}");
        go_on(cancel)?;
        if service.has(&path)? {
            continue;
        }
        progress.stage(&format!("sending {name}"));
        match data.iter().find(|d| d.0 == *name) {
            Some((_, file)) => service.put(&path, &mut || Box::new(file.reader()), file.len())?,
            None => service.put(&path, &mut || Box::new(&job.model[..]), job.model.len() as u64)?,
        }
    }
    Ok(named)
}

fn go_on(cancel: &AtomicBool) -> Result<(), Error> {
    if cancel.load(Ordering::Relaxed) { Err(Error::Canceled) } else { Ok(()) }
}

/// Queues the job and returns its id.
fn submit(service: &Service, job: &Job, named: &[(&'static str, String)]) -> anyhow::Result<String> {
    let mut config = serde_json::to_value(&job.config)?;
    if job.config.threads.is_none() {
        // the service's own
        config.as_object_mut().map(|c| c.remove("threads"));
    }
    let mut key = [0; 16];
    getrandom::fill(&mut key).map_err(|e| anyhow::anyhow!("no random numbers: {e}"))?;
    let key: String = key.iter().map(|b| format!("{b:02x}")).collect();
    let mut body = String::new();
    let mut part = |name: &str, kind: &str, content: &str| {
        body += &format!("--{key}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n{kind}\r\n{content}\r\n");
    };
    for (name, digest) in named {
        part(&format!("{name}_digest"), "", digest);
    }
    part("config", "Content-Type: application/json\r\n", &config.to_string());
    body += &format!("--{key}--\r\n");
    let headers = [("Content-Type", format!("multipart/form-data; boundary={key}")), ("Idempotency-Key", key)];
    let job = service.json("POST", "/v1/jobs", Some((&headers, body.as_bytes())))?;
    match job["id"].as_str() {
        Some(id) if id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => Ok(id.to_string()),
        _ => Err(service.refused(Code::NotAService, "the answer to POST /v1/jobs names no job").into()),
    }
}

/// The job when it has ended.
fn wait(service: &Service, id: &str) -> anyhow::Result<Value> {
    loop {
        let job = service.json("GET", &format!("/v1/jobs/{id}?wait={}s", WAIT.as_secs()), None)?;
        if !matches!(job["state"].as_str(), Some("queued" | "running")) {
            return Ok(job);
        }
    }
}

/// All files of the job.
fn fetch(service: &Service, id: &str, job: &Value) -> anyhow::Result<Done> {
    let listed = service.json("GET", &format!("/v1/jobs/{id}/artifacts"), None)?;
    let mut files = Vec::new();
    let mut report = None;
    for artifact in listed["artifacts"].as_array().into_iter().flatten() {
        let of = |key: &str| artifact[key].as_str().unwrap_or_default();
        let (name, expected) = (of("name"), of("digest"));
        // the service decides what is in the files, not where they go
        let plain = |part: &str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) && !part.starts_with('.')
        };
        if !name.split('/').all(plain) {
            return Err(service.refused(Code::NotAService, format!("it names a file `{name}`")).into());
        }
        let bytes = service.bytes(&format!("/v1/jobs/{id}/artifacts/{name}"), MAX_ARTIFACT)?;
        if sha256(&bytes) != expected {
            return Err(service.refused(Code::Internal, format!("`{name}` arrived with another content than was stored")).into());
        }
        if name == "report.json" {
            report = Some(serde_json::from_slice(&bytes).ok());
        }
        files.push((PathBuf::from(name), bytes));
    }
    let Some(report) = report else { return Err(service.refused(Code::Internal, "the job left no report").into()) };
    Ok(Done { report, files, unmet: job["unmet"].as_str().map(String::from) })
}

/// What `--dry-run` adds: the service would be asked.
pub fn plan(server: &str, token: &Token) -> anyhow::Result<Value> {
    let service = Service::new(server, token)?;
    service.json("GET", "/v1/jobs?limit=1", None)?;
    Ok(json!({ "url": server, "answers": true }))
}
