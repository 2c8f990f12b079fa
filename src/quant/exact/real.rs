//! One node on a block of samples in f64, `[element][BLOCK]`; exact while every sum fits 52 bits.

use super::BLOCK;
use super::column;
use super::program::{Layer, Program};
use crate::quant::model::{FixedOp, FixedQuantizer};

/// The value of a node whose operands are `x`.
pub(super) fn node(op: &FixedOp, program: &Program, x: &[&[f64]]) -> Vec<f64> {
    let first = x.first().copied().unwrap_or(&[]);
    match program {
        Program::Layer(layer) => products(layer, first),
        Program::Pool(taps, channels) | Program::Average(taps, channels) => {
            let mut out = vec![0.0; taps.positions * channels * BLOCK];
            for (at, to) in out.chunks_exact_mut(BLOCK).enumerate() {
                column::pooled(op, taps.under(at / channels, at % channels).map(|e| column(first, e)), to);
            }
            out
        }
        Program::Move(map) => {
            let mut out = vec![0.0; map.len() * BLOCK];
            for (to, from) in out.chunks_exact_mut(BLOCK).zip(map) {
                if let Some((which, e)) = *from {
                    to.copy_from_slice(column(x[which as usize], e as usize));
                }
            }
            out
        }
        Program::Plain => {
            let second = x.get(1).copied().unwrap_or(first);
            let mut out = vec![0.0; first.len()];
            for (e, to) in out.chunks_exact_mut(BLOCK).enumerate() {
                column::elementwise(op, e, column(first, e), column(second, e), to);
            }
            out
        }
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
    for ((to, from), &format) in out.chunks_exact_mut(BLOCK).zip(x.chunks_exact(BLOCK)).zip(&q.formats) {
        column::quantize(q, format, from, to);
    }
    out
}
