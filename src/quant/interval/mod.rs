//! Worst-case ranges of every value of an exact model, by interval arithmetic on integers.
//!
//! The bound of an element is `[lo, hi]·2^-frac`; a dense output's bound is what its inputs' formats and its weights allow,
//! whatever the data.

mod layer;
mod merge;

use super::kif::Kif;
use super::model::{FixedModel, FixedOp};
use super::rounding::Overflow;
use crate::ops::Elementwise;
use thiserror::Error;

/// Integers beyond this are refused: the executor computes in 64 bits and needs one bit for the sign.
pub const MAX_BITS: u32 = 62;

/// Bounds of one value, one entry per element of a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub frac: Vec<i32>,
    pub lo: Vec<i128>,
    pub hi: Vec<i128>,
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
    Table { node: String, what: String },
}

impl Bounds {
    /// The narrowest format of element `e`.
    pub fn format(&self, e: usize) -> Kif {
        Kif::covering(self.lo[e], self.hi[e], self.frac[e])
    }

    /// Bits of the widest element, sign included.
    pub fn max_bits(&self) -> u32 {
        (0..self.frac.len()).map(|e| self.format(e).bits()).max().unwrap_or(0)
    }

    /// Finest fractional bits of the elements that are not constant 0.
    pub fn max_frac(&self) -> i32 {
        (0..self.frac.len()).filter(|&e| self.lo[e] != 0 || self.hi[e] != 0).map(|e| self.frac[e]).max().unwrap_or(0)
    }

    fn with_capacity(n: usize) -> Bounds {
        Bounds { frac: Vec::with_capacity(n), lo: Vec::with_capacity(n), hi: Vec::with_capacity(n) }
    }

    fn push(&mut self, frac: i32, lo: i128, hi: i128) {
        self.frac.push(frac);
        self.lo.push(lo);
        self.hi.push(hi);
    }
}

/// Bounds per value; `None` for float inputs and what merely reshapes them.
pub type AllBounds = Vec<Option<Bounds>>;

/// Bounds of all values.
///
/// # Errors
/// A node that reads floats, that needs more than [`MAX_BITS`], or that is outside a table's limits.
pub fn bounds(model: &FixedModel) -> Result<AllBounds, IntervalError> {
    let mut all: AllBounds = vec![None; model.values.len()];
    for node in &model.nodes {
        let float = || IntervalError::FloatInput { node: node.name.clone() };
        let input = all[node.inputs[0]].as_ref();
        let out = match &node.op {
            FixedOp::Quantize(q) => Some(match input {
                None => formats(&q.formats, q.overflow),
                Some(b) => quantized(b, &q.formats, q.overflow, |v, drop| q.rounding.shift(v, drop)),
            }),
            FixedOp::Dense(d) => Some(layer::dense(input.ok_or_else(float)?, d)),
            FixedOp::Affine(a) => Some(layer::affine(input.ok_or_else(float)?, &a.scale, &a.shift)),
            FixedOp::Elementwise(f) => Some(elementwise(&node.name, *f, input.ok_or_else(float)?)?),
            FixedOp::Reshape => input.cloned(),
            FixedOp::MaxPool(window) => Some(merge::max_pool(input.ok_or_else(float)?, window)),
            FixedOp::AveragePool(a) => Some(layer::average(input.ok_or_else(float)?, a)),
            FixedOp::Merge(m) => {
                let second = node.inputs.get(1).and_then(|&v| all[v].as_ref());
                Some(merge::merge(*m, input.ok_or_else(float)?, second.ok_or_else(float)?))
            }
            FixedOp::Concat { axis } => {
                let inputs = node.inputs.iter().map(|&v| all[v].as_ref()).collect::<Option<Vec<_>>>().ok_or_else(float)?;
                Some(merge::concat(&inputs, &model.shapes(&node.inputs), *axis))
            }
            FixedOp::Pad { before, after } => {
                Some(merge::pad(input.ok_or_else(float)?, &model.values[node.inputs[0]].shape, before, after))
            }
        };
        if let Some(b) = &out {
            let bits = b.max_bits();
            if bits > MAX_BITS {
                return Err(IntervalError::TooWide { node: node.name.clone(), bits });
            }
        }
        all[node.output] = out;
    }
    Ok(all)
}

fn formats(formats: &[Kif], overflow: Overflow) -> Bounds {
    let mut out = Bounds::with_capacity(formats.len());
    for &k in formats {
        let (lo, hi) = overflow.bounds(k);
        out.push(k.fractional, lo, hi);
    }
    out
}

fn quantized(b: &Bounds, formats: &[Kif], overflow: Overflow, round: impl Fn(i128, i32) -> i128) -> Bounds {
    let mut out = Bounds::with_capacity(formats.len());
    for (e, &k) in formats.iter().enumerate() {
        let (lo, hi) = (round(b.lo[e], b.frac[e] - k.fractional), round(b.hi[e], b.frac[e] - k.fractional));
        let (min, max) = overflow.bounds(k);
        if overflow == Overflow::Wrap && (lo < min || hi > max) {
            out.push(k.fractional, min, max);
        } else {
            out.push(k.fractional, overflow.apply(lo, k), overflow.apply(hi, k));
        }
    }
    out
}

fn elementwise(node: &str, f: Elementwise, b: &Bounds) -> Result<Bounds, IntervalError> {
    let limit = f.max_input_frac().unwrap_or(i32::MAX);
    if b.max_frac() > limit {
        let what = format!("its input has {} fractional bits, {} takes {limit}", b.max_frac(), f.onnx());
        return Err(IntervalError::Table { node: node.into(), what });
    }
    let mut out = Bounds::with_capacity(b.lo.len());
    for e in 0..b.lo.len() {
        // they rise
        let at = |v: i128| f.exact(v, b.frac[e]).ok_or(IntervalError::TooWide { node: node.into(), bits: u128::BITS });
        out.push(f.output_frac(b.frac[e]), at(b.lo[e])?, at(b.hi[e])?);
    }
    Ok(out)
}
