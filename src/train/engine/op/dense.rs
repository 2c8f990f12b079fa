//! Dense layer with quantized weights: `z = x·Q(W) + Q(b)`; weights round half up
//! (docs/hgq-spec.md#a1, #a2-1). A convolution is one whose inputs are the entries of its patch.
//!
//! Straight-through: `∂W` is the gradient of the quantized weight, `∂f = ln2·(w − wq)·∂W` summed
//! over the group. Surrogate bits: `relu(⌊log2|wq|⌋ + 1 + rhe(f))`, the exponent being the largest
//! of the group; 0 for a group of zeros.

use super::super::kernel::{Buffer, Isa, WeightRow, dispatch, pad};
use super::quantizer::exp2_rounded;
use crate::quant::Groups;
use std::f32::consts::LN_2;

/// What stays the same over training.
#[derive(Clone)]
pub struct DenseOp {
    pub inputs: usize,
    pub outputs: usize,
    pub groups: Groups,
    /// Equal shares of the outputs that read different inputs: the groups of a convolution.
    pub parts: usize,
}

/// Quantized weights of the current step.
#[derive(Clone)]
pub struct DenseState {
    /// inputs × padded outputs
    pub wq: Buffer,
    /// Transposed: outputs × padded inputs
    pub wqt: Buffer,
    /// Padded outputs.
    pub bias: Buffer,
    /// Surrogate bits, laid out as `wq`.
    pub bits: Buffer,
    /// `Σ bits` over the outputs of a part, per input and part.
    pub row_bits: Vec<f32>,
    /// The same for the enclosed bits (docs/hgq-spec.md#a2-2).
    pub row_enclosed: Vec<f32>,
}

/// Gradient sums of a pass over data.
#[derive(Clone)]
pub struct DenseSums {
    /// inputs × padded outputs
    pub dw: Buffer,
    /// Padded outputs.
    pub db: Buffer,
}

impl DenseOp {
    pub fn new_state(&self) -> DenseState {
        let n = self.inputs * pad(self.outputs);
        let rows = || vec![0.0; self.inputs * self.parts];
        DenseState {
            wq: Buffer::new(n),
            wqt: Buffer::new(self.outputs * pad(self.inputs)),
            bias: Buffer::new(pad(self.outputs)),
            bits: Buffer::new(n),
            row_bits: rows(),
            row_enclosed: rows(),
        }
    }

    pub fn new_sums(&self) -> DenseSums {
        DenseSums { dw: Buffer::new(self.inputs * pad(self.outputs)), db: Buffer::new(pad(self.outputs)) }
    }

    /// Quantizes the weights. `w`: inputs × padded outputs; `f`: the same when element-wise, else
    /// one per group.
    pub fn prepare(&self, isa: Isa, w: &[f32], f: &[f32], state: &mut DenseState) {
        let stride = pad(self.outputs);
        if !self.groups.is_elementwise() {
            self.prepare_groups(w, f, state);
        }
        for r in 0..self.inputs {
            let row = r * stride..(r + 1) * stride;
            if self.groups.is_elementwise() {
                let (wq, bits) = (&mut state.wq[row.clone()], &mut state.bits[row.clone()]);
                let sums = dispatch(isa, WeightRow { w: &w[row.clone()], f: &f[row.clone()], wq, bits });
                if self.parts == 1 {
                    (state.row_bits[r], state.row_enclosed[r]) = sums;
                }
            }
            self.turn(r, state);
        }
        if self.parts != 1 {
            self.sum_parts(state);
        }
    }

    /// Writes row `r` of the quantized weights into the transposed ones.
    pub(super) fn turn(&self, r: usize, state: &mut DenseState) {
        let (stride, turned) = (pad(self.outputs), pad(self.inputs));
        for (o, &q) in state.wq[r * stride..][..self.outputs].iter().enumerate() {
            state.wqt[o * turned + r] = q;
        }
    }

