//! The small changes that polishing tries.

use crate::quant::exact::variants::state::{Change, Parameter};
use crate::quant::hardware;
use crate::quant::kif::exp2i;
use crate::quant::model::{enclosed_bits, fractional_bits};
use crate::train::pareto::Count;

/// A change with what it costs in the unit of the budget (negative: saves).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Move {
    pub change: Change,
    pub size: f64,
}

/// What a weight costs: `unit` for each of its bits or digits.
#[derive(Clone, Copy)]
pub struct Price {
    pub unit: f64,
    pub count: Count,
}

impl Price {
    /// Of a weight: enclosed bits (docs/hgq-spec.md#a2-2) for EBOPs, digits for LUTs.
    fn of(self, w: f64) -> f64 {
        if w == 0.0 {
            return 0.0;
        }
        let odd = (w * exp2i(fractional_bits(w))) as i64;
        self.unit
            * match self.count {
                Count::Ebops => f64::from(enclosed_bits(odd)),
                Count::Luts => hardware::digits(odd) as f64,
            }
    }
}

/// Changes of a weight `w`, entry `at.1` of node `at.0`: without it, its lowest set bit off or
/// carried on, twice and half of it; and, where `finer`, a bit more on either side. None finer than
/// `2^-max_f`.
pub fn weight(price: Price, at: (usize, usize), w: f64, max_f: i32, finer: bool) -> Vec<Move> {
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
    let now = price.of(w);
    let (node, what) = (at.0, Parameter::Weight(at.1));
    values
        .into_iter()
        .filter(|&v| v != w && (v == 0.0 || fractional_bits(v) <= max_f))
        .map(|value| Move { change: Change { node, what, value }, size: price.of(value) - now })
        .collect()
}

/// Values for a weight of 0: `magnitude` of either sign.
pub fn empty(price: Price, at: (usize, usize), magnitude: Option<f64>, max_f: i32) -> Vec<Move> {
    let values = magnitude.into_iter().filter(|&v| fractional_bits(v) <= max_f).flat_map(|v| [v, -v]);
    let (node, what) = (at.0, Parameter::Weight(at.1));
    values.map(|value| Move { change: Change { node, what, value }, size: price.of(value) }).collect()
}

/// Changes of a bias on the grid `2^-f`; its bits are free in HGQ v1's count, and hardly cost LUTs.
pub fn bias(node: usize, at: usize, b: f64, f: i32) -> Vec<Move> {
    let step = exp2i(-f);
    [-4.0, -1.0, 1.0, 4.0]
        .into_iter()
        .map(|n| Move { change: Change { node, what: Parameter::Bias(at), value: b + n * step }, size: 0.0 })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_of_a_weight_and_their_costs() {
        let ebops = |unit| Price { unit, count: Count::Ebops };
        // 0.75 = 0.11b: two bits
        let found = |price, w, max_f, finer| -> Vec<(f64, f64)> {
            weight(price, (0, 0), w, max_f, finer).iter().map(|m| (m.change.value, m.size)).collect()
        };
        assert_eq!(found(ebops(3.0), 0.75, 23, false), [(0.0, -6.0), (0.375, 0.0), (0.5, -3.0), (1.0, -3.0), (1.5, 0.0)]);
        assert_eq!(found(ebops(2.0), -1.0, 1, true), [(-2.0, 0.0), (-1.5, 2.0), (-0.5, 0.0), (0.0, -2.0)]);
        let coarse: Vec<f64> = found(ebops(3.0), 0.75, 2, false).iter().map(|m| m.0).collect();
        assert_eq!(coarse, [0.0, 0.5, 1.0, 1.5]);
        assert!(weight(ebops(1.0), (0, 0), 0.0, 23, true).is_empty());
        // 0.4375 = 0.0111b is three bits and the two digits of 1/2 − 1/16
        let luts = Price { unit: 2.0, count: Count::Luts };
        let digits: Vec<f64> = found(luts, 0.4375, 23, false).iter().map(|m| m.1).collect();
        assert_eq!(digits, [-4.0, 0.0, 0.0, -2.0, 0.0]);
        let new = empty(luts, (0, 0), Some(0.5), 3);
        assert_eq!(new.iter().map(|m| (m.change.value, m.size)).collect::<Vec<_>>(), [(0.5, 2.0), (-0.5, 2.0)]);
    }
}
