//! Why a store does not answer.

use thiserror::Error;
#[derive(Debug, Error)]
pub enum StoreError {
    /// No room for more: the disk is full.
    #[error("the store has no room left")]
    Full,
    /// Cannot be reached now; it may be later.
    #[error("the store cannot be reached: {0}")]
    Unavailable(String),
    /// The job is no longer this worker's.
    #[error("the job was given to another worker")]
    Lost,
    #[error("the store is damaged or in the wrong state: {0}")]
    Internal(String),
}
