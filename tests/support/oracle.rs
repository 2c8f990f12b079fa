//! The training step written naively: one sample at a time, in f64, straight from the formulas. What the engine is compared with.
#![allow(dead_code)]

use hgq_onnx::graph::{Merge, Window};
use hgq_onnx::quant::kif::floor_log2;
use hgq_onnx::quant::model::{enclosed_bits, fractional_bits};
use hgq_onnx::quant::{BiasBits, Model, QDense, QOp, Quantizer, Range, Rounding};
use hgq_onnx::train::{EngineOptions, Head, LossKind, ParamKind, TaskLoss};
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

/// Quantized weight of a layer.
fn weight_of(op: &QOp, e: usize) -> f64 {
    match op {
        QOp::Dense(d) => weight(d, e),
        QOp::SaturatingDense(s) => quantize(&s.weight, e, f64::from(s.layer.weight[e])).0,
        _ => panic!(),
    }
}

/// Names of the two latent widths of a layer's weight or bias quantizer.
fn width_names(q: &Quantizer, bias: bool) -> [&'static str; 2] {
    match (matches!(q.range, Range::SaturatingKbi { .. }), bias) {
        (false, false) => ["weight_f", "weight_i"],
        (true, false) => ["weight_b", "weight_i"],
        (false, true) => ["bias_f", "bias_i"],
        (true, true) => ["bias_b", "bias_i"],
    }
}

/// Names of the latent widths that an activation's bits are the sum of.
fn act_names(q: &Quantizer) -> &'static [&'static str] {
    match q.range {
        Range::SaturatingKbi { .. } => &["act_b"],
        _ => &["act_f", "act_i"],
    }
}

/// HGQ2's counted bits of group `g` (spec B2), and whether they take a gradient.
fn counted(q: &Quantizer, g: usize) -> (f64, bool) {
    let (keep, width, symmetric) = match &q.range {
        Range::Saturating { keep_negative, i, symmetric } => (keep_negative[g], rhe(q.f[g]) + rhe(i[g]), *symmetric),
        Range::SaturatingKbi { keep_negative, symmetric, .. } => (keep_negative[g], rhe(q.f[g]), *symmetric),
        _ => panic!(),
    };
    (width.max(0.0) + (keep && !symmetric) as u8 as f64, width > 0.0)
}

type Gradients = HashMap<(String, &'static str), Vec<f64>>;

/// Adds `gradient·(∂first, ∂i)` of one width.
fn to_widths(g: &mut Gradients, node: &str, q: &Quantizer, bias: bool, group: usize, (first, i): (f64, f64)) {
    for (kind, d) in width_names(q, bias).into_iter().zip([first, i]) {
        g.get_mut(&(node.to_string(), kind)).unwrap()[group] += d;
    }
}

/// Gradients of a constant whose quantized value has the gradient `d`.
fn constant(g: &mut Gradients, node: &str, q: &Quantizer, bias: bool, (e, latent): (usize, f32), d: f64) {
    let (_, dx, df, di) = quantize(q, e, f64::from(latent));
    g.get_mut(&(node.to_string(), if bias { "bias" } else { "weight" })).unwrap()[e] += dx * d;
    to_widths(g, node, q, bias, q.groups.of(e), (df * d, di * d));
}

/// One product of a layer: (position, entry of the patch, output, element of the input), padding left out.
type Product = (usize, usize, usize, usize);

/// All products of a window whose outputs are split over its groups.
fn products(w: &Window, outputs: usize) -> Vec<Product> {
    let [height, width, channels] = w.input;
    let (rows, columns) = (
        (height + w.pads[0] + w.pads[2] - w.kernel[0]) / w.stride[0] + 1,
        (width + w.pads[1] + w.pads[3] - w.kernel[1]) / w.stride[1] + 1,
    );
    let (ins, outs) = (channels / w.groups, outputs / w.groups);
    let mut all = Vec::new();
    for (oy, ox) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
        for (ky, kx) in (0..w.kernel[0]).flat_map(|y| (0..w.kernel[1]).map(move |x| (y, x))) {
            let (y, x) = (oy * w.stride[0] + ky, ox * w.stride[1] + kx);
            if y < w.pads[0] || x < w.pads[1] || y - w.pads[0] >= height || x - w.pads[1] >= width {
                continue;
            }
            let pixel = (y - w.pads[0]) * width + x - w.pads[1];
            for (g, c, o) in (0..w.groups).flat_map(|g| (0..ins).flat_map(move |c| (0..outs).map(move |o| (g, c, o)))) {
                let k = (ky * w.kernel[1] + kx) * ins + c;
                all.push((oy * columns + ox, k, g * outs + o, pixel * channels + g * ins + c));
            }
        }
    }
    all
}

/// The elements under each output element of a pooling window, in the order of the window.
fn pooled(w: &Window) -> Vec<Vec<usize>> {
    let channels = w.input[2];
    let mut under: Vec<Vec<usize>> = Vec::new();
    for (position, _, o, e) in products(w, channels) {
        let at = position * channels + o;
        if under.len() <= at {
            under.resize(at + 1, Vec::new());
        }
        under[at].push(e);
    }
    under
}

