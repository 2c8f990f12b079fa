//! Why there are no intervals.

use thiserror::Error;

/// Integers beyond this are refused: the executor computes in 64 bits and needs one bit for the
/// sign.
pub const MAX_BITS: u32 = 62;

/// Why an operation has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// A sum or product has more than 127 bits.
    Wide,
    /// Something has `found` elements and not `wanted` ones.
    Shape {
        what: &'static str,
        found: usize,
        wanted: usize,
    },
    Structure(String),
}

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum IntervalError {
    #[error("node `{node}` reads a float input that no quantizer has put on a grid")]
    FloatInput { node: String },
    #[error(
        "node `{node}` needs {bits} bits, more than the {MAX_BITS} that exact execution has; use fewer bits or smaller weights before it"
    )]
    TooWide { node: String, bits: u32 },
    #[error("node `{node}`: {what}")]
    Node { node: String, what: String },
}

impl Unfit {
    pub(super) fn at(self, node: &str) -> IntervalError {
        let node = node.to_string();
        match self {
            Unfit::Wide => IntervalError::TooWide { node, bits: i128::BITS },
            Unfit::Shape { what, found, wanted } => {
                IntervalError::Node { node, what: format!("{what}: {found} elements where {wanted} are needed") }
            }
            Unfit::Structure(what) => IntervalError::Node { node, what },
        }
    }
}
