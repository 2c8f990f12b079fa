//! Jobs: what they are ([`super::record`]), how one is asked for ([`submit`]), several at once
//! ([`sweep`]), and who does them ([`worker`]).

pub mod progress;
pub mod submit;
pub mod sweep;
pub mod worker;

pub use crate::service::record::{Artifact, Input, JobId, Outcome, Record, Spec, State, StoredEvent, SweepId};
