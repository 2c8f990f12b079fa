//! HGQ2's fixed-point quantizers (docs/hgq-spec.md#b1): latent widths in either parametrisation,
//! their rounded formats, and the layers whose weights and biases carry them.
//!
//! `kif` trains `f` and `i`; `kbi` trains `b` and `i`, and `f = b − i`. Widths round half to even
//! before they are used.

use super::kif::{Kif, ceil_log2, exp2i, rhe};
use super::model::{QDense, QOp, Quantizer, Range, fractional_bits};
use super::rounding::Overflow;
use crate::ops::Move;

/// The trainable bounds of a quantizer that clips.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Saturation<'a> {
    /// One per group, as `i`.
    pub keep_negative: &'a [bool],
    /// Latent.
    pub i: &'a [f32],
    /// SAT_SYM: the range is `±(2^i − 2^-f)`.
    pub symmetric: bool,
    /// The other latent width is `b`, not `f`.
    pub kbi: bool,
}

impl Quantizer {
    /// The bounds; `None` where the range follows the data.
    pub fn saturation(&self) -> Option<Saturation<'_>> {
        match &self.range {
            Range::Traced | Range::Tracked { .. } => None,
            Range::Declared { keep_negative, i } => Some(Saturation { keep_negative, i, symmetric: false, kbi: false }),
            Range::Saturating { keep_negative, i, symmetric } => {
                Some(Saturation { keep_negative, i, symmetric: *symmetric, kbi: false })
            }
            Range::SaturatingKbi { keep_negative, i, symmetric } => {
                Some(Saturation { keep_negative, i, symmetric: *symmetric, kbi: true })
            }
        }
    }

    /// Fractional bits per group as training uses them.
    pub fn rounded_f(&self) -> Vec<i32> {
        let kbi = self.saturation().filter(|s| s.kbi);
        let f = |(g, &width): (usize, &f32)| match kbi.and_then(|s| s.i.get(g)) {
            Some(&i) => (rhe(width) - rhe(i)).min(rhe(self.max_f)),
            None => rhe(width.min(self.max_f)),
        };
        self.f.iter().enumerate().map(f).collect()
    }

    /// Trained formats per group, `i_e = max(i, −f)` (docs/hgq-spec.md#b1-1); empty where the range
    /// follows the data.
    pub fn trained_formats(&self) -> Vec<Kif> {
        let Some(s) = self.saturation() else { return Vec::new() };
        let widths = self.rounded_f().into_iter().zip(s.keep_negative).zip(s.i);
        widths.map(|((f, &keep), &i)| Kif::new(keep, rhe(i).max(-f), f)).collect()
    }

    /// What happens outside the range in the exact model.
    pub fn overflow(&self) -> Overflow {
        if self.saturation().is_some_and(|s| s.symmetric) { Overflow::SatSym } else { Overflow::Sat }
    }

    /// The value of the grid of `format` that `v` becomes: clipped, then rounded.
    pub fn quantize(&self, v: f64, format: Kif) -> f64 {
        let (top, step) = (exp2i(format.integer), exp2i(-format.fractional));
        let most = top - step;
        let least = match (format.keep_negative, self.overflow()) {
            (false, _) => 0.0,
            (true, Overflow::SatSym) => -most,
            (true, _) => -top,
        };
        self.rounding.apply(v.clamp(least.min(most), most) / step) * step
    }

    /// The width that HGQ2 counts for a constant of `format`: the sign belongs to SAT, not to
    /// SAT_SYM (docs/hgq-spec.md#b2).
    pub fn counted_bits(&self, format: Kif) -> i32 {
        let sign = i32::from(format.keep_negative && self.overflow() != Overflow::SatSym);
        (format.integer + format.fractional).max(0) + sign
    }
}

impl Quantizer {
    /// Gives group `g` of a saturating quantizer the fewest bits that hold `value`; 0 needs none
    /// and changes nothing.
    pub fn hold(&mut self, g: usize, value: f64) {
        if value == 0.0 || !value.is_finite() {
            return;
        }
        let f = fractional_bits(value);
        let (first, integer) = match &mut self.range {
            Range::Traced | Range::Tracked { .. } | Range::Declared { .. } => return,
            Range::Saturating { keep_negative, i, symmetric } | Range::SaturatingKbi { keep_negative, i, symmetric } => {
                let integer = integer_bits(value, f, *symmetric);
                if let (Some(keep), Some(i)) = (keep_negative.get_mut(g), i.get_mut(g)) {
                    *keep |= value < 0.0;
                    *i = integer as f32;
                }
                (self.f.get_mut(g), integer)
            }
        };
        if let Some(first) = first {
            *first = if matches!(self.range, Range::SaturatingKbi { .. }) { (f + integer) as f32 } else { f as f32 };
        }
    }
}

