//! Random small ONNX files over everything the import takes: flat, 1-D and 2-D networks, float,
//! QONNX and QCDQ, branches that meet again, several inputs and outputs. The same seed gives the
//! same file.

mod more;

use super::onnx::{Attr, Net, info};
use hgq_onnx::data::Rng;
use hgq_onnx::onnx::Tensor;
use hgq_onnx::onnx::proto::ModelProto;
use prost::Message;

/// How quantization is written in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Float,
    Qonnx,
    Qcdq,
}

/// A generated file.
pub struct RandomNet {
    pub bytes: Vec<u8>,
    pub dialect: Dialect,
    /// Name and shape of one sample of each input, in the layout of the file.
    pub inputs: Vec<(String, Vec<usize>)>,
    /// What is in it, for messages.
    pub recipe: String,
}

/// A tensor that blocks may continue from; its sample shape has the channels first.
#[derive(Clone)]
struct Tap {
    name: String,
    shape: Vec<usize>,
    /// Never negative.
    unsigned: bool,
}

/// Whole numbers below a bound.
struct Dice(Rng);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0.below(n.max(1) as u64) as usize
    }
}

struct Maker {
    net: Net,
    rng: Dice,
    dialect: Dialect,
    taps: Vec<Tap>,
    count: usize,
    recipe: Vec<String>,
    /// Elements were moved: tract then misplaces convolutions of one tap that leave out positions.
    moved: bool,
}

/// Generates the file of a seed.
pub fn random_net(seed: u64) -> RandomNet {
    let mut rng = Dice(Rng::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(7)));
    let dialect = [Dialect::Float, Dialect::Qonnx, Dialect::Float, Dialect::Qonnx, Dialect::Qcdq][rng.below(5)];
    let shape = match rng.below(4) {
        0 => vec![2 + rng.below(6)],
        1 => vec![1 + rng.below(3), 4 + rng.below(5)],
        _ => vec![1 + rng.below(3), 4 + rng.below(3), 4 + rng.below(3)],
    };
    let inputs = if rng.below(6) == 0 { 2 } else { 1 };
    let batched = |shape: &[usize]| std::iter::once(1).chain(shape.iter().map(|&d| d as i64)).collect::<Vec<_>>();
    let net = Net::new(13, &batched(&shape));
    let mut m =
        Maker { net, rng, dialect, taps: Vec::new(), count: 0, moved: false, recipe: vec![format!("{dialect:?} {shape:?}")] };
    let mut names = vec![("x".to_string(), shape.clone())];
    if inputs == 2 {
        m.net.graph.input.push(info("x2", &batched(&shape)));
        names.push(("x2".into(), shape.clone()));
        m.recipe.push("second input".into());
    }
    for (name, _) in &names {
        let tap = Tap { name: name.clone(), shape: shape.clone(), unsigned: false };
        let tap = m.quantized(tap, 6, 4);
        m.taps.push(tap);
    }
    let mut at = m.taps[0].clone();
    if inputs == 2 {
        let other = m.taps[1].clone();
        at = m.merge(&at, &other);
    }
    for _ in 0..1 + m.rng.below(4) {
        at = m.block(at);
    }
    let outputs = m.head(at);
    let mut model: ModelProto = m.net.model();
    if let Some(graph) = model.graph.as_mut() {
        graph.output = outputs
            .iter()
            .map(|o| {
                let mut i = info(o, &[]);
                i.r#type = None;
                i
            })
            .collect();
    }
    RandomNet { bytes: model.encode_to_vec(), dialect, inputs: names, recipe: m.recipe.join(", ") }
}

