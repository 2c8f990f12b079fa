//! Why a model cannot be imported: every offending node at once.

use thiserror::Error;

use crate::{graph::dag::Invariant, onnx::OnnxError};

/// A node (or tensor) that is not supported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Name of the node; that of its first output where the node has none; that of the tensor for
    /// tensors.
    pub name: String,
    /// ONNX operator, with its domain where that is not the standard one; `initializer`, `input` or
    /// `output` for tensors.
    pub op: String,
    /// What is wrong and what to do instead.
    pub reason: String,
}

/// See the module.
#[derive(Debug, Error)]
pub enum ImportError {
    #[error("{}", list(.nodes))]
    Unsupported { nodes: Vec<Refusal> },
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    #[error(transparent)]
    Invariant(#[from] Invariant),
}

fn list(nodes: &[Refusal]) -> String {
    let mut text = format!("the model is not supported; {} fault(s):", nodes.len());
    for node in nodes {
        text.push_str(&format!("\n  {} `{}`: {}", node.op, node.name, node.reason));
    }
    text
}
