//! Exact evaluation of a [`FixedModel`]: what the trained model computes, without rounding errors.
//!
//! In f64 while every accumulator fits 52 bits (known from interval arithmetic), in 128-bit integers beyond. Samples are blocked
//! and spread over rayon's threads; the result does not depend on their number.

use super::interval::{self, AllBounds, IntervalError};
use super::kif::exp2i;
use super::model::{FixedDense, FixedModel, FixedOp, FixedQuantizer};
use super::table;
use crate::graph::ValueId;
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
    sparse: Vec<Vec<(u32, u32, f64)>>,
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
        let sparse = model.nodes.iter().map(|n| if let FixedOp::Dense(d) = &n.op { nonzeros(d) } else { Vec::new() }).collect();
        Ok(Exact { model, bounds, wide, sparse })
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
                let values = self.block(inputs, first, n);
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
                let values = self.block(inputs, first, n);
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

    /// All values of one block, `[element][BLOCK samples]`.
    fn block(&self, inputs: &[&[f32]], first: usize, n: usize) -> Vec<Option<Vec<f64>>> {
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
        for (index, node) in self.model.nodes.iter().enumerate() {
            let (from, to) = (node.inputs[0], node.output);
            if self.wide
                && let Some(frac) = self.bounds[to].as_ref().map(|b| &b.frac)
            {
                let out = self.wide_node(index, values[from].as_deref(), ints[from].as_deref());
                let real = out.iter().enumerate().map(|(k, &v)| v as f64 * 2f64.powi(-frac[k / BLOCK])).collect();
                (ints[to], values[to]) = (Some(out), Some(real));
                continue;
            }
            let x = values[from].as_deref().unwrap_or(&[]);
            values[to] = Some(self.f64_node(index, x));
        }
        values
    }

    fn f64_node(&self, index: usize, x: &[f64]) -> Vec<f64> {
        let node = &self.model.nodes[index];
        match &node.op {
            FixedOp::Quantize(q) => quantize_f64(q, x),
            FixedOp::Dense(d) => {
                let mut out = vec![0.0; d.outputs * BLOCK];
                for (o, column) in out.chunks_exact_mut(BLOCK).enumerate() {
                    column.fill(d.bias.value(o));
                }
                for &(i, o, w) in &self.sparse[index] {
                    let (i, o) = (i as usize * BLOCK, o as usize * BLOCK);
                    for (a, v) in out[o..o + BLOCK].iter_mut().zip(&x[i..i + BLOCK]) {
                        *a += w * v;
                    }
                }
                out
            }
            FixedOp::Affine(a) => (0..x.len()).map(|k| x[k] * a.scale.value(k / BLOCK) + a.shift.value(k / BLOCK)).collect(),
            FixedOp::Relu => x.iter().map(|&v| if v > 0.0 { v } else { 0.0 }).collect(),
            FixedOp::LeakyRelu { log2_slope } => {
                let slope = exp2i(*log2_slope);
                x.iter().map(|&v| if v > 0.0 { v } else { v * slope }).collect()
            }
            FixedOp::Sigmoid => x.iter().map(|&v| table_f64(table::Kind::Sigmoid, v)).collect(),
            FixedOp::Tanh => x.iter().map(|&v| table_f64(table::Kind::Tanh, v)).collect(),
            FixedOp::Reshape => x.to_vec(),
            _ => unimplemented!("convolutions and merges"),
        }
    }

    /// The same in integers; `x` is the float input where no grid exists yet.
    fn wide_node(&self, index: usize, float: Option<&[f64]>, x: Option<&[i128]>) -> Vec<i128> {
        let node = &self.model.nodes[index];
        let to = &self.bounds[node.output];
        let (Some(to), from) = (to, self.bounds[node.inputs[0]].as_ref()) else { return Vec::new() };
        let (Some(x), Some(from)) = (x, from) else {
            if let FixedOp::Quantize(q) = &node.op {
                let real = quantize_f64(q, float.unwrap_or(&[]));
                return real.iter().enumerate().map(|(k, &v)| (v * exp2i(to.frac[k / BLOCK])) as i128).collect();
            }
            return Vec::new();
        };
        match &node.op {
            FixedOp::Quantize(q) => (0..x.len())
                .map(|k| {
                    let format = q.formats[k / BLOCK];
                    q.overflow.apply(q.rounding.shift(x[k], from.frac[k / BLOCK] - format.fractional), format)
                })
                .collect(),
            FixedOp::Dense(d) => {
                let frac = to.frac.first().copied().unwrap_or(0);
                let mut out = vec![0i128; d.outputs * BLOCK];
                for (o, column) in out.chunks_exact_mut(BLOCK).enumerate() {
                    column.fill((d.bias.ints[o] as i128) << (frac - d.bias.frac));
                }
                for &(i, o, _) in &self.sparse[index] {
                    let (i, o) = (i as usize, o as usize);
                    let w = (d.weight.ints[i * d.outputs + o] as i128) << (frac - d.weight.frac - from.frac[i]).max(0);
                    for s in 0..BLOCK {
                        out[o * BLOCK + s] += w * x[i * BLOCK + s];
                    }
                }
                out
            }
            FixedOp::Affine(a) => (0..x.len())
                .map(|k| {
                    let e = k / BLOCK;
                    let product = (a.scale.ints[e] as i128 * x[k]) << (to.frac[e] - a.scale.frac - from.frac[e]).max(0);
                    product + ((a.shift.ints[e] as i128) << (to.frac[e] - a.shift.frac).max(0))
                })
                .collect(),
            FixedOp::Relu => x.iter().map(|&v| v.max(0)).collect(),
            FixedOp::LeakyRelu { log2_slope } => {
                let (down, up) = ((-log2_slope).max(0), (*log2_slope).max(0));
                x.iter().map(|&v| if v >= 0 { v << down } else { v << up }).collect()
            }
            FixedOp::Sigmoid | FixedOp::Tanh => {
                let kind = if matches!(node.op, FixedOp::Sigmoid) { table::Kind::Sigmoid } else { table::Kind::Tanh };
                (0..x.len()).map(|k| table::lookup(kind, x[k] as i64, from.frac[k / BLOCK]) as i128).collect()
            }
            FixedOp::Reshape => x.to_vec(),
            _ => unimplemented!("convolutions and merges"),
        }
    }
}