impl Maker {
    fn name(&mut self, stem: &str) -> String {
        self.count += 1;
        format!("{stem}{}", self.count)
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.rng.below(one_in) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.rng.below(from.len())]
    }

    /// Values on a grid of 1/32, so that float sums are exact.
    fn values(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| (self.rng.below(49) as f32 - 24.0) / 32.0).collect()
    }

    fn op(&mut self, op: &str, inputs: &[&str], attributes: &[(&str, Attr<'_>)]) -> String {
        let output = self.name(&op.to_lowercase());
        self.net.node(op, inputs, &output, attributes);
        output
    }

    /// An activation quantizer of the dialect with about `bits` bits and `frac` fractional ones.
    fn quantized(&mut self, x: Tap, bits: i64, frac: i32) -> Tap {
        let scale = 2f32.powi(-frac);
        let name = match self.dialect {
            Dialect::Float => return x,
            Dialect::Qonnx => {
                let output = self.name("quant");
                let rounding = self.pick(&["ROUND", "FLOOR", "ROUND"]);
                let narrow = i64::from(!x.unsigned && self.chance(4));
                let attributes = [
                    ("signed", Attr::I(i64::from(!x.unsigned))),
                    ("narrow", Attr::I(narrow)),
                    ("rounding_mode", Attr::S(rounding)),
                ];
                let (s, b) = (Tensor::f32(vec![], vec![scale]), Tensor::f32(vec![], vec![bits as f32]));
                self.net.quant(&x.name, &output, s, b, &attributes);
                output
            }
            Dialect::Qcdq => self.qdq(&x.name, scale, x.unsigned, bits),
        };
        Tap { name, ..x }
    }

    fn qdq(&mut self, x: &str, scale: f32, unsigned: bool, bits: i64) -> String {
        let s = self.name("scale");
        let z = self.name("zero");
        self.net.constant(&s, Tensor::f32(vec![], vec![scale]));
        self.net.graph.initializer.push(integer(&z, unsigned, &[0]));
        let q = self.op("QuantizeLinear", &[x, &s, &z], &[]);
        let (lo, hi) = if unsigned { (0, (1 << bits) - 1) } else { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) };
        let (low, high) = (self.name("low"), self.name("high"));
        self.net.graph.initializer.push(integer(&low, unsigned, &[lo]));
        self.net.graph.initializer.push(integer(&high, unsigned, &[hi]));
        let c = self.op("Clip", &[&q, &low, &high], &[]);
        self.op("DequantizeLinear", &[&c, &s, &z], &[])
    }

    /// A weight of the dialect.
    fn weight(&mut self, shape: &[usize]) -> String {
        let bipolar = self.chance(6);
        self.weight_of(shape, bipolar)
    }

    fn weight_of(&mut self, shape: &[usize], bipolar: bool) -> String {
        let raw = self.name("w");
        let values = self.values(shape.iter().product());
        self.net.constant(&raw, Tensor::f32(shape.to_vec(), values));
        match self.dialect {
            Dialect::Float => raw,
            Dialect::Qonnx if bipolar => {
                let s = self.name("bipolar_scale");
                self.net.constant(&s, Tensor::f32(vec![], vec![0.25]));
                let output = self.op("BipolarQuant", &[&raw, &s], &[]);
                if let Some(node) = self.net.graph.node.last_mut() {
                    node.domain = Some("qonnx.custom_op.general".into());
                }
                self.recipe.push("bipolar".into());
                output
            }
            Dialect::Qonnx => {
                let output = self.name("wq");
                let bits = self.pick(&[2.0, 3.0, 4.0, 5.0]);
                let per_channel = shape.len() > 2 && self.chance(2);
                let scale = if per_channel {
                    let scales = (0..shape[0]).map(|_| 2f32.powi(-(2 + self.rng.below(3) as i32))).collect();
                    Tensor::f32([&[shape[0]], &vec![1; shape.len() - 1][..]].concat(), scales)
                } else {
                    Tensor::f32(vec![], vec![0.125])
                };
                let attributes = [("signed", Attr::I(1)), ("narrow", Attr::I(1)), ("rounding_mode", Attr::S("ROUND"))];
                self.net.quant(&raw, &output, scale, Tensor::f32(vec![], vec![bits]), &attributes);
                output
            }
            Dialect::Qcdq => {
                let bits = self.pick(&[3, 4, 5]);
                self.qdq(&raw, 0.125, false, bits)
            }
        }
    }

    fn vector(&mut self, n: usize) -> String {
        let name = self.name("b");
        let values = self.values(n);
        self.net.constant(&name, Tensor::f32(vec![n], values));
        name
    }

    fn block(&mut self, x: Tap) -> Tap {
        let out = match (x.shape.len(), self.rng.below(14)) {
            (1, 0..=4) => self.dense(x),
            (_, 0..=3) => self.conv(x),
            (2 | 3, 4) => self.max_pool(x),
            (2 | 3, 5) => self.average_pool(x),
            (2 | 3, 6) => self.pad(x),
            (_, 7) => self.concat(x),
            (_, 10..) => self.more(x),
            _ => self.residual(x),
        };
        self.taps.push(out.clone());
        out
    }

    fn dense(&mut self, x: Tap) -> Tap {
        let (n, outputs) = (x.shape[0], 2 + self.rng.below(5));
        let name = if self.chance(2) {
            let w = self.weight(&[outputs, n]);
            let b = self.vector(outputs);
            self.op("Gemm", &[&x.name, &w, &b], &[("transB", Attr::I(1))])
        } else {
            let w = self.weight(&[n, outputs]);
            let y = self.op("MatMul", &[&x.name, &w], &[]);
            let b = self.vector(outputs);
            self.op("Add", &[&y, &b], &[])
        };
        self.recipe.push(format!("dense {outputs}"));
        self.activated(Tap { name, shape: vec![outputs], unsigned: false })
    }

    fn conv(&mut self, x: Tap) -> Tap {
        let (c, spatial) = (x.shape[0], x.shape[1..].to_vec());
        let depthwise = c > 1 && self.chance(4);
        let groups = if depthwise { c } else { 1 };
        let outputs = if depthwise { c * (1 + self.rng.below(2)) } else { 1 + self.rng.below(4) };
        let kernel: Vec<usize> = spatial.iter().map(|&s| 1 + self.rng.below(s.min(3))).collect();
        let strides: Vec<usize> = spatial.iter().map(|_| 1 + self.rng.below(2)).collect();
        let kept = |(&s, &k): (&usize, &usize)| if self.moved && k == 1 { 1 } else { s };
        let strides: Vec<usize> = strides.iter().zip(&kernel).map(kept).collect();
        let before: Vec<usize> = kernel.iter().map(|&k| self.rng.below(k)).collect();
        let after: Vec<usize> = kernel.iter().map(|&k| self.rng.below(k)).collect();
        let w = self.weight(&[&[outputs, c / groups], &kernel[..]].concat());
        let long = |v: &[usize]| v.iter().map(|&d| d as i64).collect::<Vec<_>>();
        let (k, s, p) = (long(&kernel), long(&strides), long(&[&before[..], &after].concat()));
        let attributes = [
            ("kernel_shape", Attr::Is(&k)),
            ("strides", Attr::Is(&s)),
            ("pads", Attr::Is(&p)),
            ("group", Attr::I(groups as i64)),
        ];
        let name = if self.chance(3) {
            self.op("Conv", &[&x.name, &w], &attributes)
        } else {
            let b = self.vector(outputs);
            self.op("Conv", &[&x.name, &w, &b], &attributes)
        };
        let size = |n: usize| (spatial[n] + before[n] + after[n] - kernel[n]) / strides[n] + 1;
        let shape: Vec<usize> = std::iter::once(outputs).chain((0..spatial.len()).map(size)).collect();
        self.recipe.push(format!("conv {kernel:?}/{strides:?} pads {p:?} groups {groups} → {shape:?}"));
        let mut out = Tap { name, shape, unsigned: false };
        if self.chance(3) {
            out = self.batch_norm(out);
        }
        self.activated(out)
    }

    fn batch_norm(&mut self, x: Tap) -> Tap {
        let c = x.shape[0];
        let constant = |m: &mut Maker, values: Vec<f32>| {
            let name = m.name("bn");
            m.net.constant(&name, Tensor::f32(vec![c], values));
            name
        };
        let gamma = (0..c).map(|_| [0.5, 1.0, 2.0, -1.0][self.rng.below(4)]).collect();
        let (gamma, beta) = (constant(self, gamma), self.vector(c));
        let (mean, variance) = (self.vector(c), constant(self, vec![1.0; c]));
        self.recipe.push("batch norm".into());
        let name = self.op("BatchNormalization", &[&x.name, &gamma, &beta, &mean, &variance], &[("epsilon", Attr::F(0.0))]);
        Tap { name, unsigned: false, ..x }
    }

    /// An activation function, then a quantizer.
    fn activated(&mut self, x: Tap) -> Tap {
        let kind = self.rng.below(8);
        let x = match kind {
            0..=3 => {
                let name = self.op("Relu", &[&x.name], &[]);
                Tap { name, unsigned: true, ..x }
            }
            4 => {
                const FUNCTIONS: [(&str, Option<f32>); 4] =
                    [("LeakyRelu", Some(0.125)), ("LeakyRelu", Some(0.1)), ("Elu", Some(0.75)), ("ThresholdedRelu", Some(0.5))];
                // annotated files would need a quantizer in front, and tract's f32 product meets
                // ties that the slope 0.1 misses
                let most = if self.dialect == Dialect::Float { FUNCTIONS.len() } else { 1 };
                let (op, alpha) = FUNCTIONS[self.rng.below(most)];
                self.recipe.push(op.into());
                let alpha = alpha.map(|alpha| ("alpha", Attr::F(alpha)));
                let name = self.op(op, &[&x.name], alpha.as_slice());
                Tap { name, ..x }
            }
            5 if self.dialect == Dialect::Float => {
                self.recipe.push("clip".into());
                let (low, high) = (self.name("low"), self.name("high"));
                self.net.constant(&low, Tensor::f32(vec![], vec![0.0])).constant(&high, Tensor::f32(vec![], vec![1.5]));
                let name = self.op("Clip", &[&x.name, &low, &high], &[]);
                Tap { name, unsigned: true, ..x }
            }
            _ => x,
        };
        let (bits, frac) = (3 + self.rng.below(4) as i64, 1 + self.rng.below(4) as i32);
        self.quantized(x, bits, frac)
    }

    fn max_pool(&mut self, x: Tap) -> Tap {
        let (k, shape) = self.pool_shape(&x);
        let name = self.op("MaxPool", &[&x.name], &[("kernel_shape", Attr::Is(&k)), ("strides", Attr::Is(&k))]);
        self.recipe.push(format!("max pool {k:?}"));
        Tap { name, shape, ..x }
    }

    fn average_pool(&mut self, x: Tap) -> Tap {
        let (name, shape) = if self.chance(3) {
            (self.op("GlobalAveragePool", &[&x.name], &[]), [&x.shape[..1], &vec![1; x.shape.len() - 1][..]].concat())
        } else {
            let (k, shape) = self.pool_shape(&x);
            (self.op("AveragePool", &[&x.name], &[("kernel_shape", Attr::Is(&k)), ("strides", Attr::Is(&k))]), shape)
        };
        self.recipe.push(format!("average pool → {shape:?}"));
        self.quantized(Tap { name, shape, ..x }, 5, 4)
    }

    fn pool_shape(&mut self, x: &Tap) -> (Vec<i64>, Vec<usize>) {
        let kernel: Vec<usize> = x.shape[1..].iter().map(|&s| 1 + self.rng.below(s.min(2))).collect();
        let shape = std::iter::once(x.shape[0]).chain(x.shape[1..].iter().zip(&kernel).map(|(s, k)| s / k)).collect();
        (kernel.iter().map(|&k| k as i64).collect(), shape)
    }

    fn pad(&mut self, x: Tap) -> Tap {
        let rank = x.shape.len();
        let sides: Vec<usize> = (0..2 * (rank - 1)).map(|_| self.rng.below(2)).collect();
        let (before, after) = sides.split_at(rank - 1);
        let pads: Vec<i64> = [&[0, 0], before, &[0, 0], after].concat().into_iter().map(|v: usize| v as i64).collect();
        let p = self.name("pads");
        self.net.constant(&p, Tensor::i64(vec![pads.len()], pads));
        let name = self.op("Pad", &[&x.name, &p], &[]);
        let shape = std::iter::once(x.shape[0]).chain((1..rank).map(|n| x.shape[n] + before[n - 1] + after[n - 1])).collect();
        self.recipe.push(format!("pad {sides:?}"));
        Tap { name, shape, ..x }
    }

    fn concat(&mut self, x: Tap) -> Tap {
        let alike = |t: &&Tap| t.shape.len() == x.shape.len() && t.shape[1..] == x.shape[1..];
        let others: Vec<Tap> = self.taps.iter().filter(alike).cloned().collect();
        let other = if others.is_empty() { x.clone() } else { others[self.rng.below(others.len())].clone() };
        if other.shape == x.shape && x.shape.len() > 1 && self.chance(3) {
            let axis = 1 + self.rng.below(x.shape.len() - 1);
            let mut shape = x.shape.clone();
            shape[axis] *= 2;
            self.recipe.push(format!("concat axis {axis}"));
            let name = self.op("Concat", &[&x.name, &other.name], &[("axis", Attr::I(axis as i64 + 1))]);
            return Tap { name, shape, unsigned: x.unsigned && other.unsigned };
        }
        let mut shape = x.shape.clone();
        shape[0] += other.shape[0];
        self.recipe.push("concat channels".into());
        let name = self.op("Concat", &[&x.name, &other.name], &[("axis", Attr::I(1))]);
        Tap { name, shape, unsigned: x.unsigned && other.unsigned }
    }

    /// Two branches that meet again.
    fn residual(&mut self, x: Tap) -> Tap {
        let alike = |t: &&Tap| t.shape == x.shape && t.name != x.name;
        let others: Vec<Tap> = self.taps.iter().filter(alike).cloned().collect();
        let other = match others.len() {
            0 => self.same_shape(x.clone()),
            n => others[self.rng.below(n)].clone(),
        };
        self.merge(&x, &other)
    }

    /// A layer that keeps the shape.
    fn same_shape(&mut self, x: Tap) -> Tap {
        let c = x.shape[0];
        let name = if x.shape.len() == 1 {
            let w = self.weight(&[c, c]);
            self.op("MatMul", &[&x.name, &w], &[])
        } else {
            let w = self.weight(&[&[c, c], &vec![3; x.shape.len() - 1][..]].concat());
            let pads = vec![1; 2 * (x.shape.len() - 1)];
            self.op("Conv", &[&x.name, &w], &[("pads", Attr::Is(&pads))])
        };
        self.activated(Tap { name, shape: x.shape, unsigned: false })
    }

    fn merge(&mut self, a: &Tap, b: &Tap) -> Tap {
        let op = self.pick(&["Add", "Add", "Sub", "Mul", "Max", "Min"]);
        self.recipe.push(op.into());
        let name = self.op(op, &[&a.name, &b.name], &[]);
        let x = Tap { name, shape: a.shape.clone(), unsigned: op != "Sub" && a.unsigned && b.unsigned };
        self.activated(x)
    }

    /// Flattens and classifies; sometimes a second output, or a spatial one.
    fn head(&mut self, x: Tap) -> Vec<String> {
        let mut outputs = Vec::new();
        let flat = match x.shape.len() {
            1 => x.clone(),
            _ => {
                let name = self.op("Flatten", &[&x.name], &[("axis", Attr::I(1))]);
                Tap { name, shape: vec![x.shape.iter().product()], ..x.clone() }
            }
        };
        let n = flat.shape[0];
        let classes = 2 + self.rng.below(3);
        let w = self.weight(&[classes, n]);
        let b = self.vector(classes);
        outputs.push(self.op("Gemm", &[&flat.name, &w, &b], &[("transB", Attr::I(1))]));
        if self.chance(6) {
            self.recipe.push("second output".into());
            let w = self.weight(&[2, n]);
            let b = self.vector(2);
            outputs.push(self.op("Gemm", &[&flat.name, &w, &b], &[("transB", Attr::I(1))]));
        } else if x.shape.len() > 1 && self.chance(6) {
            self.recipe.push("spatial output".into());
            let conv = self.same_shape(x);
            outputs.push(conv.name);
        }
        outputs
    }
}

/// An int8 or uint8 initializer; a scalar where there is one value.
fn integer(name: &str, unsigned: bool, values: &[i64]) -> hgq_onnx::onnx::proto::TensorProto {
    use hgq_onnx::onnx::proto::{TensorProto, tensor_proto::DataType};
    let kind = if unsigned { DataType::Uint8 } else { DataType::Int8 };
    TensorProto {
        name: Some(name.into()),
        data_type: Some(kind as i32),
        dims: if values.len() == 1 { vec![] } else { vec![values.len() as i64] },
        raw_data: Some(values.iter().map(|&v| v as u8).collect::<Vec<u8>>().into()),
        ..Default::default()
    }
}
