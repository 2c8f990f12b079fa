//! Exact models for the proxy tests, and an evaluation of them that shares no code with the
//! library: 128-bit integers with a grid of their own per element.

use hgq_onnx::graph::{Node, ValueId, Window};
use hgq_onnx::ops::{Elementwise, Merge, Move, Table};
use hgq_onnx::quant::{
    AveragePool, FixedAffine, FixedDense, FixedModel, FixedOp, FixedQuantizer, FixedTensor, Kif, Overflow, Rounding,
};

/// A small linear congruential generator: the same nets everywhere.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    pub fn range(&mut self, lo: i64, hi: i64) -> i64 {
        lo + (self.next() % (hi - lo + 1) as u64) as i64
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    /// Any format with a few bits, zero-width and one-bit signed ones included.
    pub fn format(&mut self, signed: bool, max_f: i64) -> Kif {
        let (f, bits) = (self.range(-1, max_f) as i32, self.range(0, 6) as i32);
        let k = signed && self.chance(70);
        Kif::new(k, bits - i32::from(k) - f, f)
    }
}

/// Builds a chain.
pub struct Net {
    pub model: FixedModel,
    pub last: ValueId,
}

impl Net {
    pub fn new(shape: &[usize]) -> Net {
        let mut model = FixedModel { name: "net".into(), values: vec![], nodes: vec![], inputs: vec![], outputs: vec![] };
        let last = model.add_value("x.0", shape.to_vec());
        model.inputs.push(last);
        Net { model, last }
    }

    pub fn len(&self) -> usize {
        self.model.len_of(self.last)
    }

    pub fn op(mut self, op: FixedOp, shape: Vec<usize>) -> Net {
        let n = self.model.nodes.len();
        let output = self.model.add_value(format!("v/{n}"), shape);
        self.model.nodes.push(Node { name: format!("node{n}"), op, inputs: vec![self.last], output });
        self.last = output;
        self
    }

    /// A further model input.
    pub fn another_input(mut self, shape: &[usize]) -> Net {
        self.last = self.model.add_value(format!("x.{}", self.model.inputs.len()), shape.to_vec());
        self.model.inputs.push(self.last);
        self
    }

    /// Reads another value from here on.
    // only nets of tests/hls4ml do
    #[allow(dead_code)]
    pub fn at(mut self, value: ValueId) -> Net {
        self.last = value;
        self
    }

    pub fn shape(&self) -> Vec<usize> {
        self.model.values[self.last].shape.clone()
    }

    /// An operation of this value and others.
    pub fn with(mut self, others: &[ValueId], op: FixedOp, shape: Vec<usize>) -> Net {
        self = self.op(op, shape);
        if let Some(node) = self.model.nodes.last_mut() {
            node.inputs.extend_from_slice(others);
        }
        self
    }

    pub fn merge(self, merge: Merge, other: ValueId) -> Net {
        let shape = self.shape();
        self.with(&[other], FixedOp::Merge(merge), shape)
    }

    pub fn concat(self, others: &[ValueId], axis: usize) -> Net {
        let mut shape = self.shape();
        shape[axis] += others.iter().map(|&v| self.model.values[v].shape[axis]).sum::<usize>();
        self.with(others, FixedOp::Move(Move::Concat { axis }), shape)
    }

    pub fn pad(self, before: &[usize], after: &[usize]) -> Net {
        let shape = self.shape().iter().zip(before).zip(after).map(|((s, b), a)| s + b + a).collect();
        self.op(FixedOp::Move(Move::Pad { before: before.to_vec(), after: after.to_vec() }), shape)
    }

    /// The window of a layer on `[H, W, C]` or `[L, C]`; a line uses the second entries.
    pub fn window(&self, kernel: [usize; 2], stride: [usize; 2], pads: [usize; 4], groups: usize) -> Window {
        match self.shape()[..] {
            [h, w, c] => Window { input: [h, w, c], kernel, stride, pads, groups },
            [l, c] => Window {
                input: [1, l, c],
                kernel: [1, kernel[1]],
                stride: [1, stride[1]],
                pads: [0, pads[1], 0, pads[3]],
                groups,
            },
            ref other => panic!("no window on {other:?}"),
        }
    }

