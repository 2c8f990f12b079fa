//! Quantizers of weights and activations, their widths, and the gradients to both.

use hgq_onnx::quant::{QDense, QOp, Quantizer, Range, Rounding};
use std::collections::HashMap;
use std::f64::consts::LN_2;

pub fn round(v: f64, f: f64, rounding: Rounding) -> f64 {
    rounding.apply(v * f.exp2()) / f.exp2()
}

pub fn rhe(v: f32) -> f64 {
    f64::from(v).round_ties_even()
}

/// Quantizer of one element: value, ∂x, ∂f, ∂i.
pub fn quantize(q: &Quantizer, e: usize, x: f64) -> (f64, f64, f64, f64) {
    let g = q.groups.of(e);
    let f = rhe(q.f[g]);
    match &q.range {
        Range::Traced | Range::Tracked { .. } => {
            let y = round(x, f, q.rounding);
            (y, 1.0, LN_2 * (x - y), 0.0)
        }
        Range::SaturatingKbi { keep_negative, i, symmetric } => {
            let range = Range::Saturating { keep_negative: keep_negative.clone(), i: i.clone(), symmetric: *symmetric };
            let f = q.f.iter().zip(i).map(|(&b, &i)| ((rhe(b) - rhe(i)) as f32).min(q.max_f)).collect();
            let (y, dx, df, di) = quantize(&Quantizer { f, range, ..q.clone() }, e, x);
            (y, dx, df, di - df)
        }
        Range::Declared { keep_negative, i } => {
            let range = Range::Saturating { keep_negative: keep_negative.clone(), i: i.clone(), symmetric: false };
            let (y, dx, df, _) = quantize(&Quantizer { range, ..q.clone() }, e, x);
            (y, dx, df, 0.0)
        }
        Range::Saturating { keep_negative, i, symmetric } => {
            let k = if keep_negative[g] { 1.0 } else { 0.0 };
            let ie = rhe(i[g]).max(-f);
            let top = ie.exp2() - (-f).exp2();
            let bottom = if *symmetric { -k * top } else { -k * ie.exp2() };
            let y = round(x.clamp(bottom, top), f, q.rounding);
            if x > top {
                (y, 0.0, LN_2 * (-f).exp2(), LN_2 * ie.exp2())
            } else if x < bottom {
                (y, 0.0, if *symmetric { -k * LN_2 * (-f).exp2() } else { 0.0 }, -k * LN_2 * ie.exp2())
            } else {
                (y, 1.0, LN_2 * (x - y), 0.0)
            }
        }
    }
}

pub fn weight(d: &QDense, e: usize) -> f64 {
    round(f64::from(d.weight[e]), rhe(d.weight_f[d.weight_groups.of(e)]), Rounding::HalfUp)
}

/// Quantized weight of a layer.
pub fn weight_of(op: &QOp, e: usize) -> f64 {
    match op {
        QOp::Dense(d) => weight(d, e),
        QOp::SaturatingDense(s) => quantize(&s.weight, e, f64::from(s.layer.weight[e])).0,
        _ => panic!(),
    }
}

/// Names of the two latent widths of a layer's weight or bias quantizer.
pub fn width_names(q: &Quantizer, bias: bool) -> [&'static str; 2] {
    match (matches!(q.range, Range::SaturatingKbi { .. }), bias) {
        (false, false) => ["weight_f", "weight_i"],
        (true, false) => ["weight_b", "weight_i"],
        (false, true) => ["bias_f", "bias_i"],
        (true, true) => ["bias_b", "bias_i"],
    }
}

/// Names of the latent widths that an activation's bits are the sum of.
pub fn act_names(q: &Quantizer) -> &'static [&'static str] {
    match q.range {
        Range::SaturatingKbi { .. } => &["act_b"],
        _ => &["act_f", "act_i"],
    }
}

/// HGQ2's counted bits of group `g` (docs/hgq-spec.md#b2), and whether they take a gradient.
pub fn counted(q: &Quantizer, g: usize) -> (f64, bool) {
    let (keep, width, symmetric) = match &q.range {
        Range::Saturating { keep_negative, i, symmetric } => (keep_negative[g], rhe(q.f[g]) + rhe(i[g]), *symmetric),
        Range::SaturatingKbi { keep_negative, symmetric, .. } => (keep_negative[g], rhe(q.f[g]), *symmetric),
        _ => panic!(),
    };
    (width.max(0.0) + (keep && !symmetric) as u8 as f64, width > 0.0)
}

pub type Gradients = HashMap<(String, &'static str), Vec<f64>>;

/// Adds `gradient·(∂first, ∂i)` of one width.
pub fn to_widths(g: &mut Gradients, node: &str, q: &Quantizer, bias: bool, group: usize, (first, i): (f64, f64)) {
    for (kind, d) in width_names(q, bias).into_iter().zip([first, i]) {
        g.get_mut(&(node.to_string(), kind)).unwrap()[group] += d;
    }
}

/// Gradients of a constant whose quantized value has the gradient `d`.
pub fn constant(g: &mut Gradients, node: &str, q: &Quantizer, bias: bool, (e, latent): (usize, f32), d: f64) {
    let (_, dx, df, di) = quantize(q, e, f64::from(latent));
    g.get_mut(&(node.to_string(), if bias { "bias" } else { "weight" })).unwrap()[e] += dx * d;
    to_widths(g, node, q, bias, q.groups.of(e), (df * d, di * d));
}
