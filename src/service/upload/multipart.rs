//! Reads the parts of a `multipart/form-data` request: known, once, of the right type, within
//! limits and in time.

use super::arriving::{Arriving, slow, too_large};
use super::kind::Kind;
use super::{Received, Upload, check};
use crate::data::DataFile;
use crate::diagnostic::Code;
use crate::service::limits::{CONFIG_BYTES, Limits};
use crate::service::problem::Problem;
use crate::service::store::{Digest, Staged, Store};
use crate::service::store_error::StoreError;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{StatusCode, header};
use futures_util::TryStreamExt;
use std::collections::BTreeMap;

/// After the name of a file's part, the name of the part that names a file sent before.
const DIGEST: &str = "_digest";
/// Bytes of a part that is a digest.
const DIGEST_BYTES: usize = 256;

/// One part that a resource takes.
#[derive(Clone, Copy)]
pub struct Part {
    pub name: &'static str,
    pub kind: Kind,
    pub required: bool,
    /// Whether a part `NAME_digest` may name a file that was sent before.
    pub by_digest: bool,
}

impl Part {
    pub const fn required(name: &'static str, kind: Kind) -> Part {
        Part { name, kind, required: true, by_digest: false }
    }

    pub const fn optional(name: &'static str, kind: Kind) -> Part {
        Part { name, kind, required: false, by_digest: false }
    }

    pub const fn or_digest(self) -> Part {
        Part { by_digest: true, ..self }
    }

    fn most(&self, limits: &Limits) -> usize {
        match self.kind {
            Kind::Model => limits.model,
            Kind::Data => limits.data,
            Kind::Config => CONFIG_BYTES,
        }
    }

    /// `curl -F name=@file` sends `application/octet-stream` for most files, and no type for text
    /// given directly.
    fn takes(&self, content_type: &str) -> bool {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match self.kind {
            Kind::Config => matches!(essence.as_str(), "application/json" | "application/octet-stream" | "text/plain"),
            Kind::Model | Kind::Data => essence.starts_with("application/") && !essence.ends_with("json"),
        }
    }
}

/// What came as one part.
enum Content {
    File(Box<Staged>),
    /// Of a file that was sent before.
    Named(Digest),
    Text(Vec<u8>),
}

/// The parts of one request by name.
pub struct Parts(BTreeMap<&'static str, (Kind, Content)>);

impl Parts {
    /// The bytes of a required part; [`read`] has checked that it is there. Reads a file: for
    /// threads that compute.
    ///
    /// # Errors
    /// When the staged file cannot be read.
    pub fn take(&mut self, name: &str) -> Result<Vec<u8>, StoreError> {
        Ok(self.data(name)?.map_or(Ok(Vec::new()), |file| file.bytes())?)
    }

    /// A data part. In messages it has the part's name: the client's file name is its own affair.
    ///
    /// # Errors
    /// When the staged file cannot be read.
    pub fn data(&mut self, name: &str) -> Result<Option<DataFile>, StoreError> {
        let Some((_, Content::File(staged))) = self.0.remove(name) else { return Ok(None) };
        Ok(Some(staged.content(name)?))
    }

    /// Stores all files for `owner`.
    ///
    /// # Errors
    /// 400 for digests of files that `owner` has not sent, and data that declare what they do not
    /// hold; 503 when the store cannot be used.
    pub async fn keep(self, store: &dyn Store, owner: &str) -> Result<Received, Problem> {
        let mut received = Received { files: BTreeMap::new(), texts: BTreeMap::new() };
        let mut unknown = Vec::new();
        for (name, (kind, content)) in self.0 {
            let (digest, bytes, file) = match content {
                Content::Text(text) => {
                    received.texts.insert(name, text);
                    continue;
                }
                Content::Named(digest) => match store.owned(owner, &digest).await? {
                    Some(bytes) => {
                        let path = store.open(&digest).await?;
                        (digest, bytes, DataFile::open(name, &path, u64::MAX).map_err(StoreError::from))
                    }
                    None => {
                        unknown.push(format!(
                            "part `{name}{DIGEST}`: no file with digest {digest} was sent: send it first, or again"
                        ));
                        continue;
                    }
                },
                Content::File(staged) => {
                    let (bytes, file) = (staged.bytes(), staged.content(name));
                    (store.keep(*staged, owner).await?, bytes, file)
                }
            };
            let declared = tokio::task::spawn_blocking(move || check::whole(kind, file)).await;
            let declared = declared.unwrap_or_else(|_| Err(Problem::internal()))?;
            received.files.insert(name, Upload { digest, bytes, elements: declared.elements });
        }
        if unknown.is_empty() {
            return Ok(received);
        }
        Err(Problem::new(Code::UnknownDigest, unknown.join("\n")).faults(unknown))
    }
}

fn malformed(error: &MultipartError, limits: &Limits) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return too_large(format!("the request has more than {} bytes", limits.body));
    }
    Problem::new(Code::BadRequest, error.body_text())
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
        return Err(Problem::new(Code::UnsupportedMediaType, text));
    }
    Ok(())
}

