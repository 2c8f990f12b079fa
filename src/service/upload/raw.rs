//! A request whose body is one file.

use super::Upload;
use super::check::{self, START};
use super::multipart::{slow, too_large};
use crate::service::limits::Limits;
use crate::service::problem::Problem;
use crate::service::store::{Digest, Staged, Store};
use axum::body::Body;
use axum::http::StatusCode;
use futures_util::StreamExt;

/// Stores the body for `owner`; `expected`: the digest it must have.
///
/// # Errors
/// 400 for what is neither a model nor data, or has another digest; 408, 413, 503.
pub async fn receive(
    body: Body,
    expected: Option<&Digest>,
    owner: &str,
    limits: &Limits,
    store: &dyn Store,
) -> Result<Upload, Problem> {
    let staged = match tokio::time::timeout(limits.body_time, staged(body, limits, store)).await {
        Ok(staged) => staged?,
        Err(_) => return Err(slow("the request", limits.body_time.as_secs())),
    };
    let found = staged.digest();
    if let Some(expected) = expected.filter(|e| **e != found) {
        let text = format!("the content has digest {found}, not {expected}");
        return Err(Problem::new(StatusCode::BAD_REQUEST, "digest_mismatch", text));
    }
    let bytes = staged.bytes();
    Ok(Upload { digest: store.keep(staged, owner).await?, bytes, elements: 0 })
}

async fn staged(body: Body, limits: &Limits, store: &dyn Store) -> Result<Staged, Problem> {
    let mut staged = store.stage();
    let mut start = Vec::new();
    let mut chunks = body.into_data_stream();
    loop {
        let chunk = match tokio::time::timeout(limits.read_time, chunks.next()).await {
            Err(_) => return Err(slow("the body", limits.read_time.as_secs())),
            Ok(chunk) => chunk,
        };
        let Some(chunk) = chunk else { break };
        let chunk = chunk.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "bad_request", "the body ends early"))?;
        if staged.bytes() + chunk.len() as u64 > limits.body as u64 {
            return Err(too_large(format!("the request has more than {} bytes", limits.body)));
        }
        start.extend_from_slice(&chunk[..chunk.len().min(START.saturating_sub(start.len()))]);
        if start.len() == START && !check::may_be_file(&start) {
            break;
        }
        staged.write(&chunk)?;
    }
    if start.is_empty() || !check::may_be_file(&start) {
        let text = "the body is neither an ONNX model nor a .npy or .npz file";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "bad_data", text));
    }
    Ok(staged)
}
