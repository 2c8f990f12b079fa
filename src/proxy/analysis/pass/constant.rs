//! Elements that can only have one value (0 bits, an all-zero weight column, a Relu that never
//! opens) move into the biases of their consumers: `b[j] += W[i][j]·c`, then row `i` is zero.

use crate::quant::interval::Span;
use crate::quant::model::enclosed_bits;
use crate::quant::rounding::shl;
use crate::quant::{FixedDense, FixedTensor};

/// A float32 holds this many significant bits.
const FLOAT_BITS: u32 = 24;

/// The layer with the constant elements of what it reads folded into it; `None` where there are
/// none. A layer whose bias would no longer be a float32 keeps its non-zero constants.
pub fn folded(dense: &FixedDense, x: &[Span]) -> Option<FixedDense> {
    let x = rows(dense, x);
    if x.iter().flatten().all(Option::is_none) {
        return None;
    }
    let mut dense = dense.clone();
    clear(&mut dense, &x, Span::is_zero);
    if let Some(bias) = folded_bias(&dense, &x) {
        dense.bias = bias;
        clear(&mut dense, &x, Span::is_constant);
    }
    Some(dense)
}

/// What each weight row reads, `[row][group of outputs]`: with a window everything the row meets at
/// any position, padding included. `None` where that is not a single constant.
fn rows(dense: &FixedDense, x: &[Span]) -> Vec<Vec<Option<Span>>> {
    let constant = |s: &Span| s.is_constant().then_some(*s);
    let Some(w) = &dense.window else { return x.iter().map(|s| vec![constant(s)]).collect() };
    let per_group = w.group_channels();
    let mut rows = Vec::with_capacity(w.patch());
    for tap in 0..w.taps() {
        let pixels: Vec<Option<usize>> = (0..w.positions()).map(|p| w.pixel(p, tap)).collect();
        for c in 0..per_group {
            rows.push(
                (0..w.groups)
                    .map(|group| {
                        let at = |pixel: &Option<usize>| pixel.map_or(Span::ZERO, |p| x[p * w.input[2] + group * per_group + c]);
                        let first = constant(&pixels.first().map(at)?)?;
                        pixels.iter().all(|p| at(p) == first).then_some(first)
                    })
                    .collect(),
            );
        }
    }
    rows
}

fn clear(dense: &mut FixedDense, x: &[Vec<Option<Span>>], which: impl Fn(&Span) -> bool) {
    for (row, spans) in dense.weight.ints.chunks_mut(dense.outputs.max(1)).zip(x) {
        let share = (row.len() / spans.len().max(1)).max(1);
        for (weights, s) in row.chunks_mut(share).zip(spans) {
            if s.as_ref().is_some_and(&which) {
                weights.fill(0);
            }
        }
    }
}

fn folded_bias(dense: &FixedDense, x: &[Vec<Option<Span>>]) -> Option<FixedTensor> {
    let mut sums: Vec<Span> = (0..dense.outputs).map(|j| Span::constant(&dense.bias, j)).collect();
    for (row, spans) in dense.weight.ints.chunks(dense.outputs.max(1)).zip(x) {
        let share = (row.len() / spans.len().max(1)).max(1);
        for ((weights, sums), s) in row.chunks(share).zip(sums.chunks_mut(share)).zip(spans) {
            if let Some(s) = s {
                for (sum, &w) in sums.iter_mut().zip(weights) {
                    *sum = sum.plus(s.times(w, dense.weight.frac)?)?;
                }
            }
        }
    }
    let frac = sums.iter().filter(|s| !s.is_zero()).map(|s| s.frac).max().unwrap_or(0);
    let ints = sums
        .iter()
        .map(|s| if s.is_zero() { Some(0) } else { i64::try_from(shl(s.lo, frac - s.frac)?).ok() })
        .collect::<Option<Vec<i64>>>()?;
    // the half LSB of the quantizer after may need one bit more
    ints.iter().all(|&v| enclosed_bits(v) < FLOAT_BITS).then_some(FixedTensor { ints, frac })
}
