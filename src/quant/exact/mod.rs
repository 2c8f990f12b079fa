//! Exact evaluation of a [`FixedModel`]: what the trained model computes, without rounding errors.
//!
//! In f32 or f64 while their mantissa holds every accumulator (known from interval arithmetic), in
//! 128-bit integers beyond. Samples are blocked and spread over rayon's threads; the result depends
//! neither on their number nor on what it is computed in.

pub mod block;
mod column;
mod integer;
mod minmax;
mod precision;
mod program;
mod real;
pub mod variants;

use super::interval::{self, AllBounds, IntervalError};
use super::model::FixedModel;
use crate::graph::ValueId;
use crate::simd::{Buffer, Isa, LANES, Number};
use integer::Operand;
use minmax::Widening;
use program::{Program, programs};
use rayon::prelude::*;
use std::borrow::Cow;

pub use minmax::MinMax;
pub use precision::Precision;

/// Parts per thread that a pass over many samples is dealt out in: each begins with buffers of its
/// own.
const PARTS: usize = 4;

/// A model prepared for exact evaluation.
pub struct Exact<'a> {
    model: Cow<'a, FixedModel>,
    bounds: AllBounds,
    precision: Precision,
    isa: Isa,
    programs: Vec<Program>,
    /// Per value: the last node that reads it.
    last_reader: Vec<Option<usize>>,
}

impl<'a> Exact<'a> {
    /// Prepares `model`.
    ///
    /// # Errors
    /// See [`interval::bounds()`].
    pub fn new(model: &'a FixedModel) -> Result<Self, IntervalError> {
        Self::of(Cow::Borrowed(model))
    }

