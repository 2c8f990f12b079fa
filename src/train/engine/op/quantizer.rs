//! Activation quantizer. Forward and straight-through gradients for a traced range
//! (docs/hgq-spec.md#a1-2, #a1-3) and a saturating one (#b1-1); training-time bits (#a2-1).
//!
//! With `fr = rhe(f)`, `ie = max(rhe(i), −fr)`, `M = 2^ie − 2^-fr`, `m = −k·2^ie` (or `−k·M` when
//! symmetric): `y = r(clip(x, m, M)·2^fr)·2^-fr`; `∂x = [m ≤ x ≤ M]`; inside `∂f = ln2·(x − y)`;
//! above `∂i = ln2·2^ie`, `∂f = ln2·2^-fr`; below `∂i = −k·ln2·2^ie`, `∂f = −k·ln2·2^-fr` when
//! symmetric, else 0. In the `kbi` parametrisation `fr = rhe(b) − rhe(i)`, so that `∂b` is `∂f` and
//! `∂f` is taken from `∂i`. A traced or tracked range has no bounds.

use super::super::kernel::{
    Buffer, InputGrad, Isa, Quantize, QuantizeInto, QuantizerBackward, QuantizerForward, QuantizerSums, dispatch, pad,
};
use crate::quant::kif::{ceil_log2, exp2i, floor_log2};
use crate::quant::{Groups, Quantizer, Range, Rounding};
use std::f32::consts::LN_2;

/// What stays the same over training.
#[derive(Clone)]
pub struct QuantizerOp {
    groups: Groups,
    /// Group of each column of the rows it works on; [`NO_GROUP`] in the padding.
    columns: Vec<u32>,
    threshold: f32,
    even: bool,
    /// `(keep_negative per group, symmetric)` of a saturating quantizer.
    saturating: Option<(Vec<bool>, bool)>,
    /// The first latent width is `b`; then the largest `f`.
    kbi: Option<f32>,
    /// Integer bits follow the data (docs/hgq-spec.md#b1-2).
    tracked: bool,
}

/// What integer bits lose per step where the data need fewer (datalane, docs/hgq-spec.md#b1-4).
const DECAY: f32 = 0.01;

/// Marks a column without an element.
const NO_GROUP: u32 = u32::MAX;

/// Per-step constants, one per column.
#[derive(Clone)]
pub struct QuantizerState {
    pub scale: Buffer,
    pub inv: Buffer,
    pub lo: Buffer,
    pub hi: Buffer,
    /// `2^ie`
    pub top: Buffer,
}

/// What a pass over data collects, one per column.
#[derive(Clone)]
pub struct Sums {
    pub inside: Buffer,
    pub above: Buffer,
    pub below: Buffer,
    pub min: Buffer,
    pub max: Buffer,
}

/// The largest `|fr|` and `|ie|` for which `2^±fr` is an ordinary f32.
const MAX_EXPONENT: f32 = 120.0;

/// Whether `groups` are the same at every position of values with `channels`.
pub fn is_uniform(groups: &Groups, channels: usize) -> bool {
    (channels..groups.elements()).all(|e| groups.of(e) == groups.of(e % channels.max(1)))
}

/// `rhe(v)` of a width, `|v| < 2^22`: where a float's step is 1, the addition itself rounds half to
/// even. Without the library call that `round_ties_even` is on baseline x86-64; widths of HGQ2's
/// weights are rounded several times per weight and step.
#[inline(always)]
pub fn rounded(v: f32) -> f32 {
    const STEP_OF_ONE: f32 = 12_582_912.0; // 1.5·2^23
    (v + STEP_OF_ONE) - STEP_OF_ONE
}

/// `2^rhe(v)`.
pub fn exp2_rounded(v: f32) -> f32 {
    let e = rounded(v.clamp(-MAX_EXPONENT, MAX_EXPONENT)) as i32;
    f32::from_bits(((127 + e) as u32) << 23)
}

impl QuantizerOp {
    pub fn new(q: &Quantizer) -> QuantizerOp {
        let (threshold, even) = match q.rounding {
            Rounding::HalfUp => (0.5, false),
            Rounding::HalfDown => (0.5f32.next_up(), false),
            Rounding::Floor => (f32::INFINITY, false),
            Rounding::Ceil => (f32::from_bits(1), false),
            Rounding::HalfEven => (0.5, true),
        };
        let bounds = q.saturation();
        let mut op = QuantizerOp {
            groups: q.groups.clone(),
            columns: Vec::new(),
            threshold,
            even,
            saturating: bounds.map(|s| (s.keep_negative.to_vec(), s.symmetric)),
            kbi: bounds.filter(|s| s.kbi).map(|_| q.max_f),
            tracked: matches!(q.range, Range::Tracked { .. }),
        };
        op.lay_out(1, q.groups.elements());
        op
    }

