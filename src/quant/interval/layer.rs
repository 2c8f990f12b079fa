//! Bounds of products: dense layers and convolutions, scales, averages, and the product of two tensors.

use super::Bounds;
use crate::quant::model::{AveragePool, FixedDense, FixedTensor};
use crate::quant::taps::Taps;

/// Output grid of a layer: finest product or bias, each weight on its own grid.
fn dense_frac(b: &Bounds, d: &FixedDense, taps: &Taps) -> i32 {
    let outputs = d.outputs.max(1);
    let groups = d.window.as_ref().map_or(1, |w| w.groups.max(1));
    let share = (outputs / groups).max(1);
    // the finest grid that a row meets anywhere, the same for all outputs of a group
    let met = |k: usize, group: usize| {
        let read = (0..taps.positions).filter_map(|p| taps.element(p, k, group * share));
        read.filter(|&e| b.lo[e] != 0 || b.hi[e] != 0).map(|e| b.frac[e]).max()
    };
    let met: Vec<Option<i32>> = (0..d.inputs * groups).map(|n| met(n / groups, n % groups)).collect();
    let finest = |(at, &w): (usize, &i64)| {
        let (k, o) = (at / outputs, at % outputs);
        let own = d.weight.frac - w.trailing_zeros() as i32;
        met[k * groups + (o / share).min(groups - 1)].map(|f| f + own)
    };
    let products = d.weight.ints.iter().enumerate().filter(|(_, w)| **w != 0).filter_map(finest);
    let biases = d.bias.ints.iter().filter(|v| **v != 0).map(|v| d.bias.frac - v.trailing_zeros() as i32);
    products.chain(biases).max().unwrap_or(0)
}

/// `v·2^by`; what is shifted out is 0.
fn moved(v: i128, by: i32) -> i128 {
    if by < 0 { v >> (-by).min(127) } else { v << by.min(63) }
}

pub(super) fn dense(b: &Bounds, d: &FixedDense) -> Bounds {
    let taps = Taps::new(d.inputs, d.outputs, d.window.as_ref());
    let frac = dense_frac(b, d, &taps);
    let bias: Vec<i128> = d.bias.ints.iter().map(|&v| moved(v.into(), frac - d.bias.frac)).collect();
    let mut out = Bounds::with_capacity(taps.positions * d.outputs);
    for p in 0..taps.positions {
        let (mut lo, mut hi) = (bias.clone(), bias.clone());
        for k in 0..d.inputs {
            for o in 0..d.outputs {
                let w = d.weight.ints[k * d.outputs + o];
                let Some(e) = taps.element(p, k, o).filter(|&e| w != 0 && (b.lo[e] != 0 || b.hi[e] != 0)) else { continue };
                let w = moved(w.into(), frac - d.weight.frac - b.frac[e]);
                let (x, y) = (w.saturating_mul(b.lo[e]), w.saturating_mul(b.hi[e]));
                lo[o] = lo[o].saturating_add(x.min(y));
                hi[o] = hi[o].saturating_add(x.max(y));
            }
        }
        lo.into_iter().zip(hi).for_each(|(lo, hi)| out.push(frac, lo, hi));
    }
    out
}

pub(super) fn average(b: &Bounds, a: &AveragePool) -> Bounds {
    let channels = a.window.input[2];
    let taps = Taps::pooling(&a.window);
    let (reciprocal, finest) = (a.reciprocal.ints[0] as i128, b.max_frac());
    let mut out = Bounds::with_capacity(taps.positions * channels);
    for p in 0..taps.positions {
        for c in 0..channels {
            let (mut lo, mut hi) = (0i128, 0i128);
            for e in taps.under(p, c).filter(|&e| b.lo[e] != 0 || b.hi[e] != 0) {
                let up = (finest - b.frac[e]).clamp(0, 63);
                lo = lo.saturating_add(b.lo[e] << up);
                hi = hi.saturating_add(b.hi[e] << up);
            }
            out.push(finest + a.reciprocal.frac, lo.saturating_mul(reciprocal), hi.saturating_mul(reciprocal));
        }
    }
    out
}

pub(super) fn affine(b: &Bounds, scale: &FixedTensor, shift: &FixedTensor) -> Bounds {
    let mut out = Bounds::with_capacity(b.lo.len());
    for e in 0..b.lo.len() {
        let frac = (b.frac[e] + scale.frac).max(shift.frac);
        let up = (frac - scale.frac - b.frac[e]).clamp(0, 63);
        let s = (scale.ints[e] as i128) << up;
        let t = (shift.ints[e] as i128) << (frac - shift.frac).clamp(0, 63);
        let (p, q) = (s.saturating_mul(b.lo[e]), s.saturating_mul(b.hi[e]));
        out.push(frac, p.min(q).saturating_add(t), p.max(q).saturating_add(t));
    }
    out
}
