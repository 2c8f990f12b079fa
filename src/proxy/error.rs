//! Why a model has no proxy: every reason at once, each with its node and limit.

use std::fmt;
use thiserror::Error;

/// All reasons at once.
#[derive(Debug, Error, PartialEq, Eq)]
pub struct ProxyError {
    pub faults: Vec<Fault>,
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the model cannot be written as a proxy:")?;
        for fault in &self.faults {
            write!(f, "\n  node `{}`: {}", fault.node, fault.reason)?;
        }
        Ok(())
    }
}

/// One node that cannot be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub node: String,
    pub reason: Reason,
}

/// What stock hls4ml (or the file format) cannot hold.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Reason {
    #[error("overflow mode WRAP cannot be expressed by a stock Quant; use SAT or SAT_SYM")]
    Wrap,
    #[error("rounding {0} on the model input needs a known input grid; use half-up, half-even or floor")]
    RoundingOfInput(&'static str),
    #[error("{function} needs an input of at most {limit} fractional bits (hls4ml's table), this one has {found}")]
    TableInput { function: &'static str, limit: i32, found: i32 },
    #[error("{function}: {what}")]
    Parameter { function: &'static str, what: String },
    #[error("after {function} only floor and half-up rounding are exact (hls4ml's table has 10 fractional bits)")]
    TableRounding { function: &'static str },
    #[error("constant {what} needs {bits} significant bits, float32 holds 24")]
    Constant { what: &'static str, bits: u32 },
    #[error("{what} needs {bits} bits, the limit is {MAX_BITS}")]
    TooWide { what: &'static str, bits: u32 },
    #[error("its format ({bits} fractional bits) is outside 2^±{MAX_FRACTION}: no normal float32")]
    Scale { bits: i32 },
    #[error(
        "formats (or constants) that differ over the positions of a channel are only written for up to {limit} elements, this value \
         has {elements}; use granularity `channel` for its activations"
    )]
    Positions { elements: usize, limit: usize },
    #[error(
        "it copies {from} elements to {to} places, a matrix of zeros and ones with more than {limit} entries; use a smaller tensor \
         or granularity `tensor` before it"
    )]
    Selection { from: usize, to: usize, limit: usize },
    #[error(
        "the proxy has {found} {what}, a file may have {limit}: its formats differ from element to element; use granularity `channel` \
         or `tensor` for activations, or form `concat` or `uniform`"
    )]
    TooLarge { what: &'static str, found: usize, limit: usize },
    #[error("{what}: {found} elements where {wanted} are needed")]
    Shape { what: &'static str, found: usize, wanted: usize },
    #[error("hls4ml does not compute it exactly with the settings asked for ({setting}): {why}")]
    Setting { setting: String, why: &'static str },
    #[error("{0}")]
    Structure(String),
}

/// Widest fixed-point type of a proxy: the executor holds every value in 63 bits.
pub const MAX_BITS: u32 = 63;

/// `2^-f` is a normal float32 with room for a half LSB.
pub const MAX_FRACTION: i32 = 120;
