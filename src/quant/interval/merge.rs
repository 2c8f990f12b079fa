//! Bounds of what combines or moves elements: merges, pooling, concatenation, padding.

use super::Bounds;
use crate::graph::{Merge, Window, moves};
use crate::quant::taps::Taps;

pub(super) fn merge(op: Merge, a: &Bounds, b: &Bounds) -> Bounds {
    let mut out = Bounds::with_capacity(a.lo.len());
    for e in 0..a.lo.len() {
        if op == Merge::Mul {
            let corners = [(a.lo[e], b.lo[e]), (a.lo[e], b.hi[e]), (a.hi[e], b.lo[e]), (a.hi[e], b.hi[e])];
            let products = corners.map(|(x, y)| x.saturating_mul(y));
            let (lo, hi) = products.iter().fold((i128::MAX, i128::MIN), |(lo, hi), &p| (lo.min(p), hi.max(p)));
            out.push(a.frac[e] + b.frac[e], lo, hi);
            continue;
        }
        let frac = a.frac[e].max(b.frac[e]);
        let (up_a, up_b) = ((frac - a.frac[e]).clamp(0, 63), (frac - b.frac[e]).clamp(0, 63));
        let ((alo, ahi), (blo, bhi)) = ((a.lo[e] << up_a, a.hi[e] << up_a), (b.lo[e] << up_b, b.hi[e] << up_b));
        let (lo, hi) = match op {
            Merge::Add => (alo.saturating_add(blo), ahi.saturating_add(bhi)),
            Merge::Sub => (alo.saturating_sub(bhi), ahi.saturating_sub(blo)),
            Merge::Max => (alo.max(blo), ahi.max(bhi)),
            Merge::Min | Merge::Mul => (alo.min(blo), ahi.min(bhi)),
        };
        out.push(frac, lo, hi);
    }
    out
}

pub(super) fn max_pool(b: &Bounds, window: &Window) -> Bounds {
    let (channels, taps) = (window.input[2], Taps::pooling(window));
    let mut out = Bounds::with_capacity(taps.positions * channels);
    for p in 0..taps.positions {
        for c in 0..channels {
            let under: Vec<usize> = taps.under(p, c).collect();
            let frac = under.iter().map(|&e| b.frac[e]).max().unwrap_or(0);
            let at = |v: &[i128], e: usize| v[e] << (frac - b.frac[e]).clamp(0, 63);
            let lo = under.iter().map(|&e| at(&b.lo, e)).max().unwrap_or(0);
            let hi = under.iter().map(|&e| at(&b.hi, e)).max().unwrap_or(0);
            out.push(frac, lo, hi);
        }
    }
    out
}

pub(super) fn concat(inputs: &[&Bounds], shapes: &[&[usize]], axis: usize) -> Bounds {
    let map = moves::concat(shapes, axis);
    let mut out = Bounds::with_capacity(map.len());
    for (which, e) in map {
        let b = inputs[which];
        out.push(b.frac[e], b.lo[e], b.hi[e]);
    }
    out
}

pub(super) fn pad(b: &Bounds, shape: &[usize], before: &[usize], after: &[usize]) -> Bounds {
    let map = moves::pad(shape, before, after);
    let mut out = Bounds::with_capacity(map.len());
    for from in map {
        match from {
            Some(e) => out.push(b.frac[e], b.lo[e], b.hi[e]),
            None => out.push(0, 0, 0),
        }
    }
    out
}