    fn behind(&self, window: &Window, channels: usize) -> Vec<usize> {
        let [h, w] = window.output();
        if self.shape().len() == 2 { vec![w, channels] } else { vec![h, w, channels] }
    }

    /// Random weights like [`Net::dense`]; some kernels and channels all zero.
    pub fn conv(self, rng: &mut Rng, outputs: usize, window: Window) -> Net {
        let (patch, channels) = (window.patch(), window.group_channels());
        let dead: Vec<bool> = (0..channels).map(|_| rng.chance(8)).collect();
        let mut weight = vec![0; patch * outputs];
        for o in 0..outputs {
            let closed = rng.chance(8);
            for k in 0..patch {
                let bits = rng.range(0, 4);
                let w = rng.range(-(1 << bits) + 1, (1 << bits) - 1);
                weight[k * outputs + o] = if closed || dead[k % channels] || rng.chance(33) { 0 } else { w };
            }
        }
        let shape = self.behind(&window, outputs);
        let op = FixedOp::Dense(FixedDense {
            inputs: patch,
            outputs,
            weight_bits: vec![0; weight.len()],
            bias_bits: vec![0; outputs],
            weight: FixedTensor { ints: weight, frac: 4 },
            bias: FixedTensor { ints: (0..outputs).map(|_| rng.range(-40, 40)).collect(), frac: 5 },
            window: Some(window),
            ebops_scale: 1.0,
        });
        self.op(op, shape)
    }

    pub fn max_pool(self, kernel: [usize; 2], stride: [usize; 2], pads: [usize; 4]) -> Net {
        let channels = self.shape().last().copied().unwrap_or(1);
        let window = self.window(kernel, stride, pads, channels);
        let shape = self.behind(&window, channels);
        self.op(FixedOp::MaxPool(window), shape)
    }

    /// With the reciprocal of the kernel on a grid of 8 bits.
    pub fn average_pool(self, kernel: [usize; 2], stride: [usize; 2], pads: [usize; 4]) -> Net {
        let channels = self.shape().last().copied().unwrap_or(1);
        let window = self.window(kernel, stride, pads, channels);
        let shape = self.behind(&window, channels);
        let reciprocal = FixedTensor { ints: vec![(256 / window.taps()) as i64], frac: 8 };
        self.op(FixedOp::AveragePool(AveragePool { window, reciprocal }), shape)
    }

    /// Random formats per channel.
    pub fn channel_quantize(self, rng: &mut Rng, signed: bool, rounding: Rounding) -> Net {
        let channels = self.shape().last().copied().unwrap_or(1);
        let formats: Vec<Kif> = (0..channels).map(|_| rng.format(signed, 4)).collect();
        let formats = (0..self.len()).map(|e| formats[e % channels]).collect();
        self.quantize(formats, rounding)
    }

    /// Constants per channel.
    pub fn channel_affine(self, rng: &mut Rng, bits: u32, frac: i32) -> Net {
        let channels = self.shape().last().copied().unwrap_or(1);
        let len = self.len();
        let mut draw = || {
            let top = (1i64 << bits) - 1;
            let each: Vec<i64> = (0..channels).map(|_| rng.range(-top, top) | 1).collect();
            FixedTensor { ints: (0..len).map(|e| each[e % channels]).collect(), frac }
        };
        let (scale, shift) = (draw(), draw());
        self.same(FixedOp::Affine(FixedAffine { scale, shift }))
    }

    fn same(self, op: FixedOp) -> Net {
        let shape = self.model.values[self.last].shape.clone();
        self.op(op, shape)
    }

    pub fn quantize(self, formats: Vec<Kif>, rounding: Rounding) -> Net {
        self.same(FixedOp::Quantize(FixedQuantizer::new(formats, rounding, Overflow::Sat)))
    }

    pub fn quantize_sym(self, formats: Vec<Kif>, rounding: Rounding) -> Net {
        self.same(FixedOp::Quantize(FixedQuantizer::new(formats, rounding, Overflow::SatSym)))
    }

    /// Per-element random formats.
    pub fn random_quantize(self, rng: &mut Rng, signed: bool, rounding: Rounding) -> Net {
        let formats = (0..self.len()).map(|_| rng.format(signed, 4)).collect();
        self.quantize(formats, rounding)
    }

