//! Layers whose weights and biases have HGQ2's quantizers, in a step of the engine: their EBOPs and
//! the gradients of their constants.

use super::ebops::{self, Ebops};
use super::op::saturating::{ConstantOp, ConstantState};
use super::params::Params;
use super::plan::Prepared;
use crate::simd::Isa;

/// EBOPs of dense layer `n` under whose entries lie `input_bits`; with the bias where HGQ2 counts
/// it (docs/hgq-spec.md#b2).
pub fn layer_ebops(prepared: &Prepared, n: usize, input_bits: &[f32]) -> Ebops {
    let d = &prepared.plan.dense[n];
    let mut e = ebops::layer(&prepared.dense[n], input_bits, d.ebops_scale);
    if let (Some(op), Some(state)) = (d.saturating(), &prepared.saturating[n]) {
        e.surrogate += op.bias_ebops(state);
    }
    e
}

/// Gradients of the latent constants in segment `at.0` and of their widths in segment `at.1` and
/// the next; returns the `Σ i` that `l1` counts beside the first width (`kif`:
/// docs/hgq-spec.md#b1).
pub fn gradients(
    isa: Isa,
    (op, state, costs): (&ConstantOp, &ConstantState, &[f32]),
    quantized: &[f32],
    dq: &[f32],
    at: (usize, usize),
    l1: f32,
    params: &mut Params,
) -> f64 {
    let groups = op.groups().count();
    let mut dx = vec![0.0; dq.len()];
    let (mut first, mut i) = (vec![0.0; groups], vec![0.0; groups]);
    op.gradients(isa, state, params.get(at.0), quantized, dq, costs, (&mut dx, &mut first, &mut i));
    let both = !op.is_kbi();
    first.iter_mut().for_each(|g| *g += l1);
    i.iter_mut().filter(|_| both).for_each(|g| *g += l1);
    params.grad(at.0).0.copy_from_slice(&dx);
    params.grad(at.1).0[..groups].copy_from_slice(&first);
    params.grad(at.1 + 1).0[..groups].copy_from_slice(&i);
    let counted = both && params.segments[at.1 + 1].trainable;
    if counted { params.get(at.1 + 1)[..groups].iter().map(|&i| f64::from(i)).sum() } else { 0.0 }
}