fn layer_products(d: &QDense) -> Vec<Product> {
    match &d.window {
        Some(w) => products(w, d.outputs),
        None => (0..d.inputs).flat_map(|i| (0..d.outputs).map(move |o| (0, i, o, i))).collect(),
    }
}

/// For each element of the joined or padded sample its (operand, element); `None`: a zero.
fn moved(model: &Model, node: usize) -> Vec<Option<(usize, usize)>> {
    let node = &model.nodes[node];
    let to = &model.values[node.output].shape;
    let index = |mut e: usize, shape: &[usize]| {
        let mut at = vec![0; shape.len()];
        for (axis, n) in shape.iter().enumerate().rev() {
            (at[axis], e) = (e % n, e / n);
        }
        at
    };
    let flat = |at: &[usize], shape: &[usize]| at.iter().zip(shape).fold(0, |e, (a, n)| e * n + a);
    (0..to.iter().product())
        .map(|e| {
            let mut at = index(e, to);
            match &node.op {
                QOp::Concat { axis } => {
                    let mut which = 0;
                    loop {
                        let shape = &model.values[node.inputs[which]].shape;
                        if at[*axis] < shape[*axis] {
                            return Some((which, flat(&at, shape)));
                        }
                        at[*axis] -= shape[*axis];
                        which += 1;
                    }
                }
                QOp::Pad { before, .. } => {
                    let shape = &model.values[node.inputs[0]].shape;
                    for (axis, b) in before.iter().enumerate() {
                        if at[axis] < *b || at[axis] - b >= shape[axis] {
                            return None;
                        }
                        at[axis] -= b;
                    }
                    Some((0, flat(&at, shape)))
                }
                _ => panic!("moves nothing"),
            }
        })
        .collect()
}

/// A width: quantizer node, group, whether a Relu lies between.
type Width = (usize, usize, bool);

struct Network<'m> {
    model: &'m Model,
}

impl Network<'_> {
    /// The widths of each element of value `v`, of which the largest counts.
    fn above(&self, v: usize) -> Vec<Vec<Width>> {
        let n = self.model.producer(v).unwrap();
        let node = &self.model.nodes[n];
        let x = |which: usize| self.above(node.inputs[which]);
        let windows = |w: &Window| {
            let x = x(0);
            pooled(w).iter().map(|under| under.iter().flat_map(|&e| x[e].clone()).collect()).collect()
        };
        match &node.op {
            QOp::Quantizer(q) => (0..q.groups.elements()).map(|e| vec![(n, q.groups.of(e), false)]).collect(),
            QOp::Relu => x(0).into_iter().map(|set| set.into_iter().map(|(n, g, _)| (n, g, true)).collect()).collect(),
            QOp::LeakyRelu { .. } | QOp::Reshape => x(0),
            QOp::MaxPool(w) => windows(w),
            QOp::AveragePool(a) => windows(&a.window),
            QOp::Concat { .. } | QOp::Pad { .. } => {
                let inputs: Vec<_> = (0..node.inputs.len()).map(x).collect();
                moved(self.model, n).into_iter().map(|from| from.map_or(vec![], |(i, e)| inputs[i][e].clone())).collect()
            }
            _ => panic!("no width behind {}", node.name),
        }
    }

    fn below(&self, v: usize) -> Option<usize> {
        self.model.consumers(v).into_iter().find_map(|n| match self.model.nodes[n].op {
            QOp::Quantizer(_) => Some(n),
            QOp::Relu | QOp::LeakyRelu { .. } | QOp::Reshape | QOp::MaxPool(_) => self.below(self.model.nodes[n].output),
            _ => None,
        })
    }

    /// Quantized bias, and the (quantizer, group) pairs that have its width.
    fn bias(&self, node: usize, c: usize) -> (f64, Vec<(usize, usize)>) {
        let d = match &self.model.nodes[node].op {
            QOp::Dense(d) => d,
            QOp::SaturatingDense(s) => return (quantize(&s.bias, c, f64::from(s.layer.bias[c])).0, vec![]),
            _ => panic!(),
        };
        match &d.bias_bits {
            BiasBits::Own(f) => (round(f64::from(d.bias[c]), f64::from(f[c]), Rounding::HalfUp), vec![]),
            BiasBits::Activation => {
                let n = self.below(self.model.nodes[node].output).unwrap();
                let QOp::Quantizer(q) = &self.model.nodes[n].op else { panic!() };
                let mut groups: Vec<usize> =
                    (0..q.groups.elements()).filter(|e| e % d.outputs == c).map(|e| q.groups.of(e)).collect();
                groups.sort_unstable();
                groups.dedup();
                let most = groups.iter().map(|&g| q.f[g]).fold(f32::MIN, f32::max);
                let widest = groups.into_iter().filter(|&g| q.f[g] == most).map(|g| (n, g)).collect();
                (round(f64::from(d.bias[c]), rhe(most), q.rounding), widest)
            }
        }
    }
}

