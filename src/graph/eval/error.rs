//! Why a graph cannot be evaluated.

use crate::graph::dag::ValueId;
use thiserror::Error;
/// What does not fit the graph.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EvalError {
    #[error("{found} inputs given, but the model has {expected}")]
    Inputs { found: usize, expected: usize },
    #[error("input `{name}` has {found} values, but {samples} samples need {expected}")]
    Length { name: String, found: usize, samples: usize, expected: usize },
    #[error("value {0} does not exist or is never computed")]
    Unknown(ValueId),
    #[error("node `{node}`: {what}")]
    Node { node: String, what: String },
}
