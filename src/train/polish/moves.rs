//! The small changes that polishing tries.

use crate::quant::exact::variants::state::{Change, Parameter};
use crate::quant::kif::exp2i;
use crate::quant::model::{enclosed_bits, fractional_bits};

/// A change with what it costs in EBOPs (negative: saves).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Move {
    pub change: Change,
    pub ebops: f64,
}

/// Changes of a weight `w` of `node` under which inputs of `bits` bits lie, summed over the
/// positions: without it, its lowest set bit off or carried on, twice and half of it; and, where
/// `finer`, a bit more on either side. None finer than `2^-max_f`.
pub fn weight(node: usize, at: usize, w: f64, bits: f64, max_f: i32, finer: bool) -> Vec<Move> {
    if w == 0.0 {
        return Vec::new();
    }
    let lowest = exp2i(-fractional_bits(w)) * w.signum();
    let mut values = vec![0.0, w - lowest, w + lowest, 2.0 * w, 0.5 * w];
    if finer {
        values.extend([w - 0.5 * lowest, w + 0.5 * lowest]);
    }
    // a power of two has several ways to the same value
    values.sort_by(f64::total_cmp);
    values.dedup();
    let now = width(w);
    values
        .into_iter()
        .filter(|&v| v != w && (v == 0.0 || fractional_bits(v) <= max_f))
        .map(|value| Move { change: Change { node, what: Parameter::Weight(at), value }, ebops: bits * (width(value) - now) })
        .collect()
}

/// Values for a weight of 0: `magnitude` of either sign.
pub fn empty(node: usize, at: usize, bits: f64, magnitude: Option<f64>, max_f: i32) -> Vec<Move> {
    let values = magnitude.into_iter().filter(|&v| fractional_bits(v) <= max_f).flat_map(|v| [v, -v]);
    values.map(|value| Move { change: Change { node, what: Parameter::Weight(at), value }, ebops: bits * width(value) }).collect()
}

/// Changes of a bias on the grid `2^-f`; its bits are free in HGQ v1's count.
pub fn bias(node: usize, at: usize, b: f64, f: i32) -> Vec<Move> {
    let step = exp2i(-f);
    [-4.0, -1.0, 1.0, 4.0]
        .into_iter()
        .map(|n| Move { change: Change { node, what: Parameter::Bias(at), value: b + n * step }, ebops: 0.0 })
        .collect()
}

/// Enclosed bits (docs/hgq-spec.md#a2-2).
fn width(w: f64) -> f64 {
    if w == 0.0 { 0.0 } else { f64::from(enclosed_bits((w * exp2i(fractional_bits(w))) as i64)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_of_a_weight_and_their_costs() {
        // 0.75 = 0.11b: two bits
        let found: Vec<(f64, f64)> = weight(0, 0, 0.75, 3.0, 23, false).iter().map(|m| (m.change.value, m.ebops)).collect();
        assert_eq!(found, [(0.0, -6.0), (0.375, 0.0), (0.5, -3.0), (1.0, -3.0), (1.5, 0.0)]);
        let finer: Vec<(f64, f64)> = weight(0, 0, -1.0, 2.0, 1, true).iter().map(|m| (m.change.value, m.ebops)).collect();
        assert_eq!(finer, [(-2.0, 0.0), (-1.5, 2.0), (-0.5, 0.0), (0.0, -2.0)]);
        let coarse: Vec<f64> = weight(0, 0, 0.75, 3.0, 2, false).iter().map(|m| m.change.value).collect();
        assert_eq!(coarse, [0.0, 0.5, 1.0, 1.5]);
        assert!(weight(0, 0, 0.0, 1.0, 23, true).is_empty());
    }
}