    /// Prepares a model that it keeps.
    ///
    /// # Errors
    /// See [`interval::bounds()`].
    pub fn owning(model: FixedModel) -> Result<Exact<'static>, IntervalError> {
        Exact::of(Cow::Owned(model))
    }

    fn of(model: Cow<'a, FixedModel>) -> Result<Self, IntervalError> {
        let bounds = interval::bounds(&model)?;
        let (precision, isa) = (precision::needed(&model, &bounds), Isa::detect());
        let (programs, last_reader) = (programs(&model), model.last_readers());
        Ok(Exact { model, bounds, precision, isa, programs, last_reader })
    }

    pub fn model(&self) -> &FixedModel {
        &self.model
    }

    /// The same with other instructions; the results are.
    pub fn with_isa(self, isa: Isa) -> Self {
        Exact { isa, ..self }
    }

    /// The same in numbers that hold at least as much; the results are.
    pub fn at_least(self, precision: Precision) -> Self {
        Exact { precision: self.precision.max(precision), ..self }
    }

    pub fn precision(&self) -> Precision {
        self.precision
    }

    pub fn bounds(&self) -> &AllBounds {
        &self.bounds
    }

    /// Evaluates `samples` rows of every graph input and returns the wanted values, sample after
    /// sample. Results of more than 53 bits are rounded to f64 (nearest even) on return.
    pub fn run(&self, inputs: &[&[f32]], samples: usize, wanted: &[ValueId]) -> Vec<Vec<f64>> {
        match self.precision {
            Precision::Single => self.run_in::<f32>(inputs, samples, wanted),
            Precision::Double | Precision::Integer => self.run_in::<f64>(inputs, samples, wanted),
        }
    }

    fn run_in<T: Number>(&self, inputs: &[&[f32]], samples: usize, wanted: &[ValueId]) -> Vec<Vec<f64>> {
        let width = block::width(samples, self.model.largest());
        let blocks: Vec<Vec<Vec<f64>>> = (0..samples.div_ceil(width))
            .into_par_iter()
            .map_init(Free::<T>::default, |free, b| {
                let n = width.min(samples - b * width);
                let mut out = vec![Vec::new(); wanted.len()];
                self.block(free, inputs, (b * width, n, width), &mut |v, columns| {
                    wanted.iter().zip(&mut out).filter(|(w, _)| **w == v).for_each(|(_, o)| *o = rows(columns, n, width));
                });
                out
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
        match self.precision {
            Precision::Single => self.min_max_in::<f32>(inputs, samples, wanted),
            Precision::Double | Precision::Integer => self.min_max_in::<f64>(inputs, samples, wanted),
        }
    }

    fn min_max_in<T: Number>(&self, inputs: &[&[f32]], samples: usize, wanted: &[ValueId]) -> Vec<MinMax> {
        let empty = || wanted.iter().map(|&v| MinMax::empty(self.model.len_of(v))).collect::<Vec<_>>();
        let fresh =
            || (Free::<T>::default(), wanted.iter().map(|&v| Widening::<T>::new(self.model.len_of(v))).collect::<Vec<_>>());
        let width = block::width(samples, self.model.largest());
        let blocks = samples.div_ceil(width);
        (0..blocks)
            .into_par_iter()
            .with_min_len(blocks.div_ceil(PARTS * rayon::current_num_threads()))
            .fold(fresh, |(mut free, mut ranges), b| {
                let n = width.min(samples - b * width);
                self.block(&mut free, inputs, (b * width, n, width), &mut |v, columns| {
                    let range = wanted.iter().zip(&mut ranges).find(|(w, _)| **w == v);
                    range.into_iter().for_each(|(_, range)| range.take(self.isa, columns, width, n));
                });
                (free, ranges)
            })
            .map(|(_, ranges)| ranges.iter().map(Widening::range).collect::<Vec<_>>())
            .reduce(empty, |mut a, b| {
                for (x, y) in a.iter_mut().zip(&b) {
                    x.merge(y);
                }
                a
            })
    }

    /// Computes `n` samples from `first` on and shows every value to `seen`, `[element][width]`.
    /// Values are dropped as soon as their last reader is done: their buffers go to `free`, and new
    /// ones come from there.
    fn block<T: Number>(
        &self,
        free: &mut Free<T>,
        inputs: &[&[f32]],
        (first, n, width): (usize, usize, usize),
        seen: &mut dyn FnMut(ValueId, &[T]),
    ) {
        let mut values: Vec<Option<Buffer<T>>> = vec![None; self.model.values.len()];
        let wide = self.precision == Precision::Integer;
        let mut ints: Vec<Option<Vec<i128>>> = vec![None; if wide { self.model.values.len() } else { 0 }];
        for (data, &id) in inputs.iter().zip(&self.model.inputs) {
            let len = self.model.len_of(id);
            let mut columns = take(free, len * width);
            transpose(&data[first * len..(first + n) * len], len, &mut columns, width);
            seen(id, &columns);
            values[id] = Some(columns);
        }
        for (index, (node, program)) in self.model.nodes.iter().zip(&self.programs).enumerate() {
            let to = node.output;
            let real = |v: ValueId| values[v].as_deref().unwrap_or(&[]);
            let mut out = take(free, self.model.len_of(to) * width);
            if let Some(bounds) = self.bounds[to].as_ref().filter(|_| wide) {
                let operand = |&v: &ValueId| Operand { bounds: self.bounds[v].as_ref(), ints: ints[v].as_deref(), real: real(v) };
                let operands: Vec<Operand<T>> = node.inputs.iter().map(operand).collect();
                let result = integer::node(&node.op, program, &operands, bounds, width);
                for (k, (r, &v)) in out.iter_mut().zip(&result).enumerate() {
                    *r = T::of(v as f64 * 2f64.powi(-bounds[k / width].frac));
                }
                ints[to] = Some(result);
            } else {
                let operands: Vec<&[T]> = node.inputs.iter().map(|&v| real(v)).collect();
                real::node(self.isa, &node.op, program, &operands, &mut out, width);
            }
            seen(to, &out);
            values[to] = Some(out);
            for v in self.model.read_last(&self.last_reader, index) {
                free.extend(values[v].take());
                if let Some(ints) = ints.get_mut(v) {
                    *ints = None;
                }
            }
        }
        free.extend(values.into_iter().flatten());
    }
}

/// Buffers of values that are no longer needed.
type Free<T> = Vec<Buffer<T>>;

/// A buffer of `len` numbers, which may be anything.
fn take<T: Number>(free: &mut Free<T>, len: usize) -> Buffer<T> {
    let mut buffer = free.pop().unwrap_or_default();
    buffer.resize(len);
    buffer
}

/// Rows of `len` values → `[element][width]`.
fn transpose<T: Number>(rows: &[f32], len: usize, columns: &mut [T], width: usize) {
    // a line of every column at a time
    for (first, rows) in (0..).step_by(LANES).zip(rows.chunks(LANES * len.max(1))) {
        for (e, column) in columns.chunks_exact_mut(width).enumerate() {
            for (to, row) in column[first..].iter_mut().zip(rows.chunks_exact(len)) {
                *to = T::of(row[e].into());
            }
        }
    }
}

/// `[element][width]` → sample-major rows of the first `n` samples.
fn rows<T: Number>(columns: &[T], n: usize, width: usize) -> Vec<f64> {
    let len = columns.len() / width;
    let mut out = vec![0.0; len * n];
    for (e, column) in columns.chunks_exact(width).enumerate() {
        for s in 0..n {
            out[s * len + e] = column[s].to_f64();
        }
    }
    out
}