    /// Chooses the rows for values of `positions` × `channels`: one position where the groups are
    /// the same at all of them, else a sample.
    pub fn lay_out(&mut self, positions: usize, channels: usize) {
        let narrow = is_uniform(&self.groups, channels);
        let mut columns = vec![NO_GROUP; if narrow { pad(channels) } else { positions * pad(channels) }];
        for e in 0..if narrow { channels } else { self.groups.elements() } {
            columns[e / channels.max(1) * pad(channels) + e % channels.max(1)] = self.groups.of(e) as u32;
        }
        self.columns = columns;
    }

    /// Padded row length.
    pub fn stride(&self) -> usize {
        self.columns.len()
    }

    /// Columns that hold elements, with their groups.
    pub fn columns(&self) -> impl Iterator<Item = (usize, usize)> {
        self.columns.iter().enumerate().filter(|(_, g)| **g != NO_GROUP).map(|(c, &g)| (c, g as usize))
    }

    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// Whether it clips.
    pub fn saturates(&self) -> bool {
        self.saturating.is_some()
    }

    /// Whether the first latent width is `b`.
    pub fn is_kbi(&self) -> bool {
        self.kbi.is_some()
    }

    /// Whether [`QuantizerOp::track`] has something to do.
    pub fn is_tracked(&self) -> bool {
        self.tracked
    }

    /// Whether the bits that are counted grow with `i`: they are `i + f` of trained widths.
    pub fn counts_i(&self) -> bool {
        self.saturates() && !self.is_kbi()
    }

    /// Fractional bits in use for the latent widths of group `g`.
    fn f(&self, g: usize, width: &[f32], i: Option<&[f32]>) -> f32 {
        match (self.kbi, i) {
            (Some(max_f), Some(i)) => (rounded(width[g]) - rounded(i[g])).min(rounded(max_f)),
            _ => width[g],
        }
    }

    /// Rows that `padded` floats are: of constants one, or as many as there are positions where all
    /// are alike.
    pub fn rows(&self, padded: usize) -> usize {
        padded / self.stride().max(1)
    }

    /// `i ← max(i − decay, ⌈log2(max|y| + 2^-f)⌉)` per group, from the values of one batch
    /// (docs/hgq-spec.md#b1-2).
    pub fn track(&self, f: &[f32], sums: &Sums, i: &mut [f32]) {
        let mut largest = vec![0f32; self.groups.count()];
        for (e, g) in self.columns() {
            // nothing seen: −∞, +∞
            let seen = if sums.min[e] <= sums.max[e] { sums.max[e].abs().max(sums.min[e].abs()) } else { 0.0 };
            largest[g] = largest[g].max(seen);
        }
        for ((i, &f), &y) in i.iter_mut().zip(f).zip(&largest) {
            let needed = f64::from(y) + exp2i(-(rounded(f) as i32));
            if needed.is_finite() {
                *i = (*i - DECAY).max(ceil_log2(needed) as f32);
            }
        }
    }

    pub fn new_state(&self) -> QuantizerState {
        let n = self.stride();
        let ones = || Buffer::filled(n, 1.0);
        let (lo, hi) = (Buffer::filled(n, f32::NEG_INFINITY), Buffer::filled(n, f32::INFINITY));
        QuantizerState { scale: ones(), inv: ones(), lo, hi, top: ones() }
    }

    pub fn new_sums(&self) -> Sums {
        let zero = || Buffer::new(self.stride());
        let mut sums = Sums { inside: zero(), above: zero(), below: zero(), min: zero(), max: zero() };
        sums.clear();
        sums
    }

    /// Constants for latent `f` (or `b`) and `i` (per group).
    pub fn prepare(&self, f: &[f32], i: Option<&[f32]>, state: &mut QuantizerState) {
        for (e, g) in self.columns() {
            let f = self.f(g, f, i);
            let (scale, inv) = (exp2_rounded(f), exp2_rounded(-f));
            state.scale[e] = scale;
            state.inv[e] = inv;
            if let (Some((keep, symmetric)), Some(i)) = (&self.saturating, i) {
                let top = exp2_rounded(i[g]).max(inv);
                let max = top - inv;
                state.top[e] = top;
                state.hi[e] = max;
                state.lo[e] = match (keep[g], symmetric) {
                    (false, _) => 0.0,
                    (true, true) => -max,
                    (true, false) => -top,
                };
            }
        }
    }

