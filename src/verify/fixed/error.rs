//! Why a file cannot be executed, every node at once.

use crate::onnx::error::OnnxError;
use std::fmt;
use thiserror::Error;

/// Why a result is refused: an executor's number has 63 bits.
pub const WIDE: &str = "an intermediate result needs more than 63 bits";

/// `v`, if it is a number of the executor.
///
/// # Errors
/// [`WIDE`]
pub fn fits(v: i128) -> Result<i128, String> {
    if v.unsigned_abs() >> 62 == 0 { Ok(v) } else { Err(WIDE.into()) }
}

/// Why a proxy does not compile or run.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FixedError {
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    #[error("the file is outside the proxy vocabulary:{}", List(.0))]
    Graph(Vec<Fault>),
    #[error("{given} input arrays where the proxy has {wanted} inputs")]
    Inputs { given: usize, wanted: usize },
    #[error("input `{name}`: {given} values for {samples} samples of {each}")]
    Length { name: String, given: usize, samples: usize, each: usize },
    #[error("input `{name}`, sample {sample}, element {element}: not a finite number")]
    NotFinite { name: String, sample: usize, element: usize },
}

/// One node (or tensor) and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub node: String,
    pub op: String,
    pub reason: String,
}

struct List<'a>(&'a [Fault]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|x| write!(f, "\n  {} `{}`: {}", x.op, x.node, x.reason))
    }
}
