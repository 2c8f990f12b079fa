//! What a value of the exact model looks like in the proxy while it is being written.

use crate::graph::ValueId;
use crate::quant::{FixedAffine, FixedDense};

/// A quantised tensor `[1, elements]` that holds some elements of a value.
#[derive(Clone, Debug)]
pub struct Part {
    pub tensor: String,
    /// Which elements of the value, in the order of the tensor.
    pub elements: Vec<usize>,
    /// True where the tensor holds `−x`: how the format {−1, 0}·LSB is stored, since stock tools disagree about a signed `Quant`
    /// of one bit.
    pub negated: Vec<bool>,
}

impl Part {
    pub fn new(tensor: String, elements: Vec<usize>, negated: bool) -> Part {
        let negated = vec![negated; elements.len()];
        Part { tensor, elements, negated }
    }

    /// True when the tensor is the whole value in order.
    pub fn is_whole(&self, len: usize) -> bool {
        self.elements.len() == len && self.elements.iter().enumerate().all(|(at, &e)| at == e) && !self.negated.contains(&true)
    }
}

/// A value: written already, or a layer that waits for what follows.
#[derive(Clone, Debug)]
pub enum State<'a> {
    Parts(Vec<Part>),
    Pending(Stage<'a>),
}

/// A layer `activation(affine(base))` that is written together with the quantizer behind it.
#[derive(Clone, Debug)]
pub struct Stage<'a> {
    /// Name of the node of the exact model, for messages and names.
    pub node: String,
    pub parts: Vec<Part>,
    /// The value that `parts` hold.
    pub source: ValueId,
    pub base: Base<'a>,
    /// The value behind `base`: its spans are the widths before the affine.
    pub base_value: ValueId,
    pub affine: Option<&'a FixedAffine>,
    pub activation: Option<Activation>,
    /// The value behind the whole stage.
    pub value: ValueId,
}

/// What happens to the parts.
#[derive(Clone, Copy, Debug)]
pub enum Base<'a> {
    /// A dense layer.
    Dense(&'a FixedDense),
    /// Regrouped by 0/1 selection; an element that no part holds is a constant and becomes a bias.
    Select,
    /// Part by part, no matrix.
    Copy,
}

/// An element-wise function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    Relu,
    LeakyRelu { log2_slope: i32 },
    Sigmoid,
    Tanh,
}

impl Activation {
    /// True when it commutes with every rounding, so that the rounding offset may be added in front of it.
    pub fn passes_offset(self) -> bool {
        self == Activation::Relu
    }
}