    /// All elements alike.
    pub fn one_format(self, k: bool, i: i32, f: i32, rounding: Rounding) -> Net {
        let formats = vec![Kif::new(k, i, f); self.len()];
        self.quantize(formats, rounding)
    }

    /// Random weights of 0 to 5 bits, a third of them 0; some columns and rows all zero.
    pub fn dense(self, rng: &mut Rng, outputs: usize) -> Net {
        let inputs = self.len();
        let dead: Vec<bool> = (0..inputs).map(|_| rng.chance(8)).collect();
        let mut weight = vec![0; inputs * outputs];
        for o in 0..outputs {
            let closed = rng.chance(8);
            for i in 0..inputs {
                let bits = rng.range(0, 5);
                let w = rng.range(-(1 << bits) + 1, (1 << bits) - 1);
                weight[i * outputs + o] = if closed || dead[i] || rng.chance(33) { 0 } else { w };
            }
        }
        let bias = (0..outputs).map(|_| rng.range(-40, 40)).collect();
        self.given_dense(inputs, outputs, weight, 4, bias, 5)
    }

    pub fn given_dense(self, inputs: usize, outputs: usize, weight: Vec<i64>, frac: i32, bias: Vec<i64>, bias_frac: i32) -> Net {
        let op = FixedOp::Dense(FixedDense {
            inputs,
            outputs,
            weight_bits: vec![0; weight.len()],
            bias_bits: vec![0; outputs],
            weight: FixedTensor { ints: weight, frac },
            bias: FixedTensor { ints: bias, frac: bias_frac },
            window: None,
            ebops_scale: 1.0,
        });
        self.op(op, vec![outputs])
    }

    pub fn relu(self) -> Net {
        self.same(FixedOp::Elementwise(Elementwise::Relu))
    }

    pub fn leaky(self, log2_slope: i32) -> Net {
        self.function(Elementwise::LeakyRelu { slope: 2f32.powi(log2_slope) })
    }

    pub fn function(self, f: Elementwise) -> Net {
        self.same(FixedOp::Elementwise(f))
    }

    pub fn sigmoid(self) -> Net {
        self.same(FixedOp::Elementwise(Elementwise::Table(Table::Sigmoid)))
    }

    pub fn tanh(self) -> Net {
        self.same(FixedOp::Elementwise(Elementwise::Table(Table::Tanh)))
    }

    /// Element `j` of the result is element `source[j]`.
    pub fn select(self, shape: &[usize], source: Vec<usize>) -> Net {
        self.op(FixedOp::Move(Move::Select { source: source.into_iter().map(Some).collect() }), shape.to_vec())
    }

    pub fn reshape(self, shape: &[usize]) -> Net {
        self.op(FixedOp::Move(Move::Reshape), shape.to_vec())
    }

    /// Constants with `bits` significant bits on the grid `2^-frac`.
    pub fn affine(self, rng: &mut Rng, bits: u32, frac: i32) -> Net {
        let mut draw = || {
            let top = (1i64 << bits) - 1;
            FixedTensor { ints: (0..self.len()).map(|_| rng.range(-top, top) | 1).collect(), frac }
        };
        let (scale, shift) = (draw(), draw());
        self.same(FixedOp::Affine(FixedAffine { scale, shift }))
    }

    pub fn done(mut self) -> FixedModel {
        self.model.outputs.push(self.last);
        self.model
    }
}

/// Samples that lie on the input grids, between them, on their ties, just beside them, at 0 and far
/// outside.
pub fn samples(rng: &mut Rng, elements: usize, samples: usize) -> Vec<f32> {
    (0..samples * elements)
        .map(|_| match rng.range(0, 9) {
            0..=2 => rng.range(-640, 640) as f32 / 64.0,
            3 | 4 => rng.range(-64, 64) as f32 / 32.0,
            5 | 6 => rng.range(-300_000_000, 300_000_000) as f32 / 77_777_777.0,
            7 => rng.range(-64, 64) as f32 / 32.0 + if rng.chance(50) { 1e-6 } else { -1e-6 },
            8 => rng.range(-30_000, 30_000) as f32 + 0.3,
            _ => rng.range(-1, 1) as f32 * 1e-7,
        })
        .collect()
}

#[derive(Clone, Copy)]
struct Num(i128, i32);