/// Loss of one sample (already divided as the mean asks) and its gradient: the sum over the heads, if there are any.
fn loss_of(z: &[f64], s: usize, batch: usize, data: &Samples, loss: &TaskLoss) -> (f64, Vec<f64>) {
    let all = Head {
        outputs: z.len(),
        kind: loss.kind,
        temperature: loss.temperature,
        labelled: data.labels.is_some(),
        class_weights: vec![],
    };
    let heads = if data.heads.is_empty() { std::slice::from_ref(&all) } else { data.heads };
    let labels = heads.iter().filter(|h| h.labelled).count();
    let (mut l, mut d, mut label, mut column) = (0.0, vec![], 0, 0);
    for head in heads {
        let class = head.labelled.then(|| data.labels.unwrap()[s * labels + label] as usize);
        label += head.labelled as usize;
        let of = |array: Option<&[f32]>| -> Option<Vec<f64>> {
            array.map(|v| v[s * z.len() + column..][..head.outputs].iter().map(|&v| f64::from(v)).collect())
        };
        let values = if data.heads.is_empty() || !head.labelled { of(data.values) } else { None };
        let (own, gradient) = head_loss(&z[column..][..head.outputs], head, class, values, of(data.teacher), loss);
        let weight = class.and_then(|c| head.class_weights.get(c)).map_or(1.0, |&w| f64::from(w));
        let count = match head.kind {
            LossKind::CrossEntropy => batch as f64,
            LossKind::Upstream => 1.0,
            _ => (batch * head.outputs) as f64,
        };
        l += weight * own / count;
        d.extend(gradient.into_iter().map(|g| weight * g / count));
        column += head.outputs;
    }
    (l, d)
}

/// Loss of a sample's output summed over its values, and the gradient.
fn head_loss(
    z: &[f64],
    head: &Head,
    label: Option<usize>,
    values: Option<Vec<f64>>,
    teacher: Option<Vec<f64>>,
    loss: &TaskLoss,
) -> (f64, Vec<f64>) {
    let (a, t) = (f64::from(loss.teacher_weight), f64::from(head.temperature));
    let n = z.len();
    let teacher = |c: usize| teacher.as_ref().map_or(0.0, |v| v[c]);
    let value = |c: usize| values.as_ref().map_or(label.map_or(0.0, |l| l as f64), |v| v[c]);
    let softmax = |v: Vec<f64>| {
        let m = v.iter().copied().fold(f64::MIN, f64::max);
        let e: Vec<f64> = v.iter().map(|v| (v - m).exp()).collect();
        let sum: f64 = e.iter().sum();
        e.into_iter().map(|e| e / sum).collect::<Vec<f64>>()
    };
    let (mut l, mut d) = (0.0, vec![0.0; n]);
    match head.kind {
        LossKind::CrossEntropy => {
            let p = softmax(z.to_vec());
            let pt = softmax(z.iter().map(|z| z / t).collect());
            let q = softmax((0..n).map(|c| teacher(c) / t).collect());
            for c in 0..n {
                let hit = (label == Some(c)) as u8 as f64;
                if a < 1.0 {
                    l -= (1.0 - a) * hit * p[c].ln();
                    d[c] += (1.0 - a) * (p[c] - hit);
                }
                if a > 0.0 {
                    let factor = a * t.max(1.0).powi(2);
                    l -= factor * q[c] * pt[c].ln();
                    d[c] += factor / t * (pt[c] - q[c]);
                }
            }
        }
        LossKind::Mse => {
            for c in 0..n {
                let (u, v) = (z[c] - value(c), z[c] - teacher(c));
                l += (1.0 - a) * u * u + a * v * v;
                d[c] = 2.0 * ((1.0 - a) * u + a * v);
            }
        }
        LossKind::Mae => {
            let sign = |x: f64| if x == 0.0 { 0.0 } else { x.signum() };
            for c in 0..n {
                let (u, v) = (z[c] - value(c), z[c] - teacher(c));
                l += (1.0 - a) * u.abs() + a * v.abs();
                d[c] = (1.0 - a) * sign(u) + a * sign(v);
            }
        }
        LossKind::Bce => {
            for c in 0..n {
                let p = 1.0 / (1.0 + (-z[c]).exp());
                let y = (1.0 - a) * value(c) + a / (1.0 + (-teacher(c)).exp());
                l -= y * p.ln() + (1.0 - y) * (1.0 - p).ln();
                d[c] = p - y;
            }
        }
        LossKind::Upstream => {
            for c in 0..n {
                l += z[c] * value(c);
                d[c] = value(c);
            }
        }
    }
    (l, d)
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
                QOp::Concat { .. } | QOp::Pad { .. } => {
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
                QOp::Concat { .. } | QOp::Pad { .. } => {
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
                                QOp::Sign => 0.5 * (x[e].abs() <= 1.0) as u8 as f64,
                                _ => 1.0,
                            };
                    }
                }
            }
            dv[node.inputs[0]].iter_mut().zip(dx).for_each(|(a, b)| *a += b);
        }
    }
    // EBOPs (spec A2.1)
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
