//! Why a model cannot be traced.

use crate::quant::interval::IntervalError;
use thiserror::Error;
#[derive(Clone, Debug, Error, PartialEq)]
pub enum TraceError {
    #[error("node `{node}`: {what}")]
    Weight { node: String, what: String },
    #[error(transparent)]
    Interval(#[from] IntervalError),
}
