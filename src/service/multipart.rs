//! Reads the parts of a `multipart/form-data` request: known, once, of the right type, within limits and in time.

use super::limits::{CONFIG_BYTES, Limits};
use super::problem::Problem;
use crate::convert::{DataFile, Error, JobConfig};
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{StatusCode, header};
use std::collections::BTreeMap;

/// What a part holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Model,
    Data,
    Config,
}

/// One part that a resource takes.
pub struct Part {
    pub name: &'static str,
    pub kind: Kind,
    pub required: bool,
}

impl Part {
    pub const fn required(name: &'static str, kind: Kind) -> Part {
        Part { name, kind, required: true }
    }

    pub const fn optional(name: &'static str, kind: Kind) -> Part {
        Part { name, kind, required: false }
    }

    fn most(&self, limits: &Limits) -> usize {
        match self.kind {
            Kind::Model => limits.model,
            Kind::Data => limits.data,
            Kind::Config => CONFIG_BYTES,
        }
    }

    /// `curl -F name=@file` sends `application/octet-stream` for most files, and no type for text given directly.
    fn takes(&self, content_type: &str) -> bool {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match self.kind {
            Kind::Config => matches!(essence.as_str(), "application/json" | "application/octet-stream" | "text/plain"),
            Kind::Model | Kind::Data => essence.starts_with("application/") && !essence.ends_with("json"),
        }
    }
}

/// The parts of one request by name.
pub struct Parts(BTreeMap<&'static str, Vec<u8>>);

impl Parts {
    /// A required part; [`read`] has checked that it is there.
    pub fn take(&mut self, name: &'static str) -> Vec<u8> {
        self.0.remove(name).unwrap_or_default()
    }

    /// A data part. In messages it has the part's name: the client's file name is its own affair.
    pub fn data(&mut self, name: &'static str) -> Option<DataFile> {
        self.0.remove(name).map(|bytes| DataFile { name: name.into(), bytes })
    }

    /// The job configuration, within what the service allows.
    ///
    /// # Errors
    /// [`Error::Config`] with every fault.
    pub fn config(&mut self, limits: &Limits) -> Result<JobConfig, Error> {
        let given = self.0.remove("config");
        let mut config = given.map_or_else(|| Ok(JobConfig::default()), |b| JobConfig::from_json(&b)).map_err(Error::Config)?;
        let mut faults = Vec::new();
        if config.epochs > limits.epochs {
            faults.push(format!("config: epochs: at most {} on this service", limits.epochs));
        }
        if config.threads.is_some_and(|t| t > limits.threads) {
            faults.push(format!("config: threads: at most {} on this service", limits.threads));
        }
        config.threads = Some(config.thread_count().min(limits.threads));
        if faults.is_empty() { Ok(config) } else { Err(Error::Config(faults)) }
    }
}

fn too_large(detail: String) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
}

fn malformed(error: &MultipartError, limits: &Limits) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return too_large(format!("the request has more than {} bytes", limits.body));
    }
    Problem::new(StatusCode::BAD_REQUEST, "bad_request", error.body_text())
}

/// What the head of the request tells already: too long, or not multipart.
fn check_head(request: &Request, takes: &[Part], limits: &Limits) -> Result<(), Problem> {
    let header = |name| request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let length = header(header::CONTENT_LENGTH).parse::<u64>().unwrap_or(0);
    if length > limits.body as u64 {
        return Err(too_large(format!("the request has {length} bytes, at most {} are read", limits.body)));
    }
    let content_type = header(header::CONTENT_TYPE);
    if !content_type.trim_start().to_ascii_lowercase().starts_with("multipart/form-data") {
        let text = format!("the request is `{content_type}`; expected `multipart/form-data` with {}", listed(takes));
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", text));
    }
    Ok(())
}

/// Reads all parts.
///
/// # Errors
/// 400, 408, 413 or 415 with the name of the part at fault.
pub async fn read(request: Request, takes: &[Part], limits: &Limits) -> Result<Parts, Problem> {
    check_head(&request, takes, limits)?;
    let multipart = Multipart::from_request(request, &())
        .await
        .map_err(|e| Problem::new(StatusCode::BAD_REQUEST, "bad_request", e.body_text()))?;
    match tokio::time::timeout(limits.body_time, fields(multipart, takes, limits)).await {
        Ok(parts) => parts,
        Err(_) => Err(slow("the request", limits.body_time.as_secs())),
    }
}

fn slow(what: &str, seconds: u64) -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", format!("{what} did not arrive within {seconds} s"))
}

async fn fields(mut multipart: Multipart, takes: &[Part], limits: &Limits) -> Result<Parts, Problem> {
    let mut parts = BTreeMap::new();
    let pause = limits.read_time;
    while let Some(field) = tokio::time::timeout(pause, multipart.next_field())
        .await
        .map_err(|_| slow("the next part", pause.as_secs()))?
        .map_err(|e| malformed(&e, limits))?
    {
        let name = field.name().unwrap_or_default().to_string();
        let Some(part) = takes.iter().find(|p| p.name == name) else {
            let text = format!("part `{name}` is not known here; expected {}", listed(takes));
            return Err(Problem::new(StatusCode::BAD_REQUEST, "unknown_part", text));
        };
        if parts.contains_key(part.name) {
            return Err(Problem::new(StatusCode::BAD_REQUEST, "duplicate_part", format!("part `{name}` is given twice")));
        }
        if let Some(given) = field.content_type().filter(|t| !part.takes(t)) {
            let wanted = if part.kind == Kind::Config { "application/json" } else { "application/octet-stream" };
            let text = format!("part `{name}` is `{given}`; expected `{wanted}`");
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", text));
        }
        let bytes = content(field, part, limits).await?;
        parts.insert(part.name, bytes);
    }
    let missing: Vec<String> = takes
        .iter()
        .filter(|p| p.required && !parts.contains_key(p.name))
        .map(|p| format!("part `{}` is missing", p.name))
        .collect();
    if missing.is_empty() {
        return Ok(Parts(parts));
    }
    let text = format!("{}; expected {}", missing.join(", "), listed(takes));
    Err(Problem::new(StatusCode::BAD_REQUEST, "missing_part", text).faults(missing))
}

async fn content(mut field: Field<'_>, part: &Part, limits: &Limits) -> Result<Vec<u8>, Problem> {
    let (most, pause) = (part.most(limits), limits.read_time);
    let mut bytes = Vec::new();
    loop {
        match tokio::time::timeout(pause, field.chunk()).await {
            Err(_) => return Err(slow(&format!("part `{}`", part.name), pause.as_secs())),
            Ok(Err(e)) => return Err(malformed(&e, limits)),
            Ok(Ok(None)) => return Ok(bytes),
            Ok(Ok(Some(chunk))) => bytes.extend_from_slice(&chunk),
        }
        if bytes.len() > most {
            return Err(too_large(format!("part `{}` has more than {most} bytes", part.name)));
        }
    }
}

/// The parts of a resource for a message.
fn listed(takes: &[Part]) -> String {
    let one = |p: &Part| if p.required { format!("`{}`", p.name) } else { format!("`{}` (optional)", p.name) };
    takes.iter().map(one).collect::<Vec<_>>().join(", ")
}