/// The fewest integer bits that hold `v`, not 0, on the grid `2^-f`.
pub(super) fn integer_bits(v: f64, f: i32, symmetric: bool) -> i32 {
    ceil_log2(v.abs() + if v < 0.0 && !symmetric { 0.0 } else { exp2i(-f) })
}

impl QOp {
    /// Each element of the result, but for its rounding, is one of the same channel: widths are
    /// looked for through it.
    pub fn keeps_channels(&self) -> bool {
        match self {
            QOp::Elementwise(f) => f.keeps_widths(),
            QOp::MaxPool(_) | QOp::Move(Move::Reshape) => true,
            QOp::Quantizer(_)
            | QOp::Dense(_)
            | QOp::SaturatingDense(_)
            | QOp::Affine(_)
            | QOp::Sign
            | QOp::AveragePool(_)
            | QOp::Merge(_)
            | QOp::Move(Move::Concat { .. } | Move::Pad { .. } | Move::Permute { .. } | Move::Select { .. }) => false,
        }
    }

    /// The layer of an operation with weights, whatever quantizes them.
    pub fn layer(&self) -> Option<&QDense> {
        match self {
            QOp::Dense(d) => Some(d),
            QOp::SaturatingDense(s) => Some(&s.layer),
            QOp::Quantizer(_)
            | QOp::Affine(_)
            | QOp::Elementwise(_)
            | QOp::Sign
            | QOp::MaxPool(_)
            | QOp::AveragePool(_)
            | QOp::Merge(_)
            | QOp::Move(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::{Groups, Rounding};

    fn quantizer(width: f32, i: f32, symmetric: bool, kbi: bool) -> Quantizer {
        let (keep_negative, i) = (vec![true], vec![i]);
        let range = if kbi {
            Range::SaturatingKbi { keep_negative, i, symmetric }
        } else {
            Range::Saturating { keep_negative, i, symmetric }
        };
        let groups = Groups::elementwise(1);
        Quantizer { groups, f: vec![width], range, rounding: Rounding::HalfUp, max_f: 24.0, trainable: true, annotated: false }
    }

    #[test]
    fn both_parametrisations_round_each_width_first() {
        // 2.5 → 2 and −0.6 → −1: f = 2, or b − i = 3
        assert_eq!(quantizer(2.5, -0.6, true, false).trained_formats(), [Kif::new(true, -1, 2)]);
        assert_eq!(quantizer(2.5, -0.6, true, true).trained_formats(), [Kif::new(true, -1, 3)]);
        // no bits: the range is {−2^-f, 0}, without the negative end {0}
        assert_eq!(quantizer(1.0, -4.0, false, false).trained_formats(), [Kif::new(true, -1, 1)]);
    }

    #[test]
    fn values_clip_before_they_round() {
        let sat = quantizer(2.0, 0.0, false, false);
        let format = sat.trained_formats()[0];
        let of = |q: &Quantizer| [-3.0, -1.0, -0.9, 0.125, 0.74, 0.9].map(|v| q.quantize(v, format));
        assert_eq!(of(&sat), [-1.0, -1.0, -1.0, 0.25, 0.75, 0.75]);
        let symmetric = quantizer(2.0, 0.0, true, false);
        assert_eq!(of(&symmetric), [-0.75, -0.75, -0.75, 0.25, 0.75, 0.75]);
        assert_eq!((sat.counted_bits(format), symmetric.counted_bits(format)), (3, 2));
        for (kbi, symmetric, value) in [(true, true, -2.0), (true, false, -2.0), (false, true, 0.375), (false, false, -6.5)] {
            let mut q = quantizer(2.0, 0.0, symmetric, kbi);
            q.hold(0, value);
            let format = q.trained_formats()[0];
            assert_eq!(q.quantize(value, format), value);
            let fewer = Kif { integer: format.integer - 1, ..format };
            assert_ne!(q.quantize(value, fewer), value, "{format:?}");
        }
        let empty = quantizer(1.0, -1.0, true, false);
        assert_eq!(empty.quantize(-5.0, empty.trained_formats()[0]), 0.0);
    }
}