impl Num {
    fn at(self, frac: i32) -> i128 {
        assert!(frac >= self.1 || self.0 == 0);
        if self.0 == 0 { 0 } else { self.0 << (frac - self.1) }
    }

    fn plus(self, o: Num) -> Num {
        let f = if self.0 == 0 {
            o.1
        } else if o.0 == 0 {
            self.1
        } else {
            self.1.max(o.1)
        };
        Num(self.at(f) + o.at(f), f)
    }

    fn value(self) -> f64 {
        self.0 as f64 * 2f64.powi(-self.1)
    }

    fn times(self, by: f32) -> Num {
        let (mut int, mut frac) = (f64::from(by), 0);
        while int.fract() != 0.0 {
            (int, frac) = (2.0 * int, frac + 1);
        }
        Num(self.0 * int as i128, self.1 + frac)
    }
}

fn quantize(x: Num, k: Kif, rounding: Rounding, overflow: Overflow) -> Num {
    let bits = i32::from(k.keep_negative) + k.integer + k.fractional;
    if bits <= 0 {
        return Num(0, 0);
    }
    let drop = x.1 - k.fractional;
    let v = if drop <= 0 {
        x.0 << -drop
    } else {
        let (unit, up) = (1i128 << drop, |v: i128| v.div_euclid(1i128 << drop));
        match rounding {
            Rounding::Floor => up(x.0),
            Rounding::Ceil => -up(-x.0),
            Rounding::HalfUp => up(x.0 + unit / 2),
            Rounding::HalfDown => -up(-x.0 + unit / 2),
            Rounding::HalfEven => {
                let (a, b) = (up(x.0 + unit / 2), -up(-x.0 + unit / 2));
                if a % 2 == 0 { a } else { b }
            }
        }
    };
    let hi = (1i128 << (k.integer + k.fractional)) - 1;
    let lo = match (k.keep_negative, overflow) {
        (false, _) => 0,
        (true, Overflow::SatSym) => -hi,
        (true, _) => -hi - 1,
    };
    let v = if overflow == Overflow::Wrap { (v - lo).rem_euclid(hi - lo + 1) + lo } else { v.clamp(lo, hi) };
    Num(v, k.fractional)
}

/// What hls4ml gives for `x`, from the definition of its functions.
fn function(f: Elementwise, x: Num) -> Num {
    let exp = |v: f64| v.exp() - 1.0;
    let selu = |v: f64| 1.0507009873554805 * 1.6732632423543772 * exp(v);
    // entries of 1/128 below 0
    let below = |f: &dyn Fn(f64) -> f64| {
        let steps = ((-x.0 * 128) / (1i128 << x.1.max(0))) << (-x.1).max(0);
        Num((f(-steps.min(1023) as f64 / 128.0) * 1024.0).floor() as i128, 10)
    };
    match f {
        Elementwise::Relu => Num(x.0.max(0), x.1),
        Elementwise::LeakyRelu { slope } if x.0 < 0 => x.times(slope),
        Elementwise::LeakyRelu { .. } => x,
        Elementwise::ThresholdedRelu { alpha } => {
            if x.value() > f64::from(alpha) {
                x
            } else {
                Num(0, 0)
            }
        }
        Elementwise::Elu { alpha } if x.0 < 0 => below(&exp).times(alpha),
        Elementwise::Elu { .. } => x,
        Elementwise::Selu if x.0 < 0 => below(&selu),
        Elementwise::Selu => x.times((1.0507009873554805f64 * 32768.0).floor() as f32 / 32768.0),
        Elementwise::Table(Table::Sigmoid) => table(x, 64, |v| 1.0 / (1.0 + (-v).exp())),
        Elementwise::Table(Table::Tanh) => table(x, 128, f64::tanh),
        Elementwise::Table(Table::Softplus) => table(x, 64, |v| (v.exp() + 1.0).ln()),
        Elementwise::Table(Table::Softsign) => table(x, 64, |v| v / (v.abs() + 1.0)),
    }
}

fn table(x: Num, per_unit: i128, f: impl Fn(f64) -> f64) -> Num {
    let scaled = x.0 * per_unit;
    let index = if x.1 >= 0 { scaled / (1 << x.1) } else { scaled << -x.1 };
    let entry = index.clamp(-512, 511) as f64 / per_unit as f64;
    Num((f(entry) * 1024.0).floor() as i128, 10)
}

