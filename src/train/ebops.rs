//! Effective bit operations of the current step (spec A2.1, A2.3): the differentiable surrogate and the count with exact weight bits.

use super::op::quantizer::QuantizerOp;
use super::params::Params;
use super::plan::{DensePlan, Plan, Prepared};

/// EBOPs of a model or a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ebops {
    /// `Σ b_a·b_w` with training-time weight bits: what the gradient is of.
    pub surrogate: f64,
    /// `Σ b_a·enclosed_bits(wq)`: exact weight bits, training-time activation bits.
    pub enclosed: f64,
}

/// Running minimum and maximum per group of one quantizer.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningRange {
    pub min: Vec<f32>,
    pub max: Vec<f32>,
}

impl RunningRange {
    pub fn new(groups: usize) -> RunningRange {
        RunningRange { min: vec![f32::INFINITY; groups], max: vec![f32::NEG_INFINITY; groups] }
    }

    /// Widens the range by what a pass over data saw, per element.
    pub fn widen(&mut self, op: &QuantizerOp, min: &[f32], max: &[f32]) {
        for e in 0..op.groups().elements() {
            let g = op.groups().of(e);
            self.min[g] = self.min[g].min(min[e]);
            self.max[g] = self.max[g].max(max[e]);
        }
    }
}

/// Training-time bits of each input of a layer.
pub fn input_bits(plan: &Plan, layer: &DensePlan, params: &Params, ranges: &[RunningRange]) -> Vec<f32> {
    let q = &plan.quantizers[layer.input_quantizer];
    let (f, i, range) = (params.get(q.f), q.i.map(|i| params.get(i)), &ranges[layer.input_quantizer]);
    let per_group: Vec<f32> = (0..q.op.groups().count())
        .map(|g| q.op.bits(g, f[g], i.map(|i| i[g]), (range.min[g], range.max[g]), layer.input_relu))
        .collect();
    q.op.groups().expand(&per_group)
}

/// EBOPs of a layer whose inputs have `bits`.
pub fn layer(prepared: &Prepared, dense: usize, bits: &[f32]) -> Ebops {
    let state = &prepared.dense[dense];
    let mut e = Ebops::default();
    for ((&b, &w), &enclosed) in bits.iter().zip(&state.row_bits).zip(&state.row_enclosed) {
        e.surrogate += f64::from(b) * f64::from(w);
        e.enclosed += f64::from(b) * f64::from(enclosed);
    }
    e
}

/// Adds `strength·∂EBOPs` of a layer to the gradients of its input quantizer's f and i (`strength = β/√n_g`).
pub fn input_gradient(
    prepared: &Prepared,
    dense: usize,
    op: &QuantizerOp,
    bits: &[f32],
    strength: f32,
    df: &mut [f32],
    di: Option<&mut [f32]>,
) {
    let rows = &prepared.dense[dense].row_bits;
    let add = |to: &mut [f32]| {
        for (e, (&b, &w)) in bits.iter().zip(rows).enumerate() {
            if b > 0.0 {
                to[op.groups().of(e)] += strength * w;
            }
        }
    };
    add(df);
    if let Some(di) = di {
        add(di);
    }
}
