//! Constants that are subtracted from inputs in front of their quantizers, where the data are far
//! from 0: 1013 ± 5 needs bits for 5. In the proxy they are part of a bias that is there anyway;
//! the layers after take them up.

use super::{MinMax, Spread};
use crate::graph::{Graph, Op, ValueId};
use crate::ops::Move;
use crate::quant::kif::floor_log2;

/// Offsets are multiples of this: fewer bits in the constant, and a quarter of the spread makes no
/// difference.
const STEP: f64 = 0.5;
/// Values that are farther from the offset than this many spreads get none: on the grid of [`GRID`]
/// they would not fit an f32.
const FARTHEST: f64 = 100.0;
/// Fractional bits that inputs with an offset keep in training: one more than half up needs of the
/// finest quantizer of an input.
pub(super) const GRID: i32 = 17;

/// The offset of each element of graph input `input`, in the domain; `None` where none saves a bit,
/// or something but layers reads it.
pub(super) fn find(graph: &Graph, input: ValueId, spread: &Spread, exponents: &[i32], range: &MinMax) -> Option<Vec<f64>> {
    if spread.is_empty() || !only_layers_read(graph, input) {
        return None;
    }
    let shape = &graph.values[input].shape;
    let channels = if shape.len() > 1 && read_by_window(graph, input) { shape.last().copied()? } else { spread.len() };
    let mut offsets = vec![0.0; spread.len()];
    for c in 0..channels.max(1) {
        let at = || (c..spread.len()).step_by(channels.max(1));
        let low = at().map(|e| range.min[e]).fold(f64::INFINITY, f64::min);
        let high = at().map(|e| range.max[e]).fold(f64::NEG_INFINITY, f64::max);
        let mean =
            at().map(|e| spread.mean(e) * crate::quant::kif::exp2i(-exponents[e])).sum::<f64>() / at().count().max(1) as f64;
        let best = best_of(low, high, mean);
        at().for_each(|e| offsets[e] = best);
    }
    offsets.iter().any(|&c| c != 0.0).then_some(offsets)
}

/// Of 0, the mean and the middle the one with the fewest bits, in this order where they are equal.
fn best_of(low: f64, high: f64, mean: f64) -> f64 {
    if !(low.is_finite() && high.is_finite()) || low > high {
        return 0.0;
    }
    let on_grid = |v: f64| (v / STEP).round() * STEP;
    let candidates = [mean, (low + high) / 2.0].map(on_grid);
    let near = |c: f64| (low - c).abs().max((high - c).abs()) < FARTHEST;
    let mut best = (bits(low, high), 0.0);
    for c in candidates.into_iter().filter(|&c| near(c)) {
        let bits = bits(low - c, high - c);
        if bits < best.0 {
            best = (bits, c);
        }
    }
    best.1
}

/// Sign and integer bits of a range, against those of other ranges on the same grid.
fn bits(low: f64, high: f64) -> i32 {
    let top = low.abs().max(high.abs());
    i32::from(low < 0.0) + if top >= STEP { floor_log2(top) + 1 } else { 0 }
}

/// Nothing but layers without annotations and padding, through shapes, reads `value`.
fn only_layers_read(graph: &Graph, value: ValueId) -> bool {
    let readers = graph.consumers(value);
    !readers.is_empty()
        && !graph.outputs.contains(&value)
        && readers.iter().all(|&n| {
            if let Op::Dense(d) = &graph.nodes[n].op {
                let plain = d.weight_quant.is_none() && d.bias_quant.is_none();
                return plain && d.window.as_ref().is_none_or(|w| !w.is_padded());
            }
            matches!(graph.nodes[n].op, Op::Move(Move::Reshape)) && only_layers_read(graph, graph.nodes[n].output)
        })
}

fn read_by_window(graph: &Graph, value: ValueId) -> bool {
    graph.consumers(value).iter().any(|&n| {
        if let Op::Dense(d) = &graph.nodes[n].op { d.window.is_some() } else { read_by_window(graph, graph.nodes[n].output) }
    })
}

/// Ranges of the input and of its other shapes, with the offsets subtracted.
pub(super) fn shift_ranges(graph: &Graph, value: ValueId, offsets: &[f64], ranges: &mut [MinMax]) {
    let range = &mut ranges[value];
    range.min.iter_mut().zip(offsets).for_each(|(v, c)| *v -= c);
    range.max.iter_mut().zip(offsets).for_each(|(v, c)| *v -= c);
    for n in graph.consumers(value) {
        if matches!(graph.nodes[n].op, Op::Move(Move::Reshape)) {
            shift_ranges(graph, graph.nodes[n].output, offsets, ranges);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_must_save_bits() {
        // 1013 ± 5 at a spread of 4: 253.25 ± 1.25
        assert_eq!(best_of(252.0, 254.5, 253.25), 253.5);
        // about 0, and counts from 0 on
        assert_eq!((best_of(-3.0, 3.0, 0.1), best_of(0.0, 6.0, 1.0), best_of(0.0, 1.9, 0.5)), (0.0, 0.0, 0.0));
        // a sign and one bit less
        assert_eq!(best_of(5.0, 9.0, 7.0), 7.0);
        // an outlier beyond what training could keep
        assert_eq!(best_of(900.0, 1200.0, 901.0), 0.0);
        assert_eq!(best_of(f64::INFINITY, f64::NEG_INFINITY, 0.0), 0.0);
    }
}
