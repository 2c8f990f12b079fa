//! The training step written naively: one sample at a time, in f64, straight from the formulas.
//! What the engine is compared with.

mod loss;
mod network;
mod products;
mod quantizers;

use hgq_onnx::graph::Window;
use hgq_onnx::ops::{Elementwise, Merge, Move, Table};
use hgq_onnx::quant::kif::floor_log2;
use hgq_onnx::quant::model::{enclosed_bits, fractional_bits};
use hgq_onnx::quant::{Model, QOp, Range};
use hgq_onnx::train::{EngineOptions, Head, ParamKind, TaskLoss};
use loss::loss_of;
use network::{Network, Width};
use products::{Product, layer_products, moved, pooled};
use quantizers::*;
use std::collections::HashMap;
use std::f64::consts::LN_2;

pub struct Samples<'a> {
    pub x: &'a [f32],
    pub labels: Option<&'a [u32]>,
    pub values: Option<&'a [f32]>,
    pub teacher: Option<&'a [f32]>,
    pub heads: &'a [Head],
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
        ParamKind::ActB => "act_b",
        ParamKind::WeightB => "weight_b",
        ParamKind::WeightI => "weight_i",
        ParamKind::BiasF => "bias_f",
        ParamKind::BiasB => "bias_b",
        ParamKind::BiasI => "bias_i",
    }
}

