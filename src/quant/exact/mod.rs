//! Exact evaluation of a [`FixedModel`]: what the trained model computes, without rounding errors.
//!
//! In f64 while every accumulator fits 52 bits (known from interval arithmetic), in 128-bit integers beyond. Samples are blocked
//! and spread over rayon's threads; the result does not depend on their number.

mod column;
mod integer;
mod program;
mod real;
pub mod variants;

use super::interval::{self, AllBounds, IntervalError};
use super::model::{FixedModel, FixedOp};
use super::taps::Taps;
use crate::graph::ValueId;
use integer::Operand;
use program::{Program, programs};
use rayon::prelude::*;

/// Samples per block: a few hundred values of 64 samples stay in the second-level cache.
const BLOCK: usize = 64;
/// Largest accumulator for the f64 path, one bit kept for the half LSB of rounding.
const F64_BITS: u32 = 52;

/// A model prepared for exact evaluation.
pub struct Exact<'a> {
    model: &'a FixedModel,
    bounds: AllBounds,
    wide: bool,
    programs: Vec<Program>,
    /// Per value: the last node that reads it.
    last_reader: Vec<Option<usize>>,
}

/// Smallest and largest value of each element.
#[derive(Clone, Debug, PartialEq)]
pub struct MinMax {
    pub min: Vec<f64>,
    pub max: Vec<f64>,
}

impl MinMax {
    pub fn empty(n: usize) -> MinMax {
        MinMax { min: vec![f64::INFINITY; n], max: vec![f64::NEG_INFINITY; n] }
    }

    pub fn merge(&mut self, other: &MinMax) {
        for (a, b) in self.min.iter_mut().zip(&other.min) {
            *a = a.min(*b);
        }
        for (a, b) in self.max.iter_mut().zip(&other.max) {
            *a = a.max(*b);
        }
    }

    fn take(&mut self, columns: &[f64], n: usize) {
        for (e, column) in columns.chunks_exact(BLOCK).enumerate() {
            for &v in &column[..n] {
                self.min[e] = self.min[e].min(v);
                self.max[e] = self.max[e].max(v);
            }
        }
    }
}

impl<'a> Exact<'a> {
    /// Prepares `model`.
    ///
    /// # Errors
    /// See [`interval::bounds`].
    pub fn new(model: &'a FixedModel) -> Result<Self, IntervalError> {
        let bounds = interval::bounds(model)?;
        let wide = bounds.iter().flatten().any(|b| b.max_bits() > F64_BITS) || partial_sums_too_wide(model, &bounds);
        Ok(Exact { model, bounds, wide, programs: programs(model), last_reader: model.last_readers() })
    }

    pub fn bounds(&self) -> &AllBounds {
        &self.bounds
    }

    /// True when some accumulator needs more than f64 holds.
    pub fn is_wide(&self) -> bool {
        self.wide
    }

    /// Evaluates `samples` rows of every graph input and returns the wanted values, sample after sample.
    /// Results of more than 53 bits are rounded to f64 (nearest even) on return.
    pub fn run(&self, inputs: &[&[f32]], samples: usize, wanted: &[ValueId]) -> Vec<Vec<f64>> {
        let blocks: Vec<Vec<Vec<f64>>> = (0..samples.div_ceil(BLOCK))
            .into_par_iter()
            .map(|b| {
                let (first, n) = (b * BLOCK, BLOCK.min(samples - b * BLOCK));
                let values = self.block(inputs, first, n, wanted);
                wanted.iter().map(|&v| rows(values[v].as_deref().unwrap_or(&[]), n)).collect()
            })
            .collect();
        let mut out: Vec<Vec<f64>> = wanted.iter().map(|&v| Vec::with_capacity(samples * self.model.len_of(v))).collect();
        for block in blocks {
            for (o, part) in out.iter_mut().zip(block) {
                o.extend(part);
            }
        }
        out
    }

    /// Ranges over `samples` rows of the wanted values.
    pub fn min_max(&self, inputs: &[&[f32]], samples: usize, wanted: &[ValueId]) -> Vec<MinMax> {
        let empty = || wanted.iter().map(|&v| MinMax::empty(self.model.len_of(v))).collect::<Vec<_>>();
        (0..samples.div_ceil(BLOCK))
            .into_par_iter()
            .fold(empty, |mut acc, b| {
                let (first, n) = (b * BLOCK, BLOCK.min(samples - b * BLOCK));
                let values = self.block(inputs, first, n, wanted);
                for (range, &v) in acc.iter_mut().zip(wanted) {
                    range.take(values[v].as_deref().unwrap_or(&[]), n);
                }
                acc
            })
            .reduce(empty, |mut a, b| {
                for (x, y) in a.iter_mut().zip(&b) {
                    x.merge(y);
                }
                a
            })
    }

