//! Trainable model + formats of its quantizers → the exact model. Weights and biases are quantized here, once.

use super::TraceError;
use crate::quant::bias;
use crate::quant::kif::{Kif, exp2i, floor_log2, rhe};
use crate::quant::model::{
    BiasBits, FixedDense, FixedModel, FixedOp, FixedQuantizer, FixedTensor, Model, QDense, QOp, Quantizer,
};
use crate::quant::{Overflow, Rounding, SaturatingDense};

/// The exact model with `formats[node]` for every quantizer node.
///
/// # Errors
/// A weight that is not finite or does not fit a 62-bit grid.
pub fn freeze(model: &Model, formats: &[Option<Vec<Kif>>]) -> Result<FixedModel, TraceError> {
    model.try_map(|index, node| {
        Ok(match &node.op {
            QOp::Quantizer(q) => FixedOp::Quantize(FixedQuantizer {
                formats: formats.get(index).cloned().flatten().unwrap_or_default(),
                rounding: q.rounding,
                overflow: q.overflow(),
            }),
            QOp::Dense(d) => FixedOp::Dense(dense(model, index, d)?),
            QOp::SaturatingDense(s) => FixedOp::Dense(saturating(&model.nodes[index].name, s)?),
            QOp::Affine(a) => FixedOp::Affine(a.clone()),
            QOp::Relu => FixedOp::Relu,
            QOp::LeakyRelu { log2_slope } => FixedOp::LeakyRelu { log2_slope: *log2_slope },
            QOp::Sigmoid => FixedOp::Sigmoid,
            QOp::Tanh => FixedOp::Tanh,
            // the format of one sign bit holds −1 and 0
            QOp::Sign => FixedOp::Quantize(FixedQuantizer {
                formats: vec![Kif { keep_negative: true, integer: 0, fractional: 0 }; model.len_of(node.output)],
                rounding: Rounding::Floor,
                overflow: Overflow::Sat,
            }),
            QOp::MaxPool(w) => FixedOp::MaxPool(w.clone()),
            QOp::AveragePool(a) => FixedOp::AveragePool(a.clone()),
            QOp::Merge(m) => FixedOp::Merge(*m),
            QOp::Concat { axis } => FixedOp::Concat { axis: *axis },
            QOp::Pad { before, after } => FixedOp::Pad { before: before.clone(), after: after.clone() },
            QOp::Reshape => FixedOp::Reshape,
        })
    })
}

/// Constants and their widths.
struct Constants {
    values: Vec<f64>,
    bits: Vec<u16>,
}

/// Quantized with saturation (spec B1.1).
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
    let mut weight = Vec::with_capacity(d.weight.len());
    let mut weight_bits = Vec::with_capacity(d.weight.len());
    for (e, &w) in d.weight.iter().enumerate() {
        let f = rhe(d.weight_f[d.weight_groups.of(e)]);
        let q = round_to(w as f64, f, Rounding::HalfUp);
        weight_bits.push(match &d.declared {
            Some(declared) => width(declared.weight[e]),
            None => surrogate_width(q, f),
        });
        weight.push(q);
    }
    let (bias, bias_f): (Vec<f64>, Vec<i32>) = match &d.bias_bits {
        BiasBits::Own(f) => (d.bias.iter().zip(f).map(|(&b, &f)| round_to(b as f64, f, Rounding::HalfUp)).collect(), f.clone()),
        BiasBits::Activation => {
            let quantizer = bias::quantizer(model, index)
                .ok_or_else(|| fault(node, "its bias takes its bits from a quantizer behind the layer, and there is none"))?;
            let f = bias::grid(quantizer, d.outputs);
            (d.bias.iter().zip(&f).map(|(&b, &f)| round_to(b as f64, f, quantizer.rounding)).collect(), f)
        }
    };
    let bias_bits = match &d.declared {
        Some(declared) => declared.bias.iter().map(|&k| width(k)).collect(),
        None => bias.iter().zip(&bias_f).map(|(&b, &f)| surrogate_width(b, f)).collect(),
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

/// `⌊log2|q|⌋ + 1 + f`, the width HGQ2 gives a trained value.
fn surrogate_width(q: f64, f: i32) -> u16 {
    if q == 0.0 { 0 } else { (floor_log2(q.abs()) + 1 + f).clamp(0, u16::MAX as i32) as u16 }
}
