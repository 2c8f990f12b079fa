//! Networks to measure with: MLPs of Relu layers, a convolutional net, or a file; and numbers that
//! look random.

// each example uses its part of this
#![allow(dead_code)]

use hgq_onnx::graph::{Node, Window, eval, import};
use hgq_onnx::onnx::{codec, limits::Limits};
use hgq_onnx::ops::{Elementwise, Move};
use hgq_onnx::quant::exact::MinMax;
use hgq_onnx::quant::insert::{BuildOptions, build};
use hgq_onnx::quant::{BiasBits, Granularity, Groups, Model, QDense, QOp, Quantizer, Range, Rounding};

/// Small deterministic generator: the numbers only need to look random.
pub struct Lcg(pub u64);

impl Lcg {
    pub fn unit(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 40) as f32 + 0.5) / 16_777_216.0
    }

    pub fn normal(&mut self) -> f32 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f32::consts::TAU * self.unit()).cos()
    }

    pub fn normals(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.normal()).collect()
    }
}

fn quantizer(n: usize, f: f32, saturating: Option<bool>) -> QOp {
    let range = match saturating {
        None => Range::Traced,
        Some(keep) => Range::Saturating { keep_negative: vec![keep; n], i: vec![2.0; n], symmetric: false },
    };
    let groups = Groups::elementwise(n);
    QOp::Quantizer(Quantizer {
        groups,
        f: vec![f; n],
        range,
        rounding: Rounding::HalfUp,
        max_f: 23.0,
        trainable: true,
        annotated: false,
    })
}

/// The convolutional net of `shared/models/float/mnist_cnn.onnx`.
fn cnn(rng: &mut Lcg) -> Model {
    let mut m = Model { name: "cnn".into(), values: vec![], nodes: vec![], inputs: vec![], outputs: vec![] };
    let mut at = m.add_value("x", vec![28, 28, 1]);
    m.inputs.push(at);
    let mut push = |name: String, op: QOp, shape: Vec<usize>| {
        let y = m.add_value(format!("{name}_out"), shape);
        m.nodes.push(Node { name, op, inputs: vec![std::mem::replace(&mut at, y)], output: y });
    };
    let activation = |shape: &[usize], range: Range| {
        let groups = Groups::new(Granularity::Channel, shape);
        let (f, rounding) = (vec![4.0; groups.count()], Rounding::HalfUp);
        QOp::Quantizer(Quantizer { groups, f, range, rounding, max_f: 23.0, trainable: true, annotated: false })
    };
    let range = |n: usize| Range::Saturating { keep_negative: vec![false; n], i: vec![2.0; n], symmetric: false };
    let mut layer = |inputs: usize, outputs: usize, window: Option<Window>| {
        QOp::Dense(QDense {
            inputs,
            outputs,
            weight: (0..inputs * outputs).map(|_| rng.normal() * (2.0 / inputs as f32).sqrt()).collect(),
            weight_groups: Groups::elementwise(inputs * outputs),
            weight_f: vec![4.0; inputs * outputs],
            bias: vec![0.0; outputs],
            bias_bits: BiasBits::Activation,
            declared: None,
            window,
            ebops_scale: 1.0,
            trainable: true,
        })
    };
    push("q".into(), activation(&[28, 28, 1], range(1)), vec![28, 28, 1]);
    for (n, (size, channels, outputs, pad)) in [(28, 1, 8, 1), (14, 8, 16, 1), (7, 16, 16, 0)].into_iter().enumerate() {
        let w = Window { input: [size, size, channels], kernel: [3, 3], stride: [1, 1], pads: [pad; 4], groups: 1 };
        let out = w.output()[0];
        let shape = vec![out, out, outputs];
        push(format!("c{n}"), layer(9 * channels, outputs, Some(w)), shape.clone());
        push(format!("r{n}"), QOp::Elementwise(Elementwise::Relu), shape.clone());
        push(format!("q{n}"), activation(&shape, range(outputs)), shape);
        let pool = Window { input: [out, out, outputs], kernel: [2, 2], stride: [2, 2], pads: [0; 4], groups: outputs };
        push(format!("p{n}"), QOp::MaxPool(pool), vec![out / 2, out / 2, outputs]);
    }
    push("flat".into(), QOp::Move(Move::Reshape), vec![64]);
    push("d".into(), layer(64, 10, None), vec![10]);
    push("y".into(), activation(&[10], Range::Traced), vec![10]);
    m.outputs.push(at);
    m
}

