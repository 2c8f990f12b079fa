//! What NATS says, as faults of the store.

use super::super::StoreError;
use std::error::Error;
use std::time::Duration;

/// Longest wait for one answer of NATS: elections in a cluster take seconds.
pub const ANSWER: Duration = Duration::from_secs(5);
/// Words of a server without room: some faults come as text alone.
const FULL: [&str; 5] = [
    "insufficient",
    "maximum bytes exceeded",
    "resource limits exceeded",
    "no space left",
    "resource limits exceeded for account",
];

/// The fault of a request to NATS.
pub fn fault(error: impl Error + 'static) -> StoreError {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    if FULL.iter().any(|words| text.contains(words)) { StoreError::Full } else { StoreError::Unavailable(text) }
}

/// The fault of a request whose error has no type.
pub fn boxed(error: Box<dyn Error + Send + Sync>) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

/// No answer in time.
pub fn late(_: tokio::time::error::Elapsed) -> StoreError {
    StoreError::Unavailable("NATS does not answer".into())
}

/// What can only be damaged data.
pub fn damaged(what: impl std::fmt::Display) -> StoreError {
    StoreError::Internal(format!("damaged: {what}"))
}