fn larger(a: Num, b: Num) -> bool {
    let f = a.1.max(b.1);
    let at = |n: Num| if n.0 == 0 { 0 } else { n.at(f) };
    at(a) > at(b)
}

/// Row and column of the input under a tap, straight from the definition of a window.
fn under(w: &Window, out: [usize; 2], tap: [usize; 2]) -> Option<usize> {
    let at = |axis: usize| {
        let v = (out[axis] * w.stride[axis] + tap[axis]) as i64 - w.pads[axis] as i64;
        (0..w.input[axis] as i64).contains(&v).then_some(v as usize)
    };
    Some(at(0)? * w.input[1] + at(1)?)
}

fn slid(w: &Window, outputs: usize, mut at: impl FnMut(&dyn Fn(usize, usize) -> Option<usize>, usize) -> Num) -> Vec<Num> {
    let [height, width] = w.output();
    let mut out = Vec::new();
    for row in 0..height {
        for column in 0..width {
            let pixel = |y: usize, x: usize| under(w, [row, column], [y, x]);
            out.extend((0..outputs).map(|o| at(&pixel, o)));
        }
    }
    out
}

fn convolution(d: &FixedDense, w: &Window, x: &[Num]) -> Vec<Num> {
    let (channels, share) = (w.input[2] / w.groups, d.outputs / w.groups);
    slid(w, d.outputs, |pixel, o| {
        let mut sum = Num(d.bias.ints[o].into(), d.bias.frac);
        for ky in 0..w.kernel[0] {
            for kx in 0..w.kernel[1] {
                for c in 0..channels {
                    let weight = d.weight.ints[((ky * w.kernel[1] + kx) * channels + c) * d.outputs + o];
                    if let Some(p) = pixel(ky, kx) {
                        let v = x[p * w.input[2] + o / share * channels + c];
                        sum = sum.plus(Num(v.0 * i128::from(weight), v.1 + d.weight.frac));
                    }
                }
            }
        }
        sum
    })
}

fn pooled(w: &Window, x: &[Num], reciprocal: Option<&FixedTensor>) -> Vec<Num> {
    slid(w, w.input[2], |pixel, c| {
        let taps = (0..w.kernel[0]).flat_map(|ky| (0..w.kernel[1]).map(move |kx| (ky, kx)));
        let under: Vec<Num> = taps.filter_map(|(ky, kx)| pixel(ky, kx)).map(|p| x[p * w.input[2] + c]).collect();
        match reciprocal {
            None => under.iter().copied().reduce(|a, b| if larger(b, a) { b } else { a }).expect("a pixel"),
            Some(r) => {
                let sum = under.iter().fold(Num(0, 0), |a, &b| a.plus(b));
                Num(sum.0 * i128::from(r.ints[0]), sum.1 + r.frac)
            }
        }
    })
}

fn merged(merge: Merge, a: Num, b: Num) -> Num {
    match merge {
        Merge::Add => a.plus(b),
        Merge::Sub => a.plus(Num(-b.0, b.1)),
        Merge::Mul => Num(a.0 * b.0, a.1 + b.1),
        Merge::Max => {
            if larger(a, b) {
                a
            } else {
                b
            }
        }
        Merge::Min => {
            if larger(a, b) {
                b
            } else {
                a
            }
        }
    }
}

/// Row-major position → coordinates.
fn coordinates(mut at: usize, shape: &[usize]) -> Vec<usize> {
    let mut c: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&d| {
            let v = at % d;
            at /= d;
            v
        })
        .collect();
    c.reverse();
    c
}

fn offset(c: &[usize], shape: &[usize]) -> usize {
    c.iter().zip(shape).fold(0, |at, (&c, &d)| at * d + c)
}

fn joined(operands: &[(&[usize], &[Num])], axis: usize, shape: &[usize]) -> Vec<Num> {
    (0..shape.iter().product())
        .map(|at| {
            let mut c = coordinates(at, shape);
            for (own, x) in operands {
                if c[axis] < own[axis] {
                    return x[offset(&c, own)];
                }
                c[axis] -= own[axis];
            }
            panic!("beyond the operands")
        })
        .collect()
}