    /// The kernel arguments of this quantizer.
    pub fn quantize<'a>(&self, state: &'a QuantizerState, pre_relu: bool, post_relu: bool) -> Quantize<'a> {
        let QuantizerState { scale, inv, lo, hi, .. } = state;
        Quantize { scale, inv, lo, hi, threshold: self.threshold, even: self.even, pre_relu, post_relu }
    }

    /// `y = Q(x)` on `rows` padded rows; extends the ranges in `sums`.
    #[allow(clippy::too_many_arguments)] // the buffers of one kernel call
    pub fn forward(
        &self,
        isa: Isa,
        state: &QuantizerState,
        rows: usize,
        x: &[f32],
        y: &mut [f32],
        sums: &mut Sums,
        post_relu: bool,
    ) {
        let how = self.quantize(state, false, post_relu);
        let into = QuantizeInto { how, y, min: &mut sums.min, max: &mut sums.max };
        dispatch(isa, QuantizerForward { x, rows, stride: state.scale.len(), into });
    }

    /// The kernel arguments of the backward pass.
    #[allow(clippy::too_many_arguments)] // the flags of one kernel call, named at the call sites
    pub fn backward_args<'a>(
        &self,
        state: &'a QuantizerState,
        sums: &'a mut Sums,
        x: &'a [f32],
        y: &'a [f32],
        dx: Option<&'a mut [f32]>,
        add: bool,
        (pre_relu, post_relu): (bool, bool),
    ) -> QuantizerBackward<'a> {
        let sums = QuantizerSums { inside: &mut sums.inside, above: &mut sums.above, below: &mut sums.below };
        let (lo, hi, saturating) = (&state.lo[..], &state.hi[..], self.saturates());
        QuantizerBackward { x, y, lo, hi, saturating, pre_relu, post_relu, sums, dx, add }
    }

    /// `dx` from `dy` on `rows` padded rows, collecting the gradients to f and i in the sums of
    /// `args`.
    pub fn backward(isa: Isa, rows: usize, stride: usize, dy: &[f32], args: QuantizerBackward) {
        dispatch(isa, InputGrad { dy, rows, stride, quantizer: args });
    }

    /// Adds the gradients to f (or b) and i (per group) that follow from `sums`.
    pub fn gradients(&self, state: &QuantizerState, sums: &Sums, df: &mut [f32], mut di: Option<&mut [f32]>) {
        for (e, g) in self.columns() {
            let inside = LN_2 * sums.inside[e];
            df[g] += inside;
            if let Some((keep, symmetric)) = &self.saturating {
                let below = if keep[g] { sums.below[e] } else { 0.0 };
                let outside = LN_2 * state.inv[e] * (sums.above[e] - if *symmetric { below } else { 0.0 });
                df[g] += outside;
                if let Some(di) = &mut di {
                    di[g] += LN_2 * state.top[e] * (sums.above[e] - below);
                    if self.is_kbi() {
                        di[g] -= inside + outside;
                    }
                }
            }
        }
    }

    /// Training-time bits of group `g` (docs/hgq-spec.md#a2-1) with the running range `min`, `max`;
    /// `relu`: a Relu lies between the quantizer and the multiplication.
    ///
    /// HGQ2's tracked ranges count `i + f` without a sign (docs/hgq-spec.md#b2), its `kbi` counts
    /// `b`.
    pub fn bits(&self, g: usize, f: f32, i: Option<f32>, (min, max): (f32, f32), relu: bool) -> f32 {
        let f = rounded(f);
        let bits = match (&self.saturating, i) {
            (Some((keep, _)), Some(i)) => {
                let dead = max <= 0.0 && (relu || min >= 0.0);
                let sign = if keep[g] && !relu { 1.0 } else { 0.0 };
                let i = if self.is_kbi() { 0.0 } else { rounded(i) };
                if dead { 0.0 } else { i + f + sign }
            }
            (None, Some(i)) => rounded(i) + f,
            _ => {
                let magnitude = if relu { max.max(0.0) } else { min.abs().max(max.abs()) };
                let sign = if !relu && min < 0.0 { 1.0 } else { 0.0 };
                if magnitude > 0.0 { (floor_log2(f64::from(magnitude)) + 1) as f32 + f + sign } else { 0.0 }
            }
        };
        bits.max(0.0)
    }
}

impl Sums {
    /// Empties the sums and the ranges.
    pub fn clear(&mut self) {
        for sum in [&mut self.inside, &mut self.above, &mut self.below] {
            sum.fill(0.0);
        }
        self.min.fill(f32::INFINITY);
        self.max.fill(f32::NEG_INFINITY);
    }

    /// Adds another shard's sums and joins its ranges.
    pub fn merge(&mut self, other: &Sums) {
        for (to, from) in [(&mut self.inside, &other.inside), (&mut self.above, &other.above), (&mut self.below, &other.below)] {
            to.iter_mut().zip(from.iter()).for_each(|(a, b)| *a += b);
        }
        self.min.iter_mut().zip(other.min.iter()).for_each(|(a, b)| *a = a.min(*b));
        self.max.iter_mut().zip(other.max.iter()).for_each(|(a, b)| *a = a.max(*b));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_of_widths_is_half_to_even() {
        for n in -2000..2000 {
            let v = n as f32 / 16.0;
            assert_eq!(rounded(v), v.round_ties_even(), "{v}");
        }
        for v in [0.5f32.next_up(), 0.5f32.next_down(), -2.5, 22.499998, f32::MIN_POSITIVE, -0.0] {
            assert_eq!(rounded(v), v.round_ties_even(), "{v}");
        }
        assert_eq!((exp2_rounded(f32::MAX), exp2_rounded(f32::NEG_INFINITY)), (2f32.powi(120), 2f32.powi(-120)));
    }
}