/// Reads all parts.
///
/// # Errors
/// 400, 408, 413 or 415 with the name of the part at fault.
pub async fn read(request: Request, takes: &[Part], limits: &Limits, store: &dyn Store) -> Result<Parts, Problem> {
    check_head(&request, takes, limits)?;
    let multipart = Multipart::from_request(request, &()).await.map_err(|e| Problem::new(Code::BadRequest, e.body_text()))?;
    match tokio::time::timeout(limits.body_time, fields(multipart, takes, limits, store)).await {
        Ok(parts) => parts,
        Err(_) => Err(slow("the request", limits.body_time.as_secs())),
    }
}

async fn fields(mut multipart: Multipart, takes: &[Part], limits: &Limits, store: &dyn Store) -> Result<Parts, Problem> {
    let mut parts = BTreeMap::new();
    let pause = limits.read_time;
    while let Some(field) = tokio::time::timeout(pause, multipart.next_field())
        .await
        .map_err(|_| slow("the next part", pause.as_secs()))?
        .map_err(|e| malformed(&e, limits))?
    {
        let name = field.name().unwrap_or_default().to_string();
        let is_digest = |p: &&Part| p.by_digest && name.strip_suffix(DIGEST) == Some(p.name);
        let named = takes.iter().find(is_digest);
        let Some(part) = takes.iter().find(|p| p.name == name).or(named) else {
            let text = format!("part `{name}` is not known here; expected {}", listed(takes));
            return Err(Problem::new(Code::UnknownPart, text));
        };
        if parts.contains_key(part.name) {
            let text = format!("part `{name}` is given twice");
            return Err(Problem::new(Code::DuplicatePart, text));
        }
        if named.is_some() {
            let content = Content::Named(digest(field, &name, limits).await?);
            parts.insert(part.name, (part.kind, content));
            continue;
        }
        if let Some(given) = field.content_type().filter(|t| !part.takes(t)) {
            let wanted = if part.kind == Kind::Config { "application/json" } else { "application/octet-stream" };
            let text = format!("part `{name}` is `{given}`; expected `{wanted}`");
            return Err(Problem::new(Code::UnsupportedMediaType, text));
        }
        let what = format!("part `{name}`");
        let arriving = Arriving { what: &what, most: part.most(limits), limits };
        let chunks = field.map_err(|e| malformed(&e, limits));
        let content = if part.kind == Kind::Config {
            Content::Text(arriving.text(chunks).await?)
        } else {
            let check = |start: &[u8]| check::start(part.name, part.kind, start);
            Content::File(Box::new(arriving.file(chunks, store, check).await?))
        };
        parts.insert(part.name, (part.kind, content));
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
    Err(Problem::new(Code::MissingPart, text).faults(missing))
}

async fn digest(field: Field<'_>, name: &str, limits: &Limits) -> Result<Digest, Problem> {
    let arriving = Arriving { what: &format!("part `{name}`"), most: DIGEST_BYTES, limits };
    let text = arriving.text(field.map_err(|e| malformed(&e, limits))).await?;
    let found = std::str::from_utf8(&text).ok().and_then(|t| Digest::parse(t.trim()));
    found.ok_or_else(|| {
        let text = format!("part `{name}`: 64 lower-case hexadecimal digits of SHA-256 are expected");
        Problem::new(Code::BadRequest, text)
    })
}

/// The parts of a resource for a message.
fn listed(takes: &[Part]) -> String {
    let one = |p: &Part| if p.required { format!("`{}`", p.name) } else { format!("`{}` (optional)", p.name) };
    takes.iter().map(one).collect::<Vec<_>>().join(", ")
}
