//! Effective bit operations of the current step (docs/hgq-spec.md#a2-1, #a2-3): the differentiable
//! surrogate and the count with exact weight bits.

use super::op::dense::DenseState;
use super::op::quantizer::QuantizerOp;

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

    /// Widens the range by what a pass over data saw, per column of the quantizer.
    pub fn widen(&mut self, op: &QuantizerOp, min: &[f32], max: &[f32]) {
        for (column, g) in op.columns() {
            self.min[g] = self.min[g].min(min[column]);
            self.max[g] = self.max[g].max(max[column]);
        }
    }
}

/// EBOPs of a layer under whose entries lie `bits`, times `scale`.
pub fn layer(state: &DenseState, bits: &[f32], scale: f64) -> Ebops {
    let mut e = Ebops::default();
    for ((&b, &w), &enclosed) in bits.iter().zip(&state.row_bits).zip(&state.row_enclosed) {
        e.surrogate += f64::from(b) * f64::from(w);
        e.enclosed += f64::from(b) * f64::from(enclosed);
    }
    e.surrogate *= scale;
    e.enclosed *= scale;
    e
}
