//! A proxy compiled to integer steps.

use super::step::Step;
use crate::quant::kif::Kif;
/// A compiled proxy.
#[derive(Clone, Debug)]
pub struct Program {
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<Sink>,
    pub(super) steps: Vec<Step>,
    /// Elements of each tensor.
    pub(super) lengths: Vec<usize>,
    /// Names of the `Quant` nodes, in the order of [`Outputs::saturations`].
    pub(super) quants: Vec<String>,
    pub(super) port: Kif,
}

/// A graph input.
#[derive(Clone, Debug)]
pub struct Port {
    pub name: String,
    /// Shape of one sample.
    pub shape: Vec<usize>,
    pub(super) tensor: usize,
}

/// A graph output.
#[derive(Clone, Debug)]
pub struct Sink {
    pub name: String,
    /// Shape of one sample.
    pub shape: Vec<usize>,
    /// Values are integers times `2^-frac`.
    pub(super) frac: i32,
    pub(super) tensor: usize,
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
    /// The graph inputs, in the order of the file.
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// The graph outputs, in the order of the file.
    pub fn outputs(&self) -> &[Sink] {
        &self.outputs
    }
}
