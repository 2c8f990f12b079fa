//! The training step written naively: one sample at a time, in f64, straight from the formulas. What the engine is compared with.
#![allow(dead_code)]

use hgq_onnx::quant::kif::floor_log2;
use hgq_onnx::quant::model::{enclosed_bits, fractional_bits};
use hgq_onnx::quant::{BiasBits, Model, QDense, QOp, Quantizer, Range, Rounding};
use hgq_onnx::train::{LossKind, ParamKind, TaskLoss};
use std::collections::HashMap;
use std::f64::consts::LN_2;

pub struct Samples<'a> {
    pub x: &'a [f32],
    pub labels: Option<&'a [u32]>,
    pub values: Option<&'a [f32]>,
    pub teacher: Option<&'a [f32]>,
}

pub struct Step {
    pub task: f64,
    pub total: f64,
    pub surrogate: f64,
    pub enclosed: f64,
    pub outputs: Vec<f64>,
    pub gradients: HashMap<(String, &'static str), Vec<f64>>,
}

pub fn kind_name(kind: ParamKind) -> &'static str {
    match kind {
        ParamKind::Weight => "weight",
        ParamKind::Bias => "bias",
        ParamKind::WeightF => "weight_f",
        ParamKind::ActF => "act_f",
        ParamKind::ActI => "act_i",
    }
}

fn round(v: f64, f: f64, rounding: Rounding) -> f64 {
    rounding.apply(v * f.exp2()) / f.exp2()
}

fn rhe(v: f32) -> f64 {
    f64::from(v).round_ties_even()
}

