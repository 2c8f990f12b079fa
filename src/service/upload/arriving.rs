//! What arrives of a request: in time, no more than is allowed, and not further than its first
//! bytes if these are wrong.

use super::kind::START;
use crate::diagnostic::Code;
use crate::service::limits::Limits;
use crate::service::problem::Problem;
use crate::service::store::{Staged, Store};
use axum::body::Bytes;

use futures_util::{Stream, StreamExt};
use std::pin::pin;

/// A body or a part of one.
pub struct Arriving<'a> {
    /// Its name in messages.
    pub what: &'a str,
    /// Most bytes.
    pub most: usize,
    pub limits: &'a Limits,
}

impl Arriving<'_> {
    /// Hands on each chunk.
    ///
    /// # Errors
    /// 408, 413, and those of `chunks` and `take`.
    async fn each(
        &self,
        chunks: impl Stream<Item = Result<Bytes, Problem>>,
        mut take: impl FnMut(&[u8]) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let mut chunks = pin!(chunks);
        let mut bytes = 0;
        loop {
            let pause = self.limits.read_time;
            let chunk = tokio::time::timeout(pause, chunks.next()).await.map_err(|_| slow(self.what, pause.as_secs()))?;
            let Some(chunk) = chunk.transpose()? else { return Ok(()) };
            bytes += chunk.len();
            if bytes > self.most {
                return Err(too_large(format!("{} has more than {} bytes", self.what, self.most)));
            }
            take(&chunk)?;
        }
    }

    /// A short text.
    ///
    /// # Errors
    /// 408, 413, and those of `chunks`.
    pub async fn text(&self, chunks: impl Stream<Item = Result<Bytes, Problem>>) -> Result<Vec<u8>, Problem> {
        let mut text = Vec::new();
        let take = |chunk: &[u8]| {
            text.extend_from_slice(chunk);
            Ok(())
        };
        self.each(chunks, take).await?;
        Ok(text)
    }

    /// A file: to the store as it comes. `check` sees its first [`START`] bytes, or all where there
    /// are fewer.
    ///
    /// # Errors
    /// 408, 413, 503, and those of `chunks` and `check`.
    pub async fn file(
        &self,
        chunks: impl Stream<Item = Result<Bytes, Problem>>,
        store: &dyn Store,
        check: impl Fn(&[u8]) -> Result<(), Problem>,
    ) -> Result<Staged, Problem> {
        let mut staged = store.stage();
        let mut start = Vec::new();
        let take = |chunk: &[u8]| {
            if start.len() < START {
                start.extend_from_slice(&chunk[..chunk.len().min(START - start.len())]);
                if start.len() == START {
                    check(&start)?;
                }
            }
            Ok(staged.write(chunk)?)
        };
        self.each(chunks, take).await?;
        if start.len() < START {
            check(&start)?;
        }
        Ok(staged)
    }
}

pub fn too_large(detail: String) -> Problem {
    Problem::new(Code::TooLarge, detail)
}

pub fn slow(what: &str, seconds: u64) -> Problem {
    Problem::new(Code::RequestTimeout, format!("{what} did not arrive within {seconds} s"))
}