pub fn step(model: &Model, data: &Samples, batch: &[u32], loss: &TaskLoss, beta: f64, l1: f64, options: &EngineOptions) -> Step {
    let group_norm = options.group_norm;
    let beta_scale = |node: &str| options.layers.iter().find(|l| l.node == node).map_or(1.0, |l| f64::from(l.beta_scale));
    let net = Network { model };
    let mut g: Gradients = HashMap::new();
    for node in &model.nodes {
        let mut zero = |kind, n| g.insert((node.name.clone(), kind), vec![0.0; n]);
        match &node.op {
            QOp::Dense(d) => {
                zero("weight", d.weight.len());
                zero("bias", d.bias.len());
                zero("weight_f", d.weight_f.len());
            }
            QOp::SaturatingDense(s) => {
                zero("weight", s.layer.weight.len());
                zero("bias", s.layer.bias.len());
                for (q, bias) in [(&s.weight, false), (&s.bias, true)] {
                    width_names(q, bias).into_iter().for_each(|kind| drop(zero(kind, q.f.len())));
                }
            }
            QOp::Quantizer(q) => {
                zero("act_f", q.f.len());
                zero("act_b", q.f.len());
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
    let inputs: usize = model.inputs.iter().map(|&v| model.len_of(v)).sum();
    let layers: Vec<Vec<Product>> = model.nodes.iter().map(|n| n.op.layer().map_or_else(Vec::new, layer_products)).collect();
    for &s in batch {
        let s = s as usize;
        let mut v: Vec<Vec<f64>> = vec![Vec::new(); model.values.len()];
        let mut start = s * inputs;
        for &input in &model.inputs {
            v[input] = data.x[start..][..model.len_of(input)].iter().map(|&x| f64::from(x)).collect();
            start += model.len_of(input);
        }
        for (n, node) in model.nodes.iter().enumerate() {
            let x = v[node.inputs[0]].clone();
            v[node.output] = match &node.op {
                QOp::Move(Move::Reshape) => x,
                QOp::Elementwise(f) => x.iter().map(|&x| function(*f, x).0).collect(),
                QOp::Affine(a) => x.iter().enumerate().map(|(e, x)| x * a.scale.value(e) + a.shift.value(e)).collect(),
                QOp::Quantizer(q) => {
                    let y: Vec<f64> = x.iter().enumerate().map(|(e, &x)| quantize(q, e, x).0).collect();
                    for (e, &y) in y.iter().enumerate() {
                        let r = &mut ranges[n][q.groups.of(e)];
                        *r = (r.0.min(y), r.1.max(y));
                    }
                    y
                }
                QOp::Dense(_) | QOp::SaturatingDense(_) => {
                    let d = node.op.layer().unwrap();
                    let bias: Vec<f64> = (0..d.outputs).map(|o| net.bias(n, o).0).collect();
                    let mut y: Vec<f64> = (0..model.len_of(node.output)).map(|e| bias[e % d.outputs]).collect();
                    for &(p, k, o, e) in &layers[n] {
                        y[p * d.outputs + o] += x[e] * weight_of(&node.op, k * d.outputs + o);
                    }
                    y
                }
                QOp::Sign => x.iter().map(|&x| if x < 0.0 { -1.0 } else { 0.0 }).collect(),
                QOp::MaxPool(w) => pooled(w).iter().map(|u| u.iter().map(|&e| x[e]).fold(f64::MIN, f64::max)).collect(),
                QOp::AveragePool(a) => {
                    pooled(&a.window).iter().map(|u| a.reciprocal.value(0) * u.iter().map(|&e| x[e]).sum::<f64>()).collect()
                }
                QOp::Merge(m) => {
                    let both = x.iter().zip(&v[node.inputs[1]]);
                    both.map(|(&a, &b)| match m {
                        Merge::Add => a + b,
                        Merge::Sub => a - b,
                        Merge::Mul => a * b,
                        Merge::Max => a.max(b),
                        Merge::Min => a.min(b),
                    })
                    .collect()
                }
                QOp::Move(Move::Concat { .. } | Move::Pad { .. } | Move::Permute { .. } | Move::Select { .. }) => {
                    moved(model, n).into_iter().map(|from| from.map_or(0.0, |(i, e)| v[node.inputs[i]][e])).collect()
                }
            };
        }
        let joined: Vec<f64> = model.outputs.iter().flat_map(|&o| v[o].clone()).collect();
        let (l, dz) = loss_of(&joined, s, batch.len(), data, loss);
        task += l;
        outputs.extend_from_slice(&joined);
        let mut dv: Vec<Vec<f64>> = v.iter().map(|v| vec![0.0; v.len()]).collect();
        let mut start = 0;
        for &out in &model.outputs {
            for d in &mut dv[out] {
                *d += dz[start];
                start += 1;
            }
        }
        for (n, node) in model.nodes.iter().enumerate().rev() {
            let (x, y, dy) = (v[node.inputs[0]].clone(), v[node.output].clone(), dv[node.output].clone());
            let mut dx = vec![0.0; x.len()];
            match &node.op {
                QOp::SaturatingDense(s) => {
                    let outputs = s.layer.outputs;
                    for (e, &dy) in dy.iter().enumerate() {
                        let o = e % outputs;
                        constant(&mut g, &node.name, &s.bias, true, (o, s.layer.bias[o]), dy);
                    }
                    for &(p, k, o, from) in &layers[n] {
                        let (e, dy) = (k * outputs + o, dy[p * outputs + o]);
                        dx[from] += dy * weight_of(&node.op, e);
                        constant(&mut g, &node.name, &s.weight, false, (e, s.layer.weight[e]), dy * x[from]);
                    }
                }
                QOp::Dense(d) => {
                    for (e, &dy) in dy.iter().enumerate() {
                        let o = e % d.outputs;
                        g.get_mut(&(name(n), "bias")).unwrap()[o] += dy;
                        let (b, widest) = net.bias(n, o);
                        for (q, group) in &widest {
                            let df = LN_2 * (f64::from(d.bias[o]) - b) * dy / widest.len() as f64;
                            g.get_mut(&(name(*q), "act_f")).unwrap()[*group] += df;
                        }
                    }
                    for &(p, k, o, from) in &layers[n] {
                        let (e, dy) = (k * d.outputs + o, dy[p * d.outputs + o]);
                        dx[from] += dy * weight(d, e);
                        g.get_mut(&(name(n), "weight")).unwrap()[e] += dy * x[from];
                        let df = LN_2 * (f64::from(d.weight[e]) - weight(d, e)) * dy * x[from];
                        g.get_mut(&(name(n), "weight_f")).unwrap()[d.weight_groups.of(e)] += df;
                    }
                }
                QOp::MaxPool(w) => {
                    for (under, (&y, &dy)) in pooled(w).iter().zip(y.iter().zip(&dy)) {
                        dx[*under.iter().find(|&&e| x[e] == y).unwrap()] += dy;
                    }
                }
                QOp::AveragePool(a) => {
                    for (under, &dy) in pooled(&a.window).iter().zip(&dy) {
                        under.iter().for_each(|&e| dx[e] += dy * a.reciprocal.value(0));
                    }
                }
                QOp::Merge(m) => {
                    let b = v[node.inputs[1]].clone();
                    for e in 0..x.len() {
                        let (da, db) = match m {
                            Merge::Add => (1.0, 1.0),
                            Merge::Sub => (1.0, -1.0),
                            Merge::Mul => (b[e], x[e]),
                            Merge::Max if x[e] >= b[e] => (1.0, 0.0),
                            Merge::Min if x[e] <= b[e] => (1.0, 0.0),
                            Merge::Max | Merge::Min => (0.0, 1.0),
                        };
                        dx[e] = da * dy[e];
                        dv[node.inputs[1]][e] += db * dy[e];
                    }
                }
                QOp::Move(Move::Concat { .. } | Move::Pad { .. } | Move::Permute { .. } | Move::Select { .. }) => {
                    for (from, &dy) in moved(model, n).into_iter().zip(&dy) {
                        if let Some((i, e)) = from {
                            dv[node.inputs[i]][e] += dy;
                        }
                    }
                }
                QOp::Quantizer(q) => {
                    for e in 0..x.len() {
                        let (_, px, pf, pi) = quantize(q, e, x[e]);
                        dx[e] = px * dy[e];
                        let first = act_names(q)[0];
                        g.get_mut(&(name(n), first)).unwrap()[q.groups.of(e)] += pf * dy[e];
                        g.get_mut(&(name(n), "act_i")).unwrap()[q.groups.of(e)] += pi * dy[e];
                    }
                }
                op => {
                    for e in 0..x.len() {
                        dx[e] = dy[e]
                            * match op {
                                QOp::Elementwise(f) => function(*f, x[e]).1,
                                QOp::Affine(a) => a.scale.value(e),
                                QOp::Sign => 0.5 * (x[e].abs() <= 1.0) as u8 as f64,
                                _ => 1.0,
                            };
                    }
                }
            }
            dv[node.inputs[0]].iter_mut().zip(dx).for_each(|(a, b)| *a += b);
        }
    }
    // EBOPs (docs/hgq-spec.md#a2-1)
    let (mut surrogate, mut enclosed, mut f_sum, mut penalty) = (0.0, 0.0, 0.0, 0.0);
    let norm = |n: usize| if group_norm { 1.0 / (n as f64).sqrt() } else { 1.0 };
    for (n, node) in model.nodes.iter().enumerate() {
        let mut sum = |kind, f: &[f32]| {
            f_sum += f.iter().map(|&f| f64::from(f)).sum::<f64>();
            g.get_mut(&(name(n), kind)).unwrap().iter_mut().for_each(|g| *g += l1);
        };
        match &node.op {
            QOp::Dense(d) => sum("weight_f", &d.weight_f),
            QOp::Quantizer(q) => sum(act_names(q)[0], &q.f),
            QOp::SaturatingDense(s) => {
                for (q, bias) in [(&s.weight, false), (&s.bias, true)] {
                    sum(width_names(q, bias)[0], &q.f);
                    if let Range::Saturating { i, .. } = &q.range {
                        sum(width_names(q, bias)[1], i);
                    }
                }
            }
            _ => {}
        }
        let Some(d) = node.op.layer() else { continue };
        let beta = beta * beta_scale(&node.name);
        let above = net.above(node.inputs[0]);
        let log = |v: f64| f64::from(floor_log2(v)) + 1.0;
        let width = |&(n, a, relu): &Width| {
            let QOp::Quantizer(q) = &model.nodes[n].op else { panic!() };
            let ((min, max), f) = (ranges[n][a], rhe(q.f[a]));
            let bits = match &q.range {
                Range::Tracked { i } => rhe(i[a]) + f,
                Range::SaturatingKbi { keep_negative, .. } => {
                    if max <= 0.0 && (relu || min >= 0.0) {
                        0.0
                    } else {
                        f + (keep_negative[a] && !relu) as u8 as f64
                    }
                }
                Range::Saturating { keep_negative, i, .. } | Range::Declared { keep_negative, i } => {
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
            };
            bits.max(0.0)
        };
        let weight_bits: Vec<f64> = (0..d.weight_f.len())
            .map(|w| {
                let of = |&e: &usize| d.weight_groups.of(e) == w;
                let largest = (0..d.weight.len()).filter(of).map(|e| weight(d, e).abs()).fold(0.0, f64::max);
                if largest > 0.0 { (log(largest) + rhe(d.weight_f[w])).max(0.0) } else { 0.0 }
            })
            .collect();
        let parallel = d.ebops_scale * d.window.as_ref().map_or(1, Window::positions) as f64;
        let weight_norm = if group_norm { 1.0 / (d.weight_groups.degeneracy() as f64 * parallel).sqrt() } else { 1.0 };
        for &(_, k, o, from) in &layers[n] {
            let (e, sources) = (k * d.outputs + o, &above[from]);
            let ba = sources.iter().map(width).fold(0.0, f64::max) * d.ebops_scale;
            let w = d.weight_groups.of(e);
            let bw = match &node.op {
                QOp::SaturatingDense(s) => counted(&s.weight, w).0,
                _ => weight_bits[w],
            };
            surrogate += ba * bw;
            penalty += beta * ba * bw;
            let q_weight = weight_of(&node.op, e);
            if q_weight != 0.0 {
                enclosed += ba * f64::from(enclosed_bits((q_weight * f64::from(fractional_bits(q_weight)).exp2()) as i64));
            }
            match &node.op {
                QOp::SaturatingDense(s) if counted(&s.weight, w).1 => {
                    let kif = matches!(s.weight.range, Range::Saturating { .. }) as u8 as f64;
                    to_widths(&mut g, &node.name, &s.weight, false, w, (beta * ba, kif * beta * ba));
                }
                QOp::Dense(_) if bw > 0.0 => g.get_mut(&(name(n), "weight_f")).unwrap()[w] += beta * ba * weight_norm,
                _ => {}
            }
            if ba > 0.0 {
                let &(q, a, _) = sources.iter().find(|s| width(s) * d.ebops_scale == ba).unwrap();
                let QOp::Quantizer(of) = &model.nodes[q].op else { panic!() };
                for &kind in act_names(of) {
                    g.get_mut(&(name(q), kind)).unwrap()[a] += beta * bw * d.ebops_scale * norm(of.groups.degeneracy());
                }
            }
        }
    }
    for node in &model.nodes {
        let QOp::SaturatingDense(s) = &node.op else { continue };
        let beta = beta * beta_scale(&node.name);
        let times = s.layer.window.as_ref().map_or(1.0, |w| (w.input[0] * w.input[1]) as f64);
        let kif = matches!(s.bias.range, Range::Saturating { .. }) as u8 as f64;
        for o in 0..s.layer.outputs {
            let group = s.bias.groups.of(o);
            let (bits, learns) = counted(&s.bias, group);
            surrogate += times * bits;
            penalty += beta * times * bits;
            if learns {
                to_widths(&mut g, &node.name, &s.bias, true, group, (beta * times, kif * beta * times));
            }
        }
    }
    Step { task, total: task + penalty + l1 * f_sum, surrogate, enclosed, outputs, gradients: g }
}

/// Value and derivative of a function at `x`.
fn function(f: Elementwise, x: f64) -> (f64, f64) {
    let (lambda, alpha) = (1.0507009873554805, 1.6732632423543772);
    let bent = |slope: f64| if x > 0.0 { (x, 1.0) } else { (slope * x, slope) };
    match f {
        Elementwise::Relu => bent(0.0),
        Elementwise::LeakyRelu { slope } => bent(slope.into()),
        Elementwise::ThresholdedRelu { alpha } => {
            if x > f64::from(alpha) {
                (x, 1.0)
            } else {
                (0.0, 0.0)
            }
        }
        Elementwise::Elu { alpha } => {
            let alpha = f64::from(alpha);
            if x > 0.0 { (x, 1.0) } else { (alpha * (x.exp() - 1.0), alpha * x.exp()) }
        }
        Elementwise::Selu => {
            if x > 0.0 {
                (lambda * x, lambda)
            } else {
                (lambda * alpha * (x.exp() - 1.0), lambda * alpha * x.exp())
            }
        }
        Elementwise::Table(Table::Sigmoid) => {
            let y = 1.0 / (1.0 + (-x).exp());
            (y, y * (1.0 - y))
        }
        Elementwise::Table(Table::Tanh) => (x.tanh(), 1.0 - x.tanh().powi(2)),
        Elementwise::Table(Table::Softplus) => ((x.exp() + 1.0).ln(), 1.0 / (1.0 + (-x).exp())),
        Elementwise::Table(Table::Softsign) => (x / (1.0 + x.abs()), (1.0 + x.abs()).powi(-2)),
    }
}
