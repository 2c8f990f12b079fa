//! Time of one training step (gradients, EBOPs, Adam) with one width per weight and activation (channel), as one JSON line: of an MLP, or
//! with `--net cnn` of a 28 × 28 convolutional net (8, 16, 16 channels, 3 × 3 kernels, pooling, 10 outputs).
//!
//! `cargo run --release --example step_time -- --net 16,64,32,32,5 --batch 1024 --threads 2 [--isa avx2] [--steps 2000] [--traced]`

use hgq_onnx::graph::{Node, Window};
use hgq_onnx::quant::{BiasBits, Granularity, Groups, Model, QDense, QOp, Quantizer, Range, Rounding};
use hgq_onnx::train::{Engine, EngineOptions, Isa, LossKind, TaskLoss, TrainSet};
use std::time::Instant;

/// Small deterministic generator: the numbers only need to look random.
struct Lcg(u64);

impl Lcg {
    fn unit(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 40) as f32 + 0.5) / 16_777_216.0
    }

    fn normal(&mut self) -> f32 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f32::consts::TAU * self.unit()).cos()
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
        push(format!("r{n}"), QOp::Relu, shape.clone());
        push(format!("q{n}"), activation(&shape, range(outputs)), shape);
        let pool = Window { input: [out, out, outputs], kernel: [2, 2], stride: [2, 2], pads: [0; 4], groups: outputs };
        push(format!("p{n}"), QOp::MaxPool(pool), vec![out / 2, out / 2, outputs]);
    }
    push("flat".into(), QOp::Reshape, vec![64]);
    push("d".into(), layer(64, 10, None), vec![10]);
    push("y".into(), activation(&[10], Range::Traced), vec![10]);
    m.outputs.push(at);
    m
}

fn model(dims: &[usize], traced: bool, rng: &mut Lcg) -> Model {
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
            push(&mut m, &mut at, format!("r{l}"), QOp::Relu, outputs);
        } else {
            push(&mut m, &mut at, format!("r{l}"), QOp::Relu, outputs);
            push(&mut m, &mut at, format!("q{l}"), quantizer(outputs, 4.0, Some(false)), outputs);
        }
    }
    m.outputs.push(at);
    m
}

fn main() {
    let (mut net, mut batch, mut threads, mut steps, mut isa, mut traced) = (vec![16, 64, 32, 32, 5], 1024, 1, 2000, None, false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().unwrap_or_else(|| panic!("{arg} needs a value"));
        match arg.as_str() {
            "--net" => match value().as_str() {
                "cnn" => net = vec![784, 10],
                layers => net = layers.split(',').map(|n| n.parse().expect("layer sizes")).collect(),
            },
            "--batch" => batch = value().parse().expect("batch size"),
            "--threads" => threads = value().parse().expect("threads"),
            "--steps" => steps = value().parse::<usize>().expect("steps").max(1),
            "--traced" => traced = true,
            "--isa" => {
                isa = Some(match value().as_str() {
                    "portable" => Isa::Portable,
                    "avx2" => Isa::Avx2,
                    "avx512" => Isa::Avx512,
                    other => panic!("unknown isa {other}"),
                })
            }
            other => panic!("unknown argument {other}"),
        }
    }
    let mut rng = Lcg(7);
    let spatial = net == [784, 10];
    let model = if spatial { cnn(&mut rng) } else { model(&net, traced, &mut rng) };
    let (inputs, outputs) = (net[0], net[net.len() - 1]);
    let x: Vec<f32> = (0..batch * inputs).map(|_| rng.normal()).collect();
    let labels: Vec<u32> = (0..batch).map(|_| (rng.unit() * outputs as f32) as u32).collect();
    let set = TrainSet::new(inputs, outputs, &x, Some(&labels), None, None).expect("data");
    let mut engine = Engine::new(&model, &EngineOptions { threads, isa, ..EngineOptions::default() }).expect("model");
    let (rows, loss): (Vec<u32>, _) = ((0..batch as u32).collect(), TaskLoss::new(LossKind::CrossEntropy));
    let mut step = || {
        let t = Instant::now();
        engine.gradients(&set, &rows, &loss, 0.0, &mut |_| 1e-6).expect("step");
        engine.adam(1e-3, 1e-3);
        t.elapsed().as_secs_f64() * 1e3
    };
    for _ in 0..steps.div_ceil(10) {
        step();
    }
    let mut ms: Vec<f64> = (0..steps).map(|_| step()).collect();
    ms.sort_by(f64::total_cmp);
    let net: Vec<String> = net.iter().map(|n| n.to_string()).collect();
    println!(
        r#"{{"net":"{}","batch":{batch},"threads":{threads},"isa":"{}","steps":{steps},"ms_step_min":{:.4},"ms_step_median":{:.4}}}"#,
        net.join(","),
        engine.isa().name(),
        ms[0],
        ms[ms.len() / 2]
    );
}