fn padded(x: &[Num], own: &[usize], before: &[usize], shape: &[usize]) -> Vec<Num> {
    (0..shape.iter().product())
        .map(|at| {
            let c: Option<Vec<usize>> = coordinates(at, shape)
                .iter()
                .zip(before)
                .zip(own)
                .map(|((c, b), d)| c.checked_sub(*b).filter(|v| v < d))
                .collect();
            c.map_or(Num(0, 0), |c| x[offset(&c, own)])
        })
        .collect()
}

/// Samples for every model input, one input after the other.
pub fn all_samples(model: &FixedModel, rng: &mut Rng, count: usize) -> Vec<Vec<f32>> {
    model.inputs.iter().map(|&i| samples(rng, model.len_of(i), count)).collect()
}

/// [`reference_of`] for a model with one input.
pub fn reference(model: &FixedModel, x: &[f32], samples: usize, port_frac: i32) -> Vec<Vec<f64>> {
    reference_of(model, &[x], samples, port_frac)
}

/// Every output of every sample, the inputs truncated to hls4ml's port of `port_frac` fractional
/// bits first.
pub fn reference_of(model: &FixedModel, inputs: &[&[f32]], samples: usize, port_frac: i32) -> Vec<Vec<f64>> {
    let mut outputs = vec![Vec::new(); model.outputs.len()];
    for s in 0..samples {
        let mut values: Vec<Vec<Num>> = vec![Vec::new(); model.values.len()];
        let port = |v: &f32| Num((f64::from(*v) * 2f64.powi(port_frac)).floor() as i128, port_frac);
        for (&input, x) in model.inputs.iter().zip(inputs) {
            let n = model.len_of(input);
            values[input] = x[s * n..][..n].iter().map(port).collect();
        }
        for node in &model.nodes {
            let v = &values[node.inputs[0]];
            let (own, shape) = (&model.values[node.inputs[0]].shape, &model.values[node.output].shape);
            values[node.output] = match &node.op {
                FixedOp::Quantize(q) => v.iter().zip(&q.formats).map(|(&x, &k)| quantize(x, k, q.rounding, q.overflow)).collect(),
                FixedOp::Dense(d) if d.window.is_some() => convolution(d, d.window.as_ref().expect("just seen"), v),
                FixedOp::MaxPool(w) => pooled(w, v, None),
                FixedOp::AveragePool(p) => pooled(&p.window, v, Some(&p.reciprocal)),
                FixedOp::Merge(m) => v.iter().zip(&values[node.inputs[1]]).map(|(&a, &b)| merged(*m, a, b)).collect(),
                FixedOp::Move(Move::Concat { axis }) => {
                    let operands: Vec<(&[usize], &[Num])> =
                        node.inputs.iter().map(|&i| (&model.values[i].shape[..], &values[i][..])).collect();
                    joined(&operands, *axis, shape)
                }
                FixedOp::Move(Move::Pad { before, .. }) => padded(v, own, before, shape),
                FixedOp::Dense(d) => (0..d.outputs)
                    .map(|o| {
                        let bias = Num(d.bias.ints[o].into(), d.bias.frac);
                        let product =
                            |i: usize| Num(v[i].0 * i128::from(d.weight.ints[i * d.outputs + o]), v[i].1 + d.weight.frac);
                        (0..d.inputs).fold(bias, |sum, i| sum.plus(product(i)))
                    })
                    .collect(),
                FixedOp::Affine(a) => (0..v.len())
                    .map(|e| {
                        Num(v[e].0 * i128::from(a.scale.ints[e]), v[e].1 + a.scale.frac)
                            .plus(Num(a.shift.ints[e].into(), a.shift.frac))
                    })
                    .collect(),
                FixedOp::Elementwise(f) => v.iter().map(|&x| function(*f, x)).collect(),
                FixedOp::Move(Move::Reshape) => v.clone(),
                FixedOp::Move(Move::Permute { source }) => source.iter().map(|&e| v[e]).collect(),
                FixedOp::Move(Move::Select { source }) => source.iter().map(|e| e.map_or(Num(0, 0), |e| v[e])).collect(),
            };
        }
        for (out, &value) in outputs.iter_mut().zip(&model.outputs) {
            out.extend(values[value].iter().map(|x| x.value()));
        }
    }
    outputs
}