/// Quantizer of one element: value, ∂x, ∂f, ∂i.
fn quantize(q: &Quantizer, e: usize, x: f64) -> (f64, f64, f64, f64) {
    let g = q.groups.of(e);
    let f = rhe(q.f[g]);
    match &q.range {
        Range::Traced => {
            let y = round(x, f, q.rounding);
            (y, 1.0, LN_2 * (x - y), 0.0)
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

fn weight(d: &QDense, e: usize) -> f64 {
    round(f64::from(d.weight[e]), rhe(d.weight_f[d.weight_groups.of(e)]), Rounding::HalfUp)
}

struct Network<'m> {
    model: &'m Model,
}

impl Network<'_> {
    fn producer(&self, v: usize) -> Option<usize> {
        self.model.producer(v)
    }

    fn above(&self, mut v: usize) -> (usize, bool) {
        let mut relu = false;
        loop {
            let n = self.producer(v).unwrap();
            match self.model.nodes[n].op {
                QOp::Quantizer(_) => return (n, relu),
                QOp::Relu => relu = true,
                _ => {}
            }
            v = self.model.nodes[n].inputs[0];
        }
    }

    fn below(&self, v: usize) -> usize {
        let n = self.model.consumers(v)[0];
        if matches!(self.model.nodes[n].op, QOp::Quantizer(_)) { n } else { self.below(self.model.nodes[n].output) }
    }

    /// Quantized bias, and (quantizer, group) of its width.
    fn bias(&self, node: usize, c: usize) -> (f64, Option<(usize, usize)>) {
        let QOp::Dense(d) = &self.model.nodes[node].op else { panic!() };
        match &d.bias_bits {
            BiasBits::Own(f) => (round(f64::from(d.bias[c]), f64::from(f[c]), Rounding::HalfUp), None),
            BiasBits::Activation => {
                let n = self.below(self.model.nodes[node].output);
                let QOp::Quantizer(q) = &self.model.nodes[n].op else { panic!() };
                let g = q.groups.of(c);
                (round(f64::from(d.bias[c]), rhe(q.f[g]), q.rounding), Some((n, g)))
            }
        }
    }
}

/// Loss of one sample (already divided as the mean asks) and its gradient.
fn loss_of(z: &[f64], s: usize, batch: usize, data: &Samples, loss: &TaskLoss) -> (f64, Vec<f64>) {
    let (a, t) = (f64::from(loss.teacher_weight), f64::from(loss.temperature));
    let n = z.len();
    let teacher = |c: usize| data.teacher.map_or(0.0, |v| f64::from(v[s * n + c]));
    let value = |c: usize| match (data.values, data.labels) {
        (Some(v), _) => f64::from(v[s * n + c]),
        (None, Some(l)) => f64::from(l[s]),
        _ => 0.0,
    };
    let softmax = |v: Vec<f64>| {
        let m = v.iter().copied().fold(f64::MIN, f64::max);
        let e: Vec<f64> = v.iter().map(|v| (v - m).exp()).collect();
        let sum: f64 = e.iter().sum();
        e.into_iter().map(|e| e / sum).collect::<Vec<f64>>()
    };
    let (mut l, mut d) = (0.0, vec![0.0; n]);
    match loss.kind {
        LossKind::CrossEntropy => {
            let p = softmax(z.to_vec());
            let pt = softmax(z.iter().map(|z| z / t).collect());
            let q = softmax((0..n).map(|c| teacher(c) / t).collect());
            for c in 0..n {
                let hit = data.labels.map_or(0.0, |y| if y[s] as usize == c { 1.0 } else { 0.0 });
                if a < 1.0 {
                    l -= (1.0 - a) * hit * p[c].ln();
                    d[c] += (1.0 - a) * (p[c] - hit);
                }
                if a > 0.0 {
                    l -= a * t * t * q[c] * pt[c].ln();
                    d[c] += a * t * (pt[c] - q[c]);
                }
            }
            d.iter_mut().for_each(|d| *d /= batch as f64);
            (l / batch as f64, d)
        }
        LossKind::Mse => {
            let m = (batch * n) as f64;
            for c in 0..n {
                let (u, v) = (z[c] - value(c), z[c] - teacher(c));
                l += ((1.0 - a) * u * u + a * v * v) / m;
                d[c] = 2.0 * ((1.0 - a) * u + a * v) / m;
            }
            (l, d)
        }
        LossKind::Bce => {
            let m = (batch * n) as f64;
            for c in 0..n {
                let p = 1.0 / (1.0 + (-z[c]).exp());
                let y = (1.0 - a) * value(c) + a / (1.0 + (-teacher(c)).exp());
                l -= (y * p.ln() + (1.0 - y) * (1.0 - p).ln()) / m;
                d[c] = (p - y) / m;
            }
            (l, d)
        }
        LossKind::Upstream => {
            for c in 0..n {
                l += z[c] * value(c);
                d[c] = value(c);
            }
            (l, d)
        }
    }
}

pub fn step(model: &Model, data: &Samples, batch: &[u32], loss: &TaskLoss, beta: f64, l1: f64, group_norm: bool) -> Step {
    let net = Network { model };
    let mut g: HashMap<(String, &'static str), Vec<f64>> = HashMap::new();
    for node in &model.nodes {
        let mut zero = |kind, n| g.insert((node.name.clone(), kind), vec![0.0; n]);
        match &node.op {
            QOp::Dense(d) => {
                zero("weight", d.weight.len());
                zero("bias", d.bias.len());
                zero("weight_f", d.weight_f.len());
            }
            QOp::Quantizer(q) => {
                zero("act_f", q.f.len());
                zero("act_i", q.f.len());
            }
            _ => {}
        }
    }
    let name = |n: usize| model.nodes[n].name.clone();
    let mut range = vec![(f64::INFINITY, f64::NEG_INFINITY); 0];
    let mut ranges: Vec<Vec<(f64, f64)>> = Vec::new();
    for node in &model.nodes {
        range.clear();
        if let QOp::Quantizer(q) = &node.op {
            range.resize(q.f.len(), (f64::INFINITY, f64::NEG_INFINITY));
        }
        ranges.push(range.clone());
    }
    let (mut task, mut outputs) = (0.0, Vec::new());
    let inputs = model.len_of(model.inputs[0]);
    for &s in batch {
        let s = s as usize;
        let mut v: Vec<Vec<f64>> = vec![Vec::new(); model.values.len()];
        v[model.inputs[0]] = data.x[s * inputs..][..inputs].iter().map(|&x| f64::from(x)).collect();
        for (n, node) in model.nodes.iter().enumerate() {
            let x = v[node.inputs[0]].clone();
            v[node.output] = match &node.op {
                QOp::Reshape => x,
                QOp::Relu => x.iter().map(|&x| x.max(0.0)).collect(),
                QOp::LeakyRelu { log2_slope } => {
                    x.iter().map(|&x| if x > 0.0 { x } else { x * f64::from(*log2_slope).exp2() }).collect()
                }
                QOp::Sigmoid => x.iter().map(|&x| 1.0 / (1.0 + (-x).exp())).collect(),
                QOp::Tanh => x.iter().map(|&x| x.tanh()).collect(),
                QOp::Affine(a) => x.iter().enumerate().map(|(e, x)| x * a.scale.value(e) + a.shift.value(e)).collect(),
                QOp::Quantizer(q) => {
                    let y: Vec<f64> = x.iter().enumerate().map(|(e, &x)| quantize(q, e, x).0).collect();
                    for (e, &y) in y.iter().enumerate() {
                        let r = &mut ranges[n][q.groups.of(e)];
                        *r = (r.0.min(y), r.1.max(y));
                    }
                    y
                }
                QOp::Dense(d) => (0..d.outputs)
                    .map(|o| net.bias(n, o).0 + (0..d.inputs).map(|i| x[i] * weight(d, i * d.outputs + o)).sum::<f64>())
                    .collect(),
                _ => unimplemented!("convolutions and merges"),
            };
        }
        let out = model.outputs[0];
        let (l, dz) = loss_of(&v[out], s, batch.len(), data, loss);
        task += l;
        outputs.extend_from_slice(&v[out]);
        let mut dv: Vec<Vec<f64>> = v.iter().map(|v| vec![0.0; v.len()]).collect();
        dv[out] = dz;
        for (n, node) in model.nodes.iter().enumerate().rev() {
            let (x, y, dy) = (v[node.inputs[0]].clone(), v[node.output].clone(), dv[node.output].clone());
            let mut dx = vec![0.0; x.len()];
            match &node.op {
                QOp::Dense(d) => {
                    for (o, &dy) in dy.iter().enumerate() {
                        g.get_mut(&(name(n), "bias")).unwrap()[o] += dy;
                        for i in 0..d.inputs {
                            let e = i * d.outputs + o;
                            dx[i] += dy * weight(d, e);
                            g.get_mut(&(name(n), "weight")).unwrap()[e] += dy * x[i];
                            let df = LN_2 * (f64::from(d.weight[e]) - weight(d, e)) * dy * x[i];
                            g.get_mut(&(name(n), "weight_f")).unwrap()[d.weight_groups.of(e)] += df;
                        }
                        if let (b, Some((q, group))) = net.bias(n, o) {
                            g.get_mut(&(name(q), "act_f")).unwrap()[group] += LN_2 * (f64::from(d.bias[o]) - b) * dy;
                        }
                    }
                }
                QOp::Quantizer(q) => {
                    for e in 0..x.len() {
                        let (_, px, pf, pi) = quantize(q, e, x[e]);
                        dx[e] = px * dy[e];
                        g.get_mut(&(name(n), "act_f")).unwrap()[q.groups.of(e)] += pf * dy[e];
                        g.get_mut(&(name(n), "act_i")).unwrap()[q.groups.of(e)] += pi * dy[e];
                    }
                }
                op => {
                    for e in 0..x.len() {
                        dx[e] = dy[e]
                            * match op {
                                QOp::Relu => (x[e] > 0.0) as u8 as f64,
                                QOp::LeakyRelu { log2_slope } => {
                                    if x[e] > 0.0 {
                                        1.0
                                    } else {
                                        f64::from(*log2_slope).exp2()
                                    }
                                }
                                QOp::Sigmoid => y[e] * (1.0 - y[e]),
                                QOp::Tanh => 1.0 - y[e] * y[e],
                                QOp::Affine(a) => a.scale.value(e),
                                _ => 1.0,
                            };
                    }
                }
            }
            dv[node.inputs[0]].iter_mut().zip(dx).for_each(|(a, b)| *a += b);
        }
    }
    // EBOPs (spec A2.1)
    let (mut surrogate, mut enclosed, mut f_sum) = (0.0, 0.0, 0.0);
    let norm = |n: usize| if group_norm { 1.0 / (n as f64).sqrt() } else { 1.0 };
    for (n, node) in model.nodes.iter().enumerate() {
        let mut sum = |kind, f: &[f32]| {
            f_sum += f.iter().map(|&f| f64::from(f)).sum::<f64>();
            g.get_mut(&(name(n), kind)).unwrap().iter_mut().for_each(|g| *g += l1);
        };
        match &node.op {
            QOp::Dense(d) => sum("weight_f", &d.weight_f),
            QOp::Quantizer(q) => sum("act_f", &q.f),
            _ => {}
        }
        let QOp::Dense(d) = &node.op else { continue };
        let (above, relu) = net.above(node.inputs[0]);
        let QOp::Quantizer(q) = &model.nodes[above].op else { panic!() };
        let log = |v: f64| f64::from(floor_log2(v)) + 1.0;
        for i in 0..d.inputs {
            let a = q.groups.of(i);
            let ((min, max), f) = (ranges[above][a], rhe(q.f[a]));
            let ba = match &q.range {
                Range::Saturating { keep_negative, i, .. } => {
                    if max <= 0.0 && (relu || min >= 0.0) {
                        0.0
                    } else {
                        rhe(i[a]) + f + (keep_negative[a] && !relu) as u8 as f64
                    }
                }
                Range::Traced if relu => {
                    if max > 0.0 {
                        log(max) + f
                    } else {
                        0.0
                    }
                }
                Range::Traced => {
                    let m = max.abs().max(min.abs());
                    if m > 0.0 { log(m) + f + (min < 0.0) as u8 as f64 } else { 0.0 }
                }
            }
            .max(0.0);
            for o in 0..d.outputs {
                let e = i * d.outputs + o;
                let w = d.weight_groups.of(e);
                let largest =
                    (0..d.weight.len()).filter(|&e| d.weight_groups.of(e) == w).map(|e| weight(d, e).abs()).fold(0.0, f64::max);
                let bw = if largest > 0.0 { (log(largest) + rhe(d.weight_f[w])).max(0.0) } else { 0.0 };
                surrogate += ba * bw;
                let q_weight = weight(d, e);
                if q_weight != 0.0 {
                    enclosed += ba * f64::from(enclosed_bits((q_weight * f64::from(fractional_bits(q_weight)).exp2()) as i64));
                }
                if bw > 0.0 {
                    g.get_mut(&(name(n), "weight_f")).unwrap()[w] += beta * ba * norm(d.weight_groups.degeneracy());
                }
                if ba > 0.0 {
                    for kind in ["act_f", "act_i"] {
                        g.get_mut(&(name(above), kind)).unwrap()[a] += beta * bw * norm(q.groups.degeneracy());
                    }
                }
            }
        }
    }
    Step { task, total: task + beta * surrogate + l1 * f_sum, surrogate, enclosed, outputs, gradients: g }
}
