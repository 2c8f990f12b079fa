//! HGQ2's quantizers in place of v1's on a built model (docs/hgq-spec.md#b1): weights and biases
//! that clip at trainable integer bits.
//!
//! Every trained layer starts with the values and the grid it has; its integer bits are the fewest
//! that hold them. What is frozen or annotated and not trained stays as it is. Activations are
//! `kif` (docs/hgq-spec.md#b1-4), saturating or tracked.

use crate::quant::kif::rhe;
use crate::quant::model::{BiasBits, Model, QDense, QOp, Quantizer, Range, round_half_up};
use crate::quant::saturating::integer_bits;
use crate::quant::{Groups, Rounding, SaturatingDense, bias};

/// Which of HGQ2's quantizers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hgq2 {
    /// Train `b` and `i` of weights and biases instead of `f` and `i`.
    pub kbi: bool,
    /// SAT_SYM for weights and biases instead of SAT.
    pub symmetric: bool,
    /// Hidden activations and inputs follow the data (WRAP, docs/hgq-spec.md#b1-2) instead of
    /// saturating.
    pub tracked: bool,
}

/// Finest grid of a constant (docs/hgq-spec.md#a1-1; #b1: the same bound holds while training `f`).
const MAX_F: f32 = 23.0;
/// The same where `b` and `i` are trained: `b ≤ 24`, `i ≥ −23`.
const MAX_F_KBI: f32 = 47.0;
/// Integer bits above the largest bias of a layer: biases move freely at first, and no multiplier
/// is as wide as they are.
const BIAS_HEADROOM: i32 = 1;

/// Replaces the quantizers of all layers and activations that are trained.
pub(super) fn replace(model: &mut Model, how: Hgq2) {
    for n in 0..model.nodes.len() {
        let mut op = None;
        if let QOp::Dense(d) = &model.nodes[n].op {
            let grid = match &d.bias_bits {
                BiasBits::Own(f) => Some(f.clone()),
                // without a quantizer after, the checks before training name the layer
                BiasBits::Activation => bias::quantizer(model, n).map(|q| bias::grid(q, d.outputs)),
            };
            op = grid.filter(|_| d.trainable).map(|grid| QOp::SaturatingDense(Box::new(saturating(d, &grid, how))));
        } else if let QOp::Quantizer(q) = &model.nodes[n].op
            && let Range::Saturating { i, .. } = &q.range
            && (q.trainable && !q.annotated && how.tracked)
        {
            op = Some(QOp::Quantizer(Quantizer { range: Range::Tracked { i: i.clone() }, ..q.clone() }));
        }
        if let Some(op) = op {
            model.nodes[n].op = op;
        }
    }
}

fn saturating(d: &QDense, bias_f: &[i32], how: Hgq2) -> SaturatingDense {
    let groups = d.weight_groups.clone();
    let mut i: Vec<i32> = d.weight_f.iter().map(|&f| one_bit(rhe(f))).collect();
    for (e, &w) in d.weight.iter().enumerate() {
        let g = groups.of(e);
        i[g] = i[g].max(needed(f64::from(w), rhe(d.weight_f[g]), how.symmetric));
    }
    let weight = constant(groups, &d.weight_f, &i, how);
    let f: Vec<f32> = bias_f.iter().map(|&f| f as f32).collect();
    let largest = d.bias.iter().zip(bias_f).map(|(&b, &f)| needed(f64::from(b), f, how.symmetric)).max().unwrap_or(0);
    let i: Vec<i32> = bias_f.iter().map(|&f| one_bit(f).max(largest.saturating_add(BIAS_HEADROOM))).collect();
    let bias = constant(Groups::elementwise(d.outputs), &f, &i, how);
    let layer = QDense { weight_f: Vec::new(), bias_bits: BiasBits::Own(Vec::new()), declared: None, ..d.clone() };
    SaturatingDense { layer, weight, bias }
}

/// Integer bits of a width of one bit on the grid `2^-f`: below, a constant could not leave 0.
fn one_bit(f: i32) -> i32 {
    1 - f
}

/// The fewest integer bits that hold `v`, rounded to the grid `2^-f`.
fn needed(v: f64, f: i32, symmetric: bool) -> i32 {
    let q = round_half_up(v, f);
    if q == 0.0 || !q.is_finite() {
        return i32::MIN;
    }
    integer_bits(q, f, symmetric)
}

fn constant(groups: Groups, f: &[f32], i: &[i32], how: Hgq2) -> Quantizer {
    let keep_negative = vec![true; groups.count()];
    let symmetric = how.symmetric;
    let (first, max_f) = if how.kbi {
        // both rounded: a sum of halves would round elsewhere
        (f.iter().zip(i).map(|(&f, &i)| (rhe(f) + i) as f32).collect(), MAX_F_KBI)
    } else {
        (f.to_vec(), MAX_F)
    };
    let i = i.iter().map(|&i| i as f32).collect();
    let range = if how.kbi {
        Range::SaturatingKbi { keep_negative, i, symmetric }
    } else {
        Range::Saturating { keep_negative, i, symmetric }
    };
    Quantizer { groups, f: first, range, rounding: Rounding::HalfUp, max_f, trainable: true, annotated: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::Kif;

    #[test]
    fn the_start_holds_every_value_and_no_more() {
        let d = QDense {
            inputs: 2,
            outputs: 2,
            weight: vec![0.49, -0.5, 0.0, 1.3],
            weight_groups: Groups::elementwise(4),
            weight_f: vec![4.2, 4.0, 4.0, 2.0],
            bias: vec![0.3, 0.0],
            bias_bits: BiasBits::Own(vec![3, 3]),
            window: None,
            ebops_scale: 1.0,
            declared: None,
            trainable: true,
        };
        for kbi in [false, true] {
            let start = |symmetric| saturating(&d, &[3, 3], Hgq2 { kbi, symmetric, tracked: false });
            let formats = |s: &SaturatingDense| s.weight.trained_formats();
            // 0.49 rounds to 0.5, which needs i = 0; −0.5 needs it under SAT_SYM only; 1.3 rounds
            // to 1.25
            let k = |i, f| Kif::new(true, i, f);
            assert_eq!(formats(&start(true)), [k(0, 4), k(0, 4), k(-3, 4), k(1, 2)]);
            assert_eq!(formats(&start(false)), [k(0, 4), k(-1, 4), k(-3, 4), k(1, 2)]);
            let s = start(false);
            let q: Vec<f64> = d.weight.iter().zip(formats(&s)).map(|(&w, k)| s.weight.quantize(f64::from(w), k)).collect();
            assert_eq!(q, [0.5, -0.5, 0.0, 1.25]);
            assert_eq!(s.bias.trained_formats(), [k(0, 3), k(0, 3)]);
        }
    }
}
