//! One node on a block of samples in f64, `[element][BLOCK]`; exact while every sum fits 52 bits.

use super::BLOCK;
use super::program::{Layer, Program};
use crate::quant::kif::exp2i;
use crate::quant::model::{FixedOp, FixedQuantizer};
use crate::quant::{Overflow, table};

/// The value of a node whose operands are `x`.
pub(super) fn node(op: &FixedOp, program: &Program, x: &[&[f64]]) -> Vec<f64> {
    let first = x.first().copied().unwrap_or(&[]);
    match (op, program) {
        (FixedOp::Quantize(q), _) => quantize(q, first),
        (_, Program::Layer(layer)) => products(layer, first),
        (_, Program::Pool(taps, channels)) => {
            let mut out = vec![0.0; taps.positions * channels * BLOCK];
            for (at, to) in out.chunks_exact_mut(BLOCK).enumerate() {
                let mut under = taps.under(at / channels, at % channels);
                if let Some(e) = under.next() {
                    to.copy_from_slice(column(first, e));
                }
                for e in under {
                    to.iter_mut().zip(column(first, e)).for_each(|(t, &v)| *t = t.max(v));
                }
            }
            out
        }
        (_, Program::Average(taps, channels)) => {
            let FixedOp::AveragePool(a) = op else { return Vec::new() };
            let reciprocal = a.reciprocal.value(0);
            let mut out = vec![0.0; taps.positions * channels * BLOCK];
            for (at, to) in out.chunks_exact_mut(BLOCK).enumerate() {
                for e in taps.under(at / channels, at % channels) {
                    to.iter_mut().zip(column(first, e)).for_each(|(t, &v)| *t += v);
                }
                to.iter_mut().for_each(|t| *t *= reciprocal);
            }
            out
        }
        (_, Program::Move(map)) => {
            let mut out = vec![0.0; map.len() * BLOCK];
            for (to, from) in out.chunks_exact_mut(BLOCK).zip(map) {
                if let Some((which, e)) = *from {
                    to.copy_from_slice(column(x[which as usize], e as usize));
                }
            }
            out
        }
        (FixedOp::Merge(m), _) => {
            let second = x.get(1).copied().unwrap_or(&[]);
            first.iter().zip(second).map(|(&a, &b)| m.apply(a, b)).collect()
        }
        (FixedOp::Affine(a), _) => {
            (0..first.len()).map(|k| first[k] * a.scale.value(k / BLOCK) + a.shift.value(k / BLOCK)).collect()
        }
        (FixedOp::Relu, _) => first.iter().map(|&v| if v > 0.0 { v } else { 0.0 }).collect(),
        (FixedOp::LeakyRelu { log2_slope }, _) => {
            let slope = exp2i(*log2_slope);
            first.iter().map(|&v| if v > 0.0 { v } else { v * slope }).collect()
        }
        (FixedOp::Sigmoid, _) => first.iter().map(|&v| lookup(table::Kind::Sigmoid, v)).collect(),
        (FixedOp::Tanh, _) => first.iter().map(|&v| lookup(table::Kind::Tanh, v)).collect(),
        _ => first.to_vec(),
    }
}

fn column(x: &[f64], e: usize) -> &[f64] {
    &x[e * BLOCK..][..BLOCK]
}

fn products(layer: &Layer, x: &[f64]) -> Vec<f64> {
    let outputs = layer.bias.len();
    let mut out = vec![0.0; layer.taps.positions * outputs * BLOCK];
    for (p, block) in out.chunks_exact_mut((outputs * BLOCK).max(1)).enumerate() {
        for (to, &bias) in block.chunks_exact_mut(BLOCK).zip(&layer.bias) {
            to.fill(bias);
        }
        for &(k, o, w) in &layer.nonzeros {
            if let Some(e) = layer.taps.element(p, k as usize, o as usize) {
                let to = &mut block[o as usize * BLOCK..][..BLOCK];
                to.iter_mut().zip(column(x, e)).for_each(|(a, v)| *a += w * v);
            }
        }
    }
    out
}

/// A cast; `x` may be off every grid.
pub(super) fn quantize(q: &FixedQuantizer, x: &[f64]) -> Vec<f64> {
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
            let r = if q.overflow == Overflow::Wrap { wrap(r, lo, hi) } else { r.clamp(lo, hi) };
            *y = r * down;
        }
    }
    out
}

fn wrap(v: f64, lo: f64, hi: f64) -> f64 {
    (v - lo).rem_euclid(hi - lo + 1.0) + lo
}

/// The finest grid a table input can have; values are multiples of it.
fn lookup(kind: table::Kind, v: f64) -> f64 {
    let frac = kind.max_input_frac();
    let int = (v * exp2i(frac)).clamp(-1e15, 1e15) as i64;
    table::lookup(kind, int, frac) as f64 * exp2i(-table::OUTPUT_FRAC)
}
