//! A request whose body is one file.

use super::arriving::{Arriving, slow};
use super::{Upload, check};
use crate::diagnostic::Code;
use crate::service::limits::Limits;
use crate::service::problem::Problem;
use crate::service::store::{Digest, Staged, Store};
use axum::body::Body;

use futures_util::TryStreamExt;

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
        return Err(Problem::new(Code::DigestMismatch, text));
    }
    let bytes = staged.bytes();
    Ok(Upload { digest: store.keep(staged, owner).await?, bytes, elements: 0 })
}

async fn staged(body: Body, limits: &Limits, store: &dyn Store) -> Result<Staged, Problem> {
    let refused = |code, text| Problem::new(code, text);
    let chunks = body.into_data_stream().map_err(|_| refused(Code::BadRequest, "the body ends early"));
    let check = |start: &[u8]| {
        let fits = !start.is_empty() && check::may_be_file(start);
        let text = "the body is neither an ONNX model nor a .npy or .npz file";
        if fits { Ok(()) } else { Err(refused(Code::BadData, text)) }
    };
    Arriving { what: "the body", most: limits.body, limits }.file(chunks, store, check).await
}
