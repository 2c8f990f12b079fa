//! Why a job ended without a proxy: one stable code, one exit status, every fault at once.

use crate::diagnostic::Code;
use crate::proxy::ProxyError;
use crate::quant::FixedModel;
use crate::quant::interval::IntervalError;
use crate::quant::model::kind;
use crate::quant::scale::TooFarApart;
use crate::trace::error::TraceError;
use crate::train::TrainError;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

/// One offending node of the user's model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeFault {
    /// In the file.
    pub name: String,
    /// Its operator.
    pub op: String,
    /// Why, and what to use instead.
    pub reason: String,
}

/// Why a job ended without a proxy.
#[derive(Clone, Debug, Error)]
pub enum Error {
    /// The bytes are not an ONNX model.
    #[error("model: {0}")]
    NotOnnx(String),
    /// The model has nodes that cannot be converted.
    #[error("the model is not supported:{}", list(.0))]
    Unsupported(Vec<NodeFault>),
    /// Data files or labels are wrong.
    #[error("{}", .0.join("\n"))]
    Data(Vec<String>),
    /// The job configuration is wrong.
    #[error("{}", .0.join("\n"))]
    Config(Vec<String>),
    /// The proxy does not equal the trained model. Always a fault of this program.
    #[error("verification failed: {0}")]
    Verification(String),
    /// No candidate reaches what was asked for.
    #[error("{0}")]
    TargetNotMet(String),
    /// It was asked to end.
    #[error("canceled")]
    Canceled,
    /// A fault of this program.
    #[error("internal error: {0}")]
    Internal(String),
}

fn list(nodes: &[NodeFault]) -> String {
    nodes.iter().map(|n| format!("\n  node `{}` ({}): {}", n.name, n.op, n.reason)).collect()
}

impl From<TraceError> for Error {
    /// Exact evaluation refuses a model by node.
    fn from(e: TraceError) -> Error {
        let (node, reason) = match &e {
            TraceError::Weight { node, what } => (node.clone(), what.clone()),
            TraceError::Interval(e) => return e.clone().into(),
        };
        Error::Unsupported(vec![NodeFault { name: node, op: "weights".into(), reason }])
    }
}

impl From<TooFarApart> for Error {
    fn from(e: TooFarApart) -> Error {
        Error::Unsupported(vec![NodeFault { name: e.node.clone(), op: "exact evaluation".into(), reason: e.to_string() }])
    }
}

impl From<IntervalError> for Error {
    fn from(e: IntervalError) -> Error {
        let (IntervalError::FloatInput { node } | IntervalError::TooWide { node, .. } | IntervalError::Node { node, .. }) = &e;
        Error::Unsupported(vec![NodeFault { name: node.clone(), op: "exact evaluation".into(), reason: e.to_string() }])
    }
}

impl Error {
    /// Stable identifier, the `code` of a problem document.
    pub fn code(&self) -> Code {
        match self {
            Error::NotOnnx(_) => Code::NotOnnx,
            Error::Unsupported(_) => Code::UnsupportedModel,
            Error::Data(_) => Code::BadData,
            Error::Config(_) => Code::BadConfig,
            Error::Verification(_) => Code::VerificationFailed,
            Error::TargetNotMet(_) => Code::TargetNotMet,
            Error::Canceled => Code::Canceled,
            Error::Internal(_) => Code::Internal,
        }
    }

    /// Exit status of the command line.
    pub fn exit_status(&self) -> u8 {
        self.code().exit_status()
    }

    /// The offending nodes, if the model was refused.
    pub fn nodes(&self) -> &[NodeFault] {
        if let Error::Unsupported(nodes) = self { nodes } else { &[] }
    }
}

/// The trainer's errors as those of a job.
pub fn training_error(e: TrainError) -> Error {
    match e {
        TrainError::Data(what) => Error::Data(vec![format!("train: {what}")]),
        TrainError::Option { option, what } => Error::Config(vec![format!("config: {option}: {what}")]),
        other => Error::Internal(other.to_string()),
    }
}

/// What the proxy's writer refuses, as nodes of the model.
pub fn unsupported(model: &FixedModel, e: ProxyError) -> Error {
    let op = |name: &str| model.nodes.iter().find(|n| n.name == name).map_or("graph", |n| kind(&n.op)).to_string();
    let fault = |f: crate::proxy::Fault| NodeFault { op: op(&f.node), reason: f.reason.to_string(), name: f.node };
    Error::Unsupported(e.faults.into_iter().map(fault).collect())
}
