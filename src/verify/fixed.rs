//! The i64 executor over a proxy file: what stock hls4ml computes, integer by integer.
//!
//! [`Program::from_bytes`] compiles the graph once: every tensor gets one grid `2^-frac`, every constant becomes an integer and
//! the worst case of every element is known, so that nothing can leave 63 bits. [`Program::run`] then needs no float: an f32
//! input is taken apart into mantissa and exponent and floored to the input port as hls4ml's `fixed<32,16>` does (`AP_TRN`,
//! `AP_WRAP`).

mod compile;
mod constant;
mod error;
mod input;
mod ops;
mod run;
mod step;

pub use error::{Fault, FixedError};

use crate::onnx::proto::ModelProto;
use crate::onnx::{codec, limits::Limits};
use crate::proxy::port;
use crate::quant::Kif;
use step::Step;

/// A compiled proxy.
#[derive(Clone, Debug)]
pub struct Program {
    pub(self) inputs: Vec<Port>,
    pub(self) outputs: Vec<Sink>,
    pub(self) steps: Vec<Step>,
    /// Elements of each tensor.
    pub(self) lengths: Vec<usize>,
    /// Names of the `Quant` nodes, in the order of [`Outputs::saturations`].
    pub(self) quants: Vec<String>,
    pub(self) port: Kif,
}

/// A graph input.
#[derive(Clone, Debug)]
pub struct Port {
    pub name: String,
    /// Shape of one sample.
    pub shape: Vec<usize>,
    pub(self) tensor: usize,
}

/// A graph output.
#[derive(Clone, Debug)]
pub struct Sink {
    pub name: String,
    /// Shape of one sample.
    pub shape: Vec<usize>,
    /// Values are integers times `2^-frac`.
    pub frac: i32,
    pub(self) tensor: usize,
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outputs {
    pub outputs: Vec<Output>,
    /// Elements that each `Quant` clipped, by node name.
    pub saturations: Vec<(String, u64)>,
    /// Samples with an input outside the port; hls4ml wraps them.
    pub port_overflow: u64,
}

/// One output tensor: `ints[sample·len + element]·2^-frac`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    pub name: String,
    pub frac: i32,
    pub ints: Vec<i64>,
}

impl Output {
    /// The values as f64; exact up to 53 significant bits.
    pub fn to_f64(&self) -> Vec<f64> {
        let unit = 2f64.powi(-self.frac);
        self.ints.iter().map(|&v| v as f64 * unit).collect()
    }
}

impl Program {
    /// Compiles a proxy file for the input port that it states, else for hls4ml's default.
    ///
    /// # Errors
    /// A file that is no ONNX model, and every node outside the vocabulary, at once.
    pub fn from_bytes(bytes: &[u8]) -> Result<Program, FixedError> {
        Program::from_model(&codec::decode(bytes, &Limits::default())?)
    }

    /// Compiles a decoded model for the input port that it states, else for hls4ml's default.
    ///
    /// # Errors
    /// Every node outside the vocabulary, at once.
    pub fn from_model(model: &ModelProto) -> Result<Program, FixedError> {
        Program::with_port(model, port::stated(model))
    }

    /// Compiles for another input port (see [`crate::proxy::Proxy::input_port`]).
    ///
    /// # Errors
    /// Every node outside the vocabulary, at once.
    pub fn with_port(model: &ModelProto, port: Kif) -> Result<Program, FixedError> {
        compile::compile(model, port)
    }

    /// The graph inputs, in the order of the file.
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// The graph outputs, in the order of the file.
    pub fn outputs(&self) -> &[Sink] {
        &self.outputs
    }
}
