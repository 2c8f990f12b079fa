//! What a value of the exact model looks like in the proxy while it is being written.

use crate::graph::{ValueId, Window};
use crate::ops::Elementwise;
use crate::proxy::error::Reason;
use crate::quant::interval::Span;
use crate::quant::kif::Kif;
use crate::quant::rounding::Rounding;
use crate::quant::{FixedAffine, FixedDense, FixedTensor};
use std::rc::Rc;

/// Stands for an element of a tensor that is not a unit of the value.
pub const NOWHERE: usize = usize::MAX;

/// A tensor `[1, lead.., units]` that holds some units of a value: elements of a flat one, channels
/// of a grid (see [`crate::proxy::analysis::layout`]).
#[derive(Clone, Debug)]
pub struct Part {
    pub tensor: String,
    /// Positions: the axes between the batch and the units.
    pub lead: Vec<usize>,
    /// Which units of the value, in the order of the last axis.
    pub elements: Vec<usize>,
    /// True where the tensor holds `−x`: how the format {−1, 0}·LSB is stored, since stock tools
    /// disagree about a signed `Quant` of one bit.
    pub negated: Vec<bool>,
    /// Has a sign bit.
    pub signed: bool,
    /// Written by a merge without a `Quant` after: no constant may be added directly
    /// (docs/hls4ml-contract.md#d-activations).
    pub bare: bool,
}

impl Part {
    /// A tensor after a `Quant` (or the model input).
    pub fn new(tensor: String, lead: &[usize], elements: Vec<usize>, negated: bool, signed: bool) -> Part {
        let negated = vec![negated; elements.len()];
        Part { tensor, lead: lead.to_vec(), elements, negated, signed, bare: false }
    }

    /// The tensor's shape, batch included.
    pub fn shape(&self) -> Vec<usize> {
        shape(&self.lead, self.elements.len())
    }

    /// True when the tensor is the whole value in order.
    pub fn is_whole(&self, len: usize) -> bool {
        self.elements.len() == len && self.elements.iter().enumerate().all(|(at, &e)| at == e) && !self.is_flipped()
    }

    /// True when some element is stored as `−x`.
    pub fn is_flipped(&self) -> bool {
        self.negated.contains(&true)
    }
}

/// The part that was written for one group.
///
/// # Errors
/// There is none.
pub fn only(written: Vec<Part>) -> Result<Part, Reason> {
    written.into_iter().next().ok_or_else(|| Reason::Structure("nothing was written".into()))
}

/// `[1, lead.., units]`.
pub fn shape(lead: &[usize], units: usize) -> Vec<usize> {
    [&[1], lead, &[units]].concat()
}

/// A value: written already, or a layer that waits for what follows.
#[derive(Clone, Debug)]
pub enum State<'a> {
    Parts(Vec<Part>),
    Pending(Stage<'a>),
}

/// A layer `activation(affine(base))` that is written together with the quantizer after it.
#[derive(Clone, Debug)]
pub struct Stage<'a> {
    /// Name of the node of the exact model, for messages and names.
    pub node: String,
    pub parts: Vec<Part>,
    /// The value that `parts` hold.
    pub source: ValueId,
    pub base: Base<'a>,
    /// The value after `base`: its spans are the widths before the affine.
    pub base_value: ValueId,
    /// One scale and shift per unit.
    pub affine: Option<Rc<FixedAffine>>,
    /// Subtracted from each unit of a model input, in front of everything else.
    pub offset: Option<Rc<FixedTensor>>,
    pub activation: Option<Elementwise>,
    /// Positions of the tensors between the base and the pools.
    pub lead: Vec<usize>,
    /// Largest-value pooling after the activation and the quantizer, which are monotone: on
    /// narrower types.
    pub pools: Vec<&'a Window>,
    /// The value after the whole stage.
    pub value: ValueId,
}

impl<'a> Stage<'a> {
    /// True when the parts are the value as it is.
    pub fn is_plain(&self) -> bool {
        !matches!(self.base, Base::Dense(_)) && self.affine.is_none() && self.activation.is_none() && self.pools.is_empty()
    }

    /// What is added to unit `e` of a model input.
    pub fn shift(&self, e: usize) -> Span {
        self.offset.as_ref().map_or(Span::ZERO, |offset| Span::constant(offset, e).negated())
    }

    /// The window of the base.
    pub fn window(&self) -> Option<&'a Window> {
        match self.base {
            Base::Dense(d) => d.window.as_ref(),
            _ => None,
        }
    }
}

/// What happens to the parts.
#[derive(Clone, Copy, Debug)]
pub enum Base<'a> {
    /// A dense layer or a convolution.
    Dense(&'a FixedDense),
    /// Regrouped by 0/1 selection; an element that no part holds is a constant and becomes a bias.
    Select,
    /// Part by part, no matrix.
    Copy,
}

/// Elements that share one output format.
#[derive(Clone, Debug)]
pub struct Group {
    pub elements: Vec<usize>,
    pub kif: Kif,
    /// Of what is written, that is of `−x` when `negate`.
    pub rounding: Rounding,
    pub narrow: bool,
    /// Write `−x`.
    pub negate: bool,
    /// Reserved name of the tensor.
    pub name: Option<String>,
}

impl Group {
    /// A `Quant` that changes nothing.
    pub fn exact(elements: Vec<usize>, kif: Kif, name: Option<String>) -> Group {
        Group { elements, kif, rounding: Rounding::Floor, narrow: false, negate: false, name }
    }
}

/// Positions as a convolution takes them: at most two axes.
pub fn lead_of(lead: &[usize]) -> Vec<usize> {
    match lead.split_last() {
        Some((&last, rest)) if rest.len() > 1 => vec![rest.iter().product(), last],
        _ => lead.to_vec(),
    }
}

/// Positions after a convolution of a value with positions `lead`.
pub fn lead_behind(w: &Window, lead: &[usize]) -> Vec<usize> {
    if is_line(w, lead) { vec![w.output()[1]] } else { w.output().to_vec() }
}

/// True when a window over a value with these positions is written as a convolution of one axis.
pub fn is_line(w: &Window, lead: &[usize]) -> bool {
    lead.len() == 1 && w.input[0] == 1 && w.kernel[0] == 1 && w.pads[0] == 0 && w.pads[2] == 0
}
