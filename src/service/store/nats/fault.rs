//! What NATS says, as faults of the store.

use crate::service::store_error::StoreError;
use std::error::Error;
use std::time::Duration;
use tokio::time::Instant;

/// Longest wait for one answer of NATS: elections in a cluster take seconds.
pub const ANSWER: Duration = Duration::from_secs(5);
/// Time after which one is asked again: a stream that has just no leader says nothing at all.
const TRY: Duration = Duration::from_secs(1);
/// Pause before that when the answer is that there is nobody to answer.
const PAUSE: Duration = Duration::from_millis(100);
/// Words of a server without room: some faults come as text alone.
const FULL: [&str; 4] = ["insufficient", "maximum bytes exceeded", "resource limits exceeded", "no space left"];

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

/// Asks NATS until it answers, up to [`ANSWER`]; the same question may reach it more than once.
pub async fn asked<T, F: Future<Output = Result<T, StoreError>>>(mut ask: impl FnMut() -> F) -> Result<T, StoreError> {
    let until = Instant::now() + ANSWER;
    loop {
        let error = match tokio::time::timeout(TRY, ask()).await {
            Ok(Err(error @ StoreError::Unavailable(_))) => error,
            Ok(done) => return done,
            Err(elapsed) => late(elapsed),
        };
        if Instant::now() >= until {
            return Err(error);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A name that nothing else has.
pub fn nonce() -> Result<String, StoreError> {
    let mut bits = [0u8; 16];
    getrandom::fill(&mut bits).map_err(|e| StoreError::Internal(e.to_string()))?;
    Ok(format!("{:032x}", u128::from_le_bytes(bits)))
}

/// What can only be damaged data.
pub fn damaged(what: impl std::fmt::Display) -> StoreError {
    StoreError::Internal(format!("damaged: {what}"))
}
