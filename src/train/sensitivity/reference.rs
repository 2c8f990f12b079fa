//! The model as finely quantized as the engine computes: the point at which sensitivities are
//! taken.

use crate::quant::kif::floor_log2;
use crate::quant::{BiasBits, Model, QOp, Quantizer, Range};

/// Bits below the largest value of an activation or a weight tensor: with them f32 rounds about as
/// much as the grid does.
const FINE_BITS: i32 = 16;
/// Integer bits above those that cover the data: nothing saturates while sensitivities to rounding
/// are measured.
const HEADROOM: f32 = 4.0;
/// Grid of the biases.
const BIAS_F: i32 = 20;
/// Largest fractional bits that the engine keeps exact.
const MAX_F: f32 = 23.0;

/// `model` with fine grids in place of the start; annotated tensors stay, they are part of the
/// function sent.
pub(super) fn reference(model: &Model) -> Model {
    let mut fine = model.clone();
    for node in &mut fine.nodes {
        if let QOp::Quantizer(q) = &mut node.op {
            if q.trainable && !q.annotated {
                refine(q);
            }
        } else if let QOp::Dense(d) = &mut node.op {
            if d.trainable && d.declared.is_none() {
                let top = d.weight.iter().fold(0f32, |m, w| m.max(w.abs()));
                let f = if top > 0.0 { (FINE_BITS - floor_log2(f64::from(top))) as f32 } else { 0.0 };
                d.weight_f.fill(f.min(MAX_F));
            }
            if d.bias_bits == BiasBits::Activation {
                d.bias_bits = BiasBits::Own(vec![BIAS_F; d.outputs]);
            }
        }
    }
    fine
}

fn refine(q: &mut Quantizer) {
    let headroom = if matches!(q.range, Range::Declared { .. }) { 0.0 } else { HEADROOM };
    match &mut q.range {
        Range::Saturating { i, .. } | Range::Declared { i, .. } => {
            for (f, i) in q.f.iter_mut().zip(i) {
                *f = (FINE_BITS as f32 - i.round_ties_even()).min(q.max_f);
                *i += headroom;
            }
        }
        Range::Traced => q.f.iter_mut().for_each(|f| *f = (*f + FINE_BITS as f32 / 2.0).min(q.max_f)),
        // those of HGQ2, which this mode does not start from
        Range::SaturatingKbi { .. } | Range::Tracked { .. } => {}
    }
}
