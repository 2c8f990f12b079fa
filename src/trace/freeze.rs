//! Trainable model + formats of its quantizers → the exact model. Weights and biases are quantized here, once.

use super::TraceError;
use crate::quant::kif::{Kif, exp2i, floor_log2};
use crate::quant::model::{
    BiasBits, FixedDense, FixedModel, FixedOp, FixedQuantizer, FixedTensor, Model, QDense, QOp, Quantizer, Range,
};
use crate::quant::{Overflow, Rounding};

/// Fractional bits as integers, one per group: round half to even, clipped as in training (spec A1.2).
pub fn rounded_f(q: &Quantizer) -> Vec<i32> {
    q.f.iter().map(|&f| rhe(f.min(q.max_f))).collect()
}

/// Round half to even.
pub fn rhe(v: f32) -> i32 {
    v.round_ties_even().clamp(-126.0, 126.0) as i32
}

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
                overflow: overflow(q),
            }),
            QOp::Dense(d) => FixedOp::Dense(dense(model, index, d)?),
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

fn overflow(q: &Quantizer) -> Overflow {
    match q.range {
        Range::Saturating { symmetric: true, .. } => Overflow::SatSym,
        _ => Overflow::Sat,
    }
}

fn dense(model: &Model, index: usize, d: &QDense) -> Result<FixedDense, TraceError> {
    let fault = |what: &str| TraceError::Weight { node: model.nodes[index].name.clone(), what: what.into() };
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
            let quantizer = activation_quantizer(model, index)
                .ok_or_else(|| fault("its bias takes its bits from a quantizer behind the layer, and there is none"))?;
            let (f, rounding) = bias_grid(quantizer, d.outputs);
            (d.bias.iter().zip(&f).map(|(&b, &f)| round_to(b as f64, f, rounding)).collect(), f)
        }
    };
    let bias_bits = match &d.declared {
        Some(declared) => declared.bias.iter().map(|&k| width(k)).collect(),
        None => bias.iter().zip(&bias_f).map(|(&b, &f)| surrogate_width(b, f)).collect(),
    };
    Ok(FixedDense {
        inputs: d.inputs,
        outputs: d.outputs,
        weight: FixedTensor::from_f64(&weight).ok_or_else(|| fault("its weights do not fit one 62-bit grid"))?,
        bias: FixedTensor::from_f64(&bias).ok_or_else(|| fault("its bias does not fit one 62-bit grid"))?,
        weight_bits,
        bias_bits,
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

/// The quantizer that a layer's bias takes its bits from: the next one behind it, through activations that keep the grid.
pub fn activation_quantizer(model: &Model, node: usize) -> Option<&Quantizer> {
    let mut value = model.nodes[node].output;
    loop {
        let consumers = model.consumers(value);
        let next = &model.nodes[*consumers.first()?];
        match &next.op {
            QOp::Quantizer(q) => return Some(q),
            QOp::Relu | QOp::LeakyRelu { .. } | QOp::Reshape | QOp::MaxPool(_) if consumers.len() == 1 => value = next.output,
            _ => return None,
        }
    }
}

/// Fractional bits of a bias per channel: the maximum over all other axes of its quantizer's (spec A1.4), and its rounding.
fn bias_grid(q: &Quantizer, outputs: usize) -> (Vec<i32>, Rounding) {
    let f = rounded_f(q);
    let mut grid = vec![i32::MIN; outputs];
    for e in 0..q.groups.elements() {
        let channel = &mut grid[e % outputs.max(1)];
        *channel = (*channel).max(f[q.groups.of(e)]);
    }
    (grid, q.rounding)
}
