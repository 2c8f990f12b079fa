//! Trainable model + formats of its quantizers → the exact model. Weights and biases are quantized
//! here, once.

use super::error::TraceError;
use crate::quant::kif::{Kif, exp2i, floor_log2, rhe};
use crate::quant::model::{
    BiasBits, FixedDense, FixedModel, FixedOp, FixedQuantizer, FixedTensor, Model, QDense, QOp, Quantizer, fractional_bits,
};
use crate::quant::{Groups, Overflow, Rounding, SaturatingDense, bias};

/// The exact model with `formats[node]` for every quantizer node.
///
/// # Errors
/// A weight that is not finite or does not fit a 62-bit grid.
pub fn freeze(model: &Model, formats: &[Option<Vec<Kif>>]) -> Result<FixedModel, TraceError> {
    model.try_map(|index, node| {
        Ok(match &node.op {
            QOp::Quantizer(q) => {
                let formats = formats.get(index).cloned().flatten().unwrap_or_default();
                FixedOp::Quantize(FixedQuantizer::new(formats, q.rounding, q.overflow()))
            }
            QOp::Dense(d) => FixedOp::Dense(dense(model, index, d)?),
            QOp::SaturatingDense(s) => FixedOp::Dense(saturating(&model.nodes[index].name, s)?),
            QOp::Affine(a) => FixedOp::Affine(a.clone()),
            QOp::Elementwise(f) => FixedOp::Elementwise(*f),
            // the format of one sign bit holds −1 and 0
            QOp::Sign => {
                let formats = vec![Kif { keep_negative: true, integer: 0, fractional: 0 }; model.len_of(node.output)];
                FixedOp::Quantize(FixedQuantizer::new(formats, Rounding::Floor, Overflow::Sat))
            }
            QOp::MaxPool(w) => FixedOp::MaxPool(w.clone()),
            QOp::AveragePool(a) => FixedOp::AveragePool(a.clone()),
            QOp::Merge(m) => FixedOp::Merge(*m),
            QOp::Move(m) => FixedOp::Move(m.clone()),
        })
    })
}

/// Constants and their widths.
struct Constants {
    values: Vec<f64>,
    bits: Vec<u16>,
}

/// Quantized with saturation (docs/hgq-spec.md#b1-1).
fn saturating(node: &str, s: &SaturatingDense) -> Result<FixedDense, TraceError> {
    let constants = |q: &Quantizer, latent: &[f32]| {
        let formats = q.groups.expand(&q.trained_formats());
        let values = latent.iter().zip(&formats).map(|(&v, &k)| q.quantize(v.into(), k)).collect();
        Constants { values, bits: formats.iter().map(|&k| q.counted_bits(k).clamp(0, u16::MAX as i32) as u16).collect() }
    };
    fixed(node, &s.layer, constants(&s.weight, &s.layer.weight), constants(&s.bias, &s.layer.bias))
}

fn dense(model: &Model, index: usize, d: &QDense) -> Result<FixedDense, TraceError> {
    let node = &model.nodes[index].name;
    let round = |(e, &w): (usize, &f32)| round_to(w as f64, rhe(d.weight_f[d.weight_groups.of(e)]), Rounding::HalfUp);
    let weight: Vec<f64> = d.weight.iter().enumerate().map(round).collect();
    let weight_bits = match &d.declared {
        Some(declared) => declared.weight.iter().map(|&k| width(k)).collect(),
        None => tight_widths(&weight, &d.weight_groups),
    };
    let bias: Vec<f64> = match &d.bias_bits {
        BiasBits::Own(f) => d.bias.iter().zip(f).map(|(&b, &f)| round_to(b as f64, f, Rounding::HalfUp)).collect(),
        BiasBits::Activation => {
            let quantizer = bias::quantizer(model, index)
                .ok_or_else(|| fault(node, "its bias takes its bits from a quantizer after the layer, and there is none"))?;
            let f = bias::grid(quantizer, d.outputs);
            d.bias.iter().zip(&f).map(|(&b, &f)| round_to(b as f64, f, quantizer.rounding)).collect()
        }
    };
    let bias_bits = match &d.declared {
        Some(declared) => declared.bias.iter().map(|&k| width(k)).collect(),
        None => tight_widths(&bias, &Groups::elementwise(bias.len())),
    };
    fixed(node, d, Constants { values: weight, bits: weight_bits }, Constants { values: bias, bits: bias_bits })
}

fn fault(node: &str, what: &str) -> TraceError {
    TraceError::Weight { node: node.into(), what: what.into() }
}

fn fixed(node: &str, d: &QDense, weight: Constants, bias: Constants) -> Result<FixedDense, TraceError> {
    Ok(FixedDense {
        inputs: d.inputs,
        outputs: d.outputs,
        weight: FixedTensor::from_f64(&weight.values).ok_or_else(|| fault(node, "its weights do not fit one 62-bit grid"))?,
        bias: FixedTensor::from_f64(&bias.values).ok_or_else(|| fault(node, "its bias does not fit one 62-bit grid"))?,
        weight_bits: weight.bits,
        bias_bits: bias.bits,
        window: d.window.clone(),
        ebops_scale: d.ebops_scale,
    })
}

/// Rounds to the grid `2^-f`.
pub fn round_to(v: f64, f: i32, rounding: Rounding) -> f64 {
    rounding.apply(v * exp2i(f)) * exp2i(-f)
}

/// `i + f` of a declared format.
fn width(k: Kif) -> u16 {
    (k.integer + k.fractional).clamp(0, u16::MAX as i32) as u16
}

/// `⌊log2|q|⌋ + 1 + f`, the width HGQ2 gives a value, with the coarsest `f` that holds all values
/// of its group: trailing zeros are not emitted either.
fn tight_widths(values: &[f64], groups: &Groups) -> Vec<u16> {
    let mut finest = vec![i32::MIN; groups.count()];
    for (e, &q) in values.iter().enumerate().filter(|(_, q)| **q != 0.0) {
        let f = &mut finest[groups.of(e)];
        *f = (*f).max(fractional_bits(q));
    }
    let width = |(e, &q): (usize, &f64)| {
        if q == 0.0 { 0 } else { (floor_log2(q.abs()) + 1 + finest[groups.of(e)]).clamp(0, u16::MAX as i32) as u16 }
    };
    values.iter().enumerate().map(width).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::Granularity;

    #[test]
    fn widths_leave_trailing_zeros_out() {
        // 0.75 = 11b·2^-2, 4 = 1b·2^2, 2.25 = 1001b·2^-2
        let values = [0.75, 0.0, 4.0, -2.25];
        assert_eq!(tight_widths(&values, &Groups::elementwise(4)), [2, 0, 1, 4]);
        // columns {0.75, 4} and {0, −2.25}, of two fractional bits each
        assert_eq!(tight_widths(&values, &Groups::new(Granularity::Channel, &[2, 2])), [2, 0, 5, 4]);
        assert_eq!(tight_widths(&[4.0, 8.0], &Groups::new(Granularity::Tensor, &[2])), [1, 2]);
    }
}