    /// The wanted values of one block, `[element][BLOCK samples]`; others are dropped as soon as their last reader is done.
    fn block(&self, inputs: &[&[f32]], first: usize, n: usize, wanted: &[ValueId]) -> Vec<Option<Vec<f64>>> {
        let mut values: Vec<Option<Vec<f64>>> = vec![None; self.model.values.len()];
        let mut ints: Vec<Option<Vec<i128>>> = vec![None; if self.wide { self.model.values.len() } else { 0 }];
        for (data, &id) in inputs.iter().zip(&self.model.inputs) {
            let len = self.model.len_of(id);
            let mut columns = vec![0.0; len * BLOCK];
            for s in 0..n {
                for e in 0..len {
                    columns[e * BLOCK + s] = data[(first + s) * len + e] as f64;
                }
            }
            values[id] = Some(columns);
        }
        for (index, (node, program)) in self.model.nodes.iter().zip(&self.programs).enumerate() {
            let to = node.output;
            let real = |v: ValueId| values[v].as_deref().unwrap_or(&[]);
            if let Some(bounds) = self.bounds[to].as_ref().filter(|_| self.wide) {
                let operand = |&v: &ValueId| Operand { bounds: self.bounds[v].as_ref(), ints: ints[v].as_deref(), real: real(v) };
                let operands: Vec<Operand> = node.inputs.iter().map(operand).collect();
                let out = integer::node(&node.op, program, &operands, bounds);
                let rounded = out.iter().enumerate().map(|(k, &v)| v as f64 * 2f64.powi(-bounds.frac[k / BLOCK])).collect();
                (ints[to], values[to]) = (Some(out), Some(rounded));
            } else {
                let operands: Vec<&[f64]> = node.inputs.iter().map(|&v| real(v)).collect();
                values[to] = Some(real::node(&node.op, program, &operands));
            }
            for &v in node.inputs.iter().filter(|&&v| self.last_reader[v] == Some(index) && !wanted.contains(&v)) {
                values[v] = None;
                if let Some(ints) = ints.get_mut(v) {
                    *ints = None;
                }
            }
        }
        values
    }
}

/// Intermediate sums may exceed the final bound (terms of both signs); the f64 path needs them all to fit.
fn partial_sums_too_wide(model: &FixedModel, bounds: &AllBounds) -> bool {
    model.nodes.iter().any(|node| {
        let (FixedOp::Dense(d), Some(b), Some(out)) = (&node.op, &bounds[node.inputs[0]], &bounds[node.output]) else {
            return false;
        };
        let frac = out.frac.first().copied().unwrap_or(0);
        let taps = Taps::new(d.inputs, d.outputs, d.window.as_ref());
        // the largest magnitude that an entry of the patch has anywhere, on the grid of the result before the weight
        let largest = |k: usize, o: usize| {
            let under = (0..taps.positions).filter_map(|p| taps.element(p, k, o));
            let at = |e: usize| {
                let top = b.lo[e].unsigned_abs().max(b.hi[e].unsigned_abs());
                top.saturating_mul(1 << (frac - d.weight.frac - b.frac[e]).clamp(0, 63))
            };
            under.map(at).max().unwrap_or(0)
        };
        let groups = d.window.as_ref().map_or(1, |w| w.groups);
        let common: Option<Vec<u128>> = (groups == 1).then(|| (0..d.inputs).map(|k| largest(k, 0)).collect());
        (0..d.outputs).any(|o| {
            let mut sum = (d.bias.ints[o].unsigned_abs() as u128) << (frac - d.bias.frac).clamp(0, 63);
            for k in 0..d.inputs {
                let w = d.weight.ints[k * d.outputs + o].unsigned_abs() as u128;
                if w != 0 {
                    sum = sum.saturating_add(w.saturating_mul(common.as_ref().map_or_else(|| largest(k, o), |c| c[k])));
                }
            }
            sum >> F64_BITS != 0
        })
    })
}

/// `[element][BLOCK]` → sample-major rows of the first `n` samples.
fn rows(columns: &[f64], n: usize) -> Vec<f64> {
    let len = columns.len() / BLOCK;
    let mut out = vec![0.0; len * n];
    for (e, column) in columns.chunks_exact(BLOCK).enumerate() {
        for s in 0..n {
            out[s * len + e] = column[s];
        }
    }
    out
}