    /// [`DenseState::row_bits`] and [`DenseState::row_enclosed`] from the weights and their bits.
    pub(super) fn sum_parts(&self, state: &mut DenseState) {
        let (stride, share) = (pad(self.outputs), self.outputs / self.parts);
        for entry in 0..self.inputs * self.parts {
            let at = entry / self.parts * stride + entry % self.parts * share;
            state.row_bits[entry] = state.bits[at..at + share].iter().sum();
            state.row_enclosed[entry] = state.wq[at..at + share].iter().map(|&q| enclosed(q) as f32).sum();
        }
    }

    fn prepare_groups(&self, w: &[f32], f: &[f32], state: &mut DenseState) {
        let stride = pad(self.outputs);
        // biased exponent + 1 of the largest |wq| of the group; 0 for none
        let mut exponent = vec![0u32; self.groups.count()];
        for r in 0..self.inputs {
            let mut sum = 0;
            for o in 0..self.outputs {
                let (at, g) = (r * stride + o, self.groups.of(r * self.outputs + o));
                let (scale, inv) = (exp2_rounded(f[g]), exp2_rounded(-f[g]));
                let v = w[at] * scale;
                let floor = v.floor();
                let q = (floor + if v - floor >= 0.5 { 1.0 } else { 0.0 }) * inv;
                state.wq[at] = q;
                let pattern = q.to_bits() & 0x7fff_ffff;
                exponent[g] = exponent[g].max(pattern >> 23);
                sum += enclosed(q);
            }
            if self.parts == 1 {
                state.row_enclosed[r] = sum as f32;
            }
        }
        let width = |g: usize| match exponent[g] {
            0 => 0.0,
            e => (e as f32 - 126.0 + f[g].round_ties_even()).max(0.0),
        };
        let width: Vec<f32> = (0..self.groups.count()).map(width).collect();
        for r in 0..self.inputs {
            let mut sum = 0.0;
            for o in 0..self.outputs {
                let bits = width[self.groups.of(r * self.outputs + o)];
                state.bits[r * stride + o] = bits;
                sum += bits;
            }
            if self.parts == 1 {
                state.row_bits[r] = sum;
            }
        }
    }

    /// Adds to `df` the gradient of the data and of `strength·EBOPs` (`strength = β/√n_g`,
    /// `input_bits` per input and part: docs/hgq-spec.md#a2-1), plus `l1`. `w`, `dw` as in
    /// [`DenseState::wq`]; `df` as `f` in [`DenseOp::prepare`].
    #[allow(clippy::too_many_arguments)] // the terms of one gradient
    pub fn gradients_f(
        &self,
        state: &DenseState,
        w: &[f32],
        dw: &[f32],
        input_bits: &[f32],
        strength: f32,
        l1: f32,
        df: &mut [f32],
    ) {
        let stride = pad(self.outputs);
        let share = self.outputs / self.parts;
        for (entry, &bits_in) in input_bits.iter().enumerate().take(self.inputs * self.parts) {
            let (r, first) = (entry / self.parts, entry % self.parts * share);
            let row = r * stride + first..r * stride + first + share;
            let ebops = strength * bits_in;
            let terms = w[row.clone()].iter().zip(&state.wq[row.clone()]).zip(&dw[row.clone()]).zip(&state.bits[row.clone()]);
            let term = |(((&w, &wq), &dw), &bits): (((&f32, &f32), &f32), &f32)| {
                LN_2 * (w - wq) * dw + if bits > 0.0 { ebops } else { 0.0 }
            };
            if self.groups.is_elementwise() {
                df[row].iter_mut().zip(terms).for_each(|(df, t)| *df += term(t) + l1);
            } else {
                terms.enumerate().for_each(|(o, t)| df[self.groups.of(r * self.outputs + first + o)] += term(t));
            }
        }
        if !self.groups.is_elementwise() {
            df[..self.groups.count()].iter_mut().for_each(|df| *df += l1);
        }
    }
}

/// Bits from the most to the least significant one of a quantized weight (docs/hgq-spec.md#a2-2).
fn enclosed(q: f32) -> u32 {
    let pattern = q.to_bits() & 0x7fff_ffff;
    if pattern == 0 { 0 } else { 24 - ((pattern & 0x7f_ffff) | 0x80_0000).trailing_zeros() }
}
