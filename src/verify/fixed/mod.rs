//! The i64 executor over a proxy file: what stock hls4ml computes, integer by integer.
//!
//! [`Program::from_bytes`] compiles the graph once: every tensor gets one grid `2^-frac`, every
//! constant becomes an integer and the worst case of every element is known, so that nothing can
//! leave 63 bits. [`Program::run`] then needs no float: an f32 input is taken apart into mantissa
//! and exponent and floored to the input port as hls4ml's `fixed<32,16>` does (`AP_TRN`,
//! `AP_WRAP`).

mod compile;
mod constant;
mod error;
mod function;
mod input;
mod ops;
pub mod program;
mod run;
mod step;

pub use error::{Fault, FixedError};
pub use program::{Output, Outputs, Port, Program, Sink};