/// Intermediate sums may exceed the final bound (terms of both signs); the f64 path needs them all to fit.
fn partial_sums_too_wide(model: &FixedModel, bounds: &AllBounds) -> bool {
    model.nodes.iter().any(|node| {
        let (FixedOp::Dense(d), Some(b), Some(out)) = (&node.op, &bounds[node.inputs[0]], &bounds[node.output]) else {
            return false;
        };
        let frac = out.frac.first().copied().unwrap_or(0);
        (0..d.outputs).any(|o| {
            let mut sum = (d.bias.ints[o].unsigned_abs() as u128) << (frac - d.bias.frac).clamp(0, 63);
            for i in 0..d.inputs {
                let w = d.weight.ints[i * d.outputs + o].unsigned_abs() as u128;
                if w != 0 {
                    let top = b.lo[i].unsigned_abs().max(b.hi[i].unsigned_abs());
                    sum = sum.saturating_add((w << (frac - d.weight.frac - b.frac[i]).clamp(0, 63)).saturating_mul(top));
                }
            }
            sum >> F64_BITS != 0
        })
    })
}

fn nonzeros(d: &FixedDense) -> Vec<(u32, u32, f64)> {
    let mut list = Vec::new();
    for o in 0..d.outputs {
        for i in 0..d.inputs {
            if d.weight.ints[i * d.outputs + o] != 0 {
                list.push((i as u32, o as u32, d.weight.value(i * d.outputs + o)));
            }
        }
    }
    list
}

fn quantize_f64(q: &FixedQuantizer, x: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; x.len()];
    for ((column, from), &format) in out.chunks_exact_mut(BLOCK).zip(x.chunks_exact(BLOCK)).zip(&q.formats) {
        if format.is_zero() {
            continue;
        }
        let (up, down) = (exp2i(format.fractional), exp2i(-format.fractional));
        let (lo, hi) = q.overflow.bounds(format);
        let (lo, hi) = (lo as f64, hi as f64);
        for (y, &v) in column.iter_mut().zip(from) {
            let r = q.rounding.apply(v * up);
            // clamp first: an i128 cast of an unclamped float input is only needed to wrap
            let r = if q.overflow == super::Overflow::Wrap { wrap(r, lo, hi) } else { r.clamp(lo, hi) };
            *y = r * down;
        }
    }
    out
}

fn wrap(v: f64, lo: f64, hi: f64) -> f64 {
    (v - lo).rem_euclid(hi - lo + 1.0) + lo
}

/// The finest grid a table input can have; values are multiples of it.
fn table_f64(kind: table::Kind, v: f64) -> f64 {
    let frac = kind.max_input_frac();
    let int = (v * exp2i(frac)).clamp(-1e15, 1e15) as i64;
    table::lookup(kind, int, frac) as f64 * exp2i(-table::OUTPUT_FRAC)
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
