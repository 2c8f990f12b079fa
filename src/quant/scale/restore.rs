//! The exact model on the user's values, from one in the domain: the same integers under other
//! points.

use super::Scales;
use crate::graph::ValueId;
use crate::ops::Move;
use crate::quant::exact::MinMax;
use crate::quant::kif::exp2i;
use crate::quant::model::{FixedAffine, FixedDense, FixedModel, FixedOp, FixedQuantizer, FixedTensor};
use thiserror::Error;

/// Bits of an integer on a common grid.
const MAX_BITS: u32 = 62;

/// Factors that do not fit one grid.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "node `{node}`: the scales of what it reads are too far apart: its {what} would need more than {MAX_BITS} bits on a common grid; bring the inputs to similar scales"
)]
pub struct TooFarApart {
    pub node: String,
    pub what: &'static str,
}

impl Scales {
    /// `model` as it computes on the user's values.
    ///
    /// # Errors
    /// A layer whose weights or biases do not fit one grid.
    pub fn restore(&self, model: &FixedModel) -> Result<FixedModel, TooFarApart> {
        if self.is_plain() {
            return Ok(model.clone());
        }
        let exponents = self.of_model(model);
        let raw = self.raw(model);
        let mut restored = model.clone();
        for node in &mut restored.nodes {
            let (from, to) = (&exponents[node.inputs[0]], &exponents[node.output]);
            let fault = |what| TooFarApart { node: node.name.clone(), what };
            match &mut node.op {
                FixedOp::Quantize(q) => quantizer(q, to, raw[node.inputs[0]].and_then(|n| self.offsets.get(n))),
                FixedOp::Dense(d) => dense(d, from, to).map_err(fault)?,
                FixedOp::Affine(a) => affine(a, from, to).map_err(fault)?,
                FixedOp::Elementwise(_)
                | FixedOp::MaxPool(_)
                | FixedOp::AveragePool(_)
                | FixedOp::Merge(_)
                | FixedOp::Move(_) => {}
            }
        }
        Ok(restored)
    }

    /// Ranges by node of a model, in the user's units.
    pub fn restore_ranges<O>(&self, model: &crate::graph::Dag<O>, by_node: &[Option<MinMax>]) -> Vec<Option<MinMax>> {
        let exponents = self.of_model(model);
        let of = |(node, range): (usize, &Option<MinMax>)| {
            let (range, exponents) = (range.as_ref()?, &exponents[model.nodes[node].output]);
            let scaled = |v: &[f64]| v.iter().zip(exponents).map(|(v, &e)| v * exp2i(e)).collect();
            Some(MinMax { min: scaled(&range.min), max: scaled(&range.max) })
        };
        by_node.iter().enumerate().map(of).collect()
    }

    /// The exponents of every value of a model: a graph's are known, what was added has those of
    /// what it was made from.
    fn of_model<O>(&self, model: &crate::graph::Dag<O>) -> Vec<Vec<i32>> {
        let known = |v: ValueId| self.of(v).map_or_else(|| vec![0; model.len_of(v)], <[i32]>::to_vec);
        let mut all: Vec<Vec<i32>> = (0..model.values.len()).map(known).collect();
        for node in &model.nodes {
            if node.output >= self.exponents.len() {
                all[node.output] = all[node.inputs[0]].clone();
            }
        }
        all
    }

    /// By value: the graph input that it is, in whatever shape.
    fn raw(&self, model: &FixedModel) -> Vec<Option<usize>> {
        let mut raw = vec![None; model.values.len()];
        model.inputs.iter().enumerate().for_each(|(n, &v)| raw[v] = Some(n));
        for node in &model.nodes {
            if matches!(node.op, FixedOp::Move(Move::Reshape)) {
                raw[node.output] = raw[node.inputs[0]];
            }
        }
        raw
    }
}

fn quantizer(q: &mut FixedQuantizer, exponents: &[i32], offsets: Option<&Vec<f64>>) {
    for (format, &e) in q.formats.iter_mut().zip(exponents).filter(|(f, _)| !f.is_zero()) {
        format.integer += e;
        format.fractional -= e;
    }
    let offsets = offsets.filter(|c| !c.is_empty());
    q.offset =
        offsets.and_then(|c| FixedTensor::from_f64(&c.iter().zip(exponents).map(|(c, &e)| c * exp2i(e)).collect::<Vec<_>>()));
}

fn dense(d: &mut FixedDense, from: &[i32], to: &[i32]) -> Result<(), &'static str> {
    let outputs = d.outputs.max(1);
    let window = d.window.as_ref();
    let shift = |at: usize| {
        let (row, o) = (at / outputs, at % outputs);
        to[o] - from[window.map_or(row, |w| w.channel(row, o, outputs))]
    };
    d.weight = shifted(&d.weight, shift).ok_or("weights")?;
    d.bias = shifted(&d.bias, |o| to[o]).ok_or("biases")?;
    Ok(())
}

fn affine(a: &mut FixedAffine, from: &[i32], to: &[i32]) -> Result<(), &'static str> {
    a.scale = shifted(&a.scale, |e| to[e] - from[e]).ok_or("scales")?;
    a.shift = shifted(&a.shift, |e| to[e]).ok_or("shifts")?;
    Ok(())
}

/// Every element times a power of two, on the coarsest common grid.
fn shifted(t: &FixedTensor, by: impl Fn(usize) -> i32) -> Option<FixedTensor> {
    let own = |(at, &v): (usize, &i64)| {
        let spare = v.trailing_zeros() as i32;
        (v >> spare.min(63), t.frac - spare - by(at))
    };
    let parts: Vec<(i64, i32)> =
        t.ints.iter().enumerate().map(|(at, v)| if *v == 0 { (0, i32::MIN) } else { own((at, v)) }).collect();
    let frac = parts.iter().map(|p| p.1).max().filter(|&f| f != i32::MIN).unwrap_or(0);
    let lifted = |&(v, f): &(i64, i32)| {
        let up = if v == 0 { 0 } else { (frac - f) as u32 };
        let bits = u64::BITS - v.unsigned_abs().leading_zeros();
        (v == 0 || bits + up <= MAX_BITS).then(|| v << up)
    };
    Some(FixedTensor { ints: parts.iter().map(lifted).collect::<Option<_>>()?, frac })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_move_by_their_own_powers() {
        let t = FixedTensor { ints: vec![12, 0, -5], frac: 3 };
        let by = [4, 9, -2];
        let moved = shifted(&t, |e| by[e]).unwrap();
        assert_eq!((moved.value(0), moved.value(1), moved.value(2)), (24.0, 0.0, -5.0 / 32.0));
        assert_eq!(moved.frac, 5);
        assert_eq!(shifted(&t, |e| [40, 0, -40][e]), None);
    }
}
