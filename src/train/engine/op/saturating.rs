//! HGQ2's quantizers on constants: weights and biases that clip at trainable integer bits
//! (docs/hgq-spec.md#b1-1), through the activation quantizer's kernels.
//!
//! The latent constants are one block of samples for [`QuantizerOp`]; the gradient of the quantized
//! constants, summed over the batch, goes back through it. Counted bits (docs/hgq-spec.md#b2) are
//! `relu(rhe(i) + rhe(f))` or `relu(rhe(b))`, one more for a sign under SAT; they come from the
//! widths alone, not from the values, and a shared width takes plain sums (no `1/√n_g`).

use super::super::kernel::{Isa, pad};
use super::dense::{DenseOp, DenseState};
use super::quantizer::{QuantizerOp, QuantizerState, rounded};
use crate::quant::{Groups, Quantizer, SaturatingDense};

/// The quantizer of a tensor of constants; what stays the same over training.
#[derive(Clone)]
pub struct ConstantOp {
    op: QuantizerOp,
    /// Counted for the sign, per group.
    sign: Vec<f32>,
}

/// Per-step constants.
#[derive(Clone)]
pub struct ConstantState {
    quantizer: QuantizerState,
    /// Counted bits per group.
    pub bits: Vec<f32>,
}

/// Latent widths of a quantizer, per group.
#[derive(Clone, Copy)]
pub struct Widths<'a> {
    /// `f`, or `b` of `kbi`.
    pub first: &'a [f32],
    pub i: &'a [f32],
}

/// Both quantizers of a layer.
#[derive(Clone)]
pub struct SaturatingOp {
    pub weight: ConstantOp,
    pub bias: ConstantOp,
    /// How often HGQ2 counts the bits of a bias: once per input position (docs/hgq-spec.md#b2).
    pub bias_count: f32,
}

/// Their constants of the current step.
#[derive(Clone)]
pub struct SaturatingState {
    pub weight: ConstantState,
    pub bias: ConstantState,
}

impl ConstantOp {
    /// A quantizer with saturating range on constants that lie as `rows` × padded `columns`.
    pub fn new(q: &Quantizer, rows: usize, columns: usize) -> ConstantOp {
        let mut op = QuantizerOp::new(q);
        op.lay_out(rows, columns);
        let sign = q.saturation().map_or_else(Vec::new, |s| {
            s.keep_negative.iter().map(|&keep| if keep && !s.symmetric { 1.0 } else { 0.0 }).collect()
        });
        ConstantOp { op, sign }
    }

    pub fn groups(&self) -> &Groups {
        self.op.groups()
    }

    pub fn is_kbi(&self) -> bool {
        self.op.is_kbi()
    }

    pub fn new_state(&self) -> ConstantState {
        ConstantState { quantizer: self.op.new_state(), bits: vec![0.0; self.groups().count()] }
    }

    /// Quantizes `latent` into `quantized`, both padded.
    pub fn prepare(&self, isa: Isa, latent: &[f32], widths: Widths, state: &mut ConstantState, quantized: &mut [f32]) {
        self.op.prepare(widths.first, Some(widths.i), &mut state.quantizer);
        let mut sums = self.op.new_sums();
        self.op.forward(isa, &state.quantizer, self.op.rows(latent.len()), latent, quantized, &mut sums, false);
        for (g, bits) in state.bits.iter_mut().enumerate() {
            let i = if self.is_kbi() { 0.0 } else { rounded(widths.i[g]) };
            *bits = (rounded(widths.first[g]) + i).max(0.0) + self.sign[g];
        }
    }

    /// Gradient to the latent constants from that to the quantized ones (`dq`), all padded. `cost`
    /// per group is the gradient of the loss to its counted bits. Adds to `first` and `i`.
    #[allow(clippy::too_many_arguments)] // the terms of one gradient
    pub fn gradients(
        &self,
        isa: Isa,
        state: &ConstantState,
        latent: &[f32],
        quantized: &[f32],
        dq: &[f32],
        cost: &[f32],
        (dx, first, i): (&mut [f32], &mut [f32], &mut [f32]),
    ) {
        let mut sums = self.op.new_sums();
        let args = self.op.backward_args(&state.quantizer, &mut sums, latent, quantized, Some(dx), false, (false, false));
        QuantizerOp::backward(isa, self.op.rows(latent.len()), self.op.stride(), dq, args);
        self.op.gradients(&state.quantizer, &sums, first, Some(i));
        for (g, (&cost, (&bits, &sign))) in cost.iter().zip(state.bits.iter().zip(&self.sign)).enumerate() {
            if bits > sign {
                first[g] += cost;
                if self.op.counts_i() {
                    i[g] += cost;
                }
            }
        }
    }
}

impl SaturatingOp {
    pub fn new(s: &SaturatingDense) -> SaturatingOp {
        let positions = s.layer.window.as_ref().map_or(1, |w| w.input[0] * w.input[1]);
        SaturatingOp {
            weight: ConstantOp::new(&s.weight, s.layer.inputs, s.layer.outputs),
            bias: ConstantOp::new(&s.bias, 1, s.layer.outputs),
            bias_count: positions as f32,
        }
    }

    pub fn new_state(&self) -> SaturatingState {
        SaturatingState { weight: self.weight.new_state(), bias: self.bias.new_state() }
    }

    /// Quantizes weights and bias of `dense` into `state`.
    pub fn prepare(
        &self,
        isa: Isa,
        dense: &DenseOp,
        (w, w_widths): (&[f32], Widths),
        (b, b_widths): (&[f32], Widths),
        (state, own): (&mut DenseState, &mut SaturatingState),
    ) {
        self.weight.prepare(isa, w, w_widths, &mut own.weight, &mut state.wq);
        self.bias.prepare(isa, b, b_widths, &mut own.bias, &mut state.bias);
        let stride = pad(dense.outputs);
        for r in 0..dense.inputs {
            for o in 0..dense.outputs {
                state.bits[r * stride + o] = own.weight.bits[self.weight.groups().of(r * dense.outputs + o)];
            }
            dense.turn(r, state);
        }
        dense.sum_parts(state);
    }

    /// `Σ` of the bias' counted bits over the positions that HGQ2 counts.
    pub fn bias_ebops(&self, state: &SaturatingState) -> f64 {
        let groups = self.bias.groups();
        f64::from(self.bias_count) * (0..groups.elements()).map(|o| f64::from(state.bias.bits[groups.of(o)])).sum::<f64>()
    }

    /// Gradient of `strength·EBOPs` to the counted bits of each weight group; `input_bits` per
    /// input and part.
    pub fn weight_costs(&self, dense: &DenseOp, input_bits: &[f32], strength: f32) -> Vec<f32> {
        let (groups, share) = (self.weight.groups(), dense.outputs / dense.parts.max(1));
        let mut costs = vec![0.0; groups.count()];
        for (entry, &bits) in input_bits.iter().enumerate().take(dense.inputs * dense.parts) {
            let (r, first) = (entry / dense.parts, entry % dense.parts * share);
            for o in first..first + share {
                costs[groups.of(r * dense.outputs + o)] += strength * bits;
            }
        }
        costs
    }

    /// The same for the bias.
    pub fn bias_costs(&self, strength: f32) -> Vec<f32> {
        let groups = self.bias.groups();
        let mut costs = vec![0.0; groups.count()];
        for o in 0..groups.elements() {
            costs[groups.of(o)] += strength * self.bias_count;
        }
        costs
    }
}
