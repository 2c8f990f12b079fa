//! What can go wrong in training: a model the engine cannot train, data that does not fit it.

use thiserror::Error;

/// A node the engine refuses, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub node: String,
    pub what: String,
}

/// Errors of the training engine.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TrainError {
    /// Every fault of the model at once.
    #[error("the model cannot be trained: {}", list(.0))]
    Model(Vec<Fault>),
    /// The training data does not fit the model or the loss.
    #[error("training data: {0}")]
    Data(String),
    /// An engine option is out of range.
    #[error("option `{option}`: {what}")]
    Option { option: &'static str, what: String },
    /// A snapshot or checkpoint of another model.
    #[error("checkpoint does not fit the model: {field} has {found} values, expected {expected}")]
    Checkpoint { field: &'static str, expected: usize, found: usize },
    /// A worker thread died; a fault of this program.
    #[error("a training worker thread stopped")]
    Worker,
}

fn list(faults: &[Fault]) -> String {
    faults.iter().map(|f| format!("node `{}`: {}", f.node, f.what)).collect::<Vec<_>>().join("; ")
}
