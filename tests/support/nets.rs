//! Exact models for the proxy tests, and an evaluation of them that shares no code with the library: 128-bit integers with a
//! grid of their own per element.
#![allow(dead_code)]

use hgq_onnx::graph::{Node, ValueId};
use hgq_onnx::quant::{FixedAffine, FixedDense, FixedModel, FixedOp, FixedQuantizer, FixedTensor, Kif, Overflow, Rounding};

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

    fn same(self, op: FixedOp) -> Net {
        let shape = self.model.values[self.last].shape.clone();
        self.op(op, shape)
    }

    pub fn quantize(self, formats: Vec<Kif>, rounding: Rounding) -> Net {
        self.same(FixedOp::Quantize(FixedQuantizer { formats, rounding, overflow: Overflow::Sat }))
    }

    pub fn quantize_sym(self, formats: Vec<Kif>, rounding: Rounding) -> Net {
        self.same(FixedOp::Quantize(FixedQuantizer { formats, rounding, overflow: Overflow::SatSym }))
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
        self.same(FixedOp::Relu)
    }

    pub fn leaky(self, log2_slope: i32) -> Net {
        self.same(FixedOp::LeakyRelu { log2_slope })
    }

    pub fn sigmoid(self) -> Net {
        self.same(FixedOp::Sigmoid)
    }

    pub fn tanh(self) -> Net {
        self.same(FixedOp::Tanh)
    }

    pub fn reshape(self, shape: &[usize]) -> Net {
        self.op(FixedOp::Reshape, shape.to_vec())
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

/// Samples that lie on the input grids, between them, on their ties, just beside them, at 0 and far outside.
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
    Num(v.clamp(lo, hi), k.fractional)
}

fn table(x: Num, per_unit: i128, f: impl Fn(f64) -> f64) -> Num {
    let scaled = x.0 * per_unit;
    let index = if x.1 >= 0 { scaled / (1 << x.1) } else { scaled << -x.1 };
    let entry = index.clamp(-512, 511) as f64 / per_unit as f64;
    Num((f(entry) * 1024.0).floor() as i128, 10)
}

/// Every output of every sample, the input truncated to hls4ml's port of `port_frac` fractional bits first.
pub fn reference(model: &FixedModel, x: &[f32], samples: usize, port_frac: i32) -> Vec<Vec<f64>> {
    let mut outputs = vec![Vec::new(); model.outputs.len()];
    for s in 0..samples {
        let mut values: Vec<Vec<Num>> = vec![Vec::new(); model.values.len()];
        let n = model.len_of(model.inputs[0]);
        let port = |v: &f32| Num((f64::from(*v) * 2f64.powi(port_frac)).floor() as i128, port_frac);
        values[model.inputs[0]] = x[s * n..][..n].iter().map(port).collect();
        for node in &model.nodes {
            let v = &values[node.inputs[0]];
            values[node.output] = match &node.op {
                FixedOp::Quantize(q) => v.iter().zip(&q.formats).map(|(&x, &k)| quantize(x, k, q.rounding, q.overflow)).collect(),
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
                FixedOp::Relu => v.iter().map(|x| Num(x.0.max(0), x.1)).collect(),
                FixedOp::LeakyRelu { log2_slope } => {
                    v.iter().map(|x| if x.0 < 0 { Num(x.0, x.1 - log2_slope) } else { *x }).collect()
                }
                FixedOp::Sigmoid => v.iter().map(|&x| table(x, 64, |v| 1.0 / (1.0 + (-v).exp()))).collect(),
                FixedOp::Tanh => v.iter().map(|&x| table(x, 128, f64::tanh)).collect(),
                FixedOp::Reshape => v.clone(),
                _ => unimplemented!("convolutions and merges"),
            };
        }
        for (out, &value) in outputs.iter_mut().zip(&model.outputs) {
            out.extend(values[value].iter().map(|x| x.value()));
        }
    }
    outputs
}