fn mlp(dims: &[usize], traced: bool, rng: &mut Lcg) -> Model {
    let mut m = Model { name: "mlp".into(), values: vec![], nodes: vec![], inputs: vec![], outputs: vec![] };
    let mut at = m.add_value("x", vec![dims[0]]);
    m.inputs.push(at);
    let push = |m: &mut Model, at: &mut usize, name: String, op: QOp, n: usize| {
        let y = m.add_value(format!("{name}_out"), vec![n]);
        m.nodes.push(Node { name, op, inputs: vec![std::mem::replace(at, y)], output: y });
    };
    push(&mut m, &mut at, "q".into(), quantizer(dims[0], 4.0, (!traced).then_some(true)), dims[0]);
    for (l, d) in dims.windows(2).enumerate() {
        let (inputs, outputs) = (d[0], d[1]);
        let weight = (0..inputs * outputs).map(|_| rng.normal() * (2.0 / inputs as f32).sqrt()).collect();
        let dense = QDense {
            inputs,
            outputs,
            weight,
            weight_groups: Groups::elementwise(inputs * outputs),
            weight_f: (0..inputs * outputs).map(|_| 2.0 + 4.0 * rng.unit()).collect(),
            bias: vec![0.0; outputs],
            bias_bits: BiasBits::Activation,
            declared: None,
            window: None,
            ebops_scale: 1.0,
            trainable: true,
        };
        push(&mut m, &mut at, format!("d{l}"), QOp::Dense(dense), outputs);
        let last = l + 2 == dims.len();
        if last {
            push(&mut m, &mut at, format!("q{l}"), quantizer(outputs, 4.0, None), outputs);
        } else if traced {
            push(&mut m, &mut at, format!("q{l}"), quantizer(outputs, 4.0, None), outputs);
            push(&mut m, &mut at, format!("r{l}"), QOp::Elementwise(Elementwise::Relu), outputs);
        } else {
            push(&mut m, &mut at, format!("r{l}"), QOp::Elementwise(Elementwise::Relu), outputs);
            push(&mut m, &mut at, format!("q{l}"), quantizer(outputs, 4.0, Some(false)), outputs);
        }
    }
    m.outputs.push(at);
    m
}

/// What `--net` or `--model` says: layer sizes, `cnn`, or a file.
pub fn network(net: &str, file: Option<&str>, traced: bool, rng: &mut Lcg) -> Model {
    match (file, net) {
        (Some(file), _) => from_file(file, rng),
        (None, "cnn") => cnn(rng),
        (None, layers) => {
            let sizes: Vec<usize> = layers.split(',').map(|n| n.parse().expect("layer sizes")).collect();
            assert!(sizes.len() >= 2, "--net takes two sizes or more");
            mlp(&sizes, traced, rng)
        }
    }
}

/// Samples that the ranges of a file's values are taken from.
const SAMPLES: usize = 256;

/// A file with the quantizers that training starts from, ranges from random inputs.
fn from_file(file: &str, rng: &mut Lcg) -> Model {
    let bytes = std::fs::read(file).expect("the model");
    let decoded = codec::decode(&bytes, &Limits::default()).expect("an ONNX model");
    let graph = import(&decoded).expect("a supported model").graph;
    let inputs: Vec<Vec<f32>> = graph.inputs.iter().map(|&i| rng.normals(SAMPLES * graph.len_of(i))).collect();
    let rows: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let computed: Vec<usize> =
        (0..graph.values.len()).filter(|&v| graph.inputs.contains(&v) || graph.producer(v).is_some()).collect();
    let values = eval::run(&graph, &rows, SAMPLES, &computed).expect("values");
    let mut ranges: Vec<MinMax> = graph.values.iter().map(|v| MinMax::empty(v.len())).collect();
    for (&v, values) in computed.iter().zip(&values) {
        for row in values.chunks_exact(graph.len_of(v).max(1)) {
            ranges[v].merge(&MinMax { min: row.to_vec(), max: row.to_vec() });
        }
    }
    let options = BuildOptions { training: true, rounding: Rounding::HalfUp, parallel_factor: None, rules: vec![] };
    build(&graph, &ranges, &options).expect("quantizers").model
}

/// Multiplications of one sample, by layer.
pub fn macs(model: &Model) -> Vec<usize> {
    let of = |op: &QOp| match op {
        QOp::Dense(d) => d.window.as_ref().map_or(1, |w| w.output().iter().product::<usize>()) * d.weight.len(),
        _ => 0,
    };
    model.nodes.iter().map(|n| of(&n.op)).filter(|&n| n > 0).collect()
}
