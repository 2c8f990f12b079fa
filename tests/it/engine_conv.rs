//! The engine against a naive f64 oracle on random spatial networks: convolutions with strides,
//! pads and groups, pooling, merges, concatenation, padding, binary activations, several inputs and
//! outputs, every granularity, every instruction set.

use crate::support::chain::{Chain, quantizer, window};
use crate::support::training::{Lcg, compare_within, data, isas, lengths, saturating};
use hgq_onnx::graph::Window;
use hgq_onnx::ops::{Elementwise, Merge, Move};
use hgq_onnx::quant::{BiasBits, FixedAffine, FixedTensor, Granularity, Groups, Model, QOp, Range, Rounding};
use hgq_onnx::train::{Engine, EngineOptions, LossKind, TaskLoss, TrainError, TrainSet};
use std::collections::BTreeSet;

/// A shared width sums thousands of terms of both signs in f32.
const TOLERANCE: f64 = 2e-4;

/// Networks to compare.
const SEEDS: u64 = 150;

/// Builds one random network.
struct Builder {
    c: Chain,
    r: Lcg,
    nodes: usize,
}

impl Builder {
    fn new(seed: u64) -> Builder {
        let mut r = Lcg(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1);
        r.many(3, 0.0, 1.0);
        let channels = [1, 2, 3, 16, 18][below(&mut r, 5)];
        let (height, width) = (3 + below(&mut r, 4), 3 + below(&mut r, 4));
        let shape = if below(&mut r, 4) == 0 { vec![width + 3, channels] } else { vec![height, width, channels] };
        Builder { c: Chain::shaped(&shape), r, nodes: 0 }
    }

    fn pick(&mut self, n: usize) -> usize {
        below(&mut self.r, n)
    }

    fn name(&mut self, kind: &str) -> String {
        self.nodes += 1;
        format!("{kind}{}", self.nodes)
    }

    /// The chain's shape as height, width, channels.
    fn spatial(&self) -> [usize; 3] {
        match self.c.shape()[..] {
            [h, w, c] => [h, w, c],
            [l, c] => [1, l, c],
            _ => [1, 1, self.c.len()],
        }
    }

    fn quantizer(&mut self) {
        let granularity = [Granularity::Element, Granularity::Channel, Granularity::Tensor][self.pick(3)];
        let groups = Groups::new(granularity, &self.c.shape());
        let name = self.name("q");
        let rounding = [Rounding::HalfUp, Rounding::HalfEven, Rounding::Floor][self.pick(3)];
        if self.pick(2) == 0 {
            let (keep, symmetric) = (self.pick(2) == 0, self.pick(2) == 0);
            saturating(&mut self.c, &mut self.r, &name, keep, symmetric, rounding, groups);
        } else {
            let f = self.r.many(groups.count(), 0.6, 4.4);
            self.c.op(&name, QOp::Quantizer(quantizer(groups, &f, Range::Traced, rounding)));
        }
    }

    fn window(&mut self) -> Window {
        let input = self.spatial();
        let mut w = Window { input, kernel: [1; 2], stride: [1; 2], pads: [0; 4], groups: 1 };
        if self.pick(4) == 0 {
            return w;
        }
        for axis in (0..2).filter(|&axis| input[axis] > 1) {
            w.kernel[axis] = 1 + self.pick(input[axis].min(3));
            w.stride[axis] = 1 + self.pick(2);
            for side in [axis, axis + 2] {
                w.pads[side] = self.pick(w.kernel[axis].min(2));
            }
        }
        w
    }

    /// A convolution with `outputs` channels, of any grouping that divides both.
    fn conv(&mut self, w: Option<Window>, outputs: usize) {
        let mut w = match w {
            Some(w) => w,
            None => self.window(),
        };
        let grouping = self.pick(3);
        let channels = w.input[2];
        w.groups = match grouping {
            0 if outputs.is_multiple_of(channels) => channels,
            1 if outputs.is_multiple_of(2) && channels.is_multiple_of(2) => 2,
            _ => 1,
        };
        let scale = 2.0 / (w.patch() as f32).sqrt();
        let (weight, bias) = (self.r.many(w.patch() * outputs, -scale, scale), self.r.many(outputs, -0.5, 0.5));
        let widths = [w.patch() * outputs, outputs, 1][self.pick(3)];
        let f = self.r.many(widths, 1.0, 5.0);
        let ebops_scale = [1.0, 0.25][self.pick(2)];
        let name = self.name("conv");
        self.c.conv(&name, w, weight, bias, f);
        if let Some(QOp::Dense(d)) = self.c.0.nodes.last_mut().map(|n| &mut n.op) {
            d.ebops_scale = ebops_scale;
        }
    }

    /// The last layer's bias has its own grid.
    fn own_bias(&mut self) {
        if let Some(QOp::Dense(d)) = self.c.0.nodes.last_mut().map(|n| &mut n.op) {
            d.bias_bits = BiasBits::Own(vec![3; d.outputs]);
        }
    }

    fn activation(&mut self) {
        let op =
            [QOp::Elementwise(Elementwise::Relu), QOp::Elementwise(Elementwise::LeakyRelu { slope: 0.25 })][self.pick(2)].clone();
        let name = self.name("act");
        match self.pick(4) {
            0 => self.quantizer(),
            1 => {
                self.quantizer();
                self.c.op(&name, op);
            }
            _ => {
                self.c.op(&name, op);
                self.quantizer();
            }
        }
    }

    fn pool(&mut self) {
        let input = self.spatial();
        let mut w = Window { input, kernel: [1; 2], stride: [1; 2], pads: [0; 4], groups: input[2] };
        for axis in (0..2).filter(|&axis| input[axis] > 1) {
            w.kernel[axis] = 2;
            w.stride[axis] = 1 + self.pick(2);
            w.pads[axis + 2] = self.pick(2);
        }
        let name = self.name("pool");
        if self.pick(2) == 0 {
            self.c.max_pool(&name, w);
        } else {
            let reciprocal = [0.25, 0.5, 0.3125][self.pick(3)];
            self.c.average_pool(&name, w, reciprocal);
        }
    }

    fn affine(&mut self) {
        let n = self.c.len();
        let mut grid = |low: f32, high: f32| {
            let values: Vec<f64> = self.r.many(n, low, high).iter().map(|v| f64::from((v * 4.0).round()) / 4.0).collect();
            FixedTensor::from_f64(&values).unwrap()
        };
        let affine = FixedAffine { scale: grid(-2.0, 2.0), shift: grid(-1.0, 1.0) };
        let name = self.name("affine");
        self.c.op(&name, QOp::Affine(affine));
    }

    /// A branch from here that joins again.
    fn residual(&mut self) {
        let (from, channels) = (self.c.at(), self.spatial()[2]);
        let pointwise = self.spatial();
        self.conv(Some(Window::pointwise(pointwise[0], pointwise[1], channels)), channels);
        if self.pick(2) == 0 {
            self.own_bias();
        } else {
            self.activation();
        }
        let (branch, shape) = (self.c.at(), self.c.shape());
        let merge = [Merge::Add, Merge::Sub, Merge::Mul, Merge::Max, Merge::Min][self.pick(5)];
        let inputs = [[from, branch], [branch, from], [branch, branch]][self.pick(3)].to_vec();
        let name = self.name("merge");
        self.c.node(&name, QOp::Merge(merge), inputs, &shape);
        self.quantizer();
    }

    /// A branch from here that is joined along an axis.
    fn concat(&mut self) {
        let (from, shape, channels) = (self.c.at(), self.c.shape(), self.spatial()[2]);
        let axis = self.pick(shape.len());
        let [h, w, _] = self.spatial();
        let outputs = if axis + 1 == shape.len() { 1 + self.pick(4) } else { channels };
        self.conv(Some(Window::pointwise(h, w, channels)), outputs);
        self.activation();
        let (branch, name) = (self.c.at(), self.name("concat"));
        let inputs = [vec![from, branch], vec![branch, from, branch]][self.pick(2)].clone();
        let mut joined = shape.clone();
        joined[axis] = inputs.iter().map(|&v| self.c.0.values[v].shape[axis]).sum();
        self.c.node(&name, QOp::Move(Move::Concat { axis }), inputs, &joined);
    }

    /// The same elements with other positions and channels.
    fn reshape(&mut self) {
        let (at, [h, w, c], name) = (self.c.at(), self.spatial(), self.name("reshape"));
        let shape = [vec![w, h, c], vec![h, w * c], vec![h, 1, w * c], vec![h * w, c]][self.pick(4)].clone();
        self.c.node(&name, QOp::Move(Move::Reshape), vec![at], &shape);
    }

    fn pad(&mut self) {
        let shape = self.c.shape();
        let (mut before, mut after) = (vec![0; shape.len()], vec![0; shape.len()]);
        for axis in 0..shape.len() {
            (before[axis], after[axis]) = (self.pick(2), self.pick(2));
        }
        let padded: Vec<usize> = shape.iter().zip(before.iter().zip(&after)).map(|(s, (b, a))| s + b + a).collect();
        let (at, name) = (self.c.at(), self.name("pad"));
        self.c.node(&name, QOp::Move(Move::Pad { before, after }), vec![at], &padded);
    }

    fn step(&mut self) {
        match self.pick(11) {
            0..=2 => {
                let channels = self.spatial()[2];
                let outputs = [channels, 2 * channels, 1 + self.pick(6)][self.pick(3)].min(20);
                self.conv(None, outputs);
                self.activation();
            }
            3 => self.pool(),
            4 => self.residual(),
            5 => self.concat(),
            6 => self.pad(),
            7 => {
                let name = self.name("sign");
                self.c.op(&name, QOp::Sign);
                self.affine();
                self.quantizer();
            }
            8 | 9 => self.reshape(),
            _ => {
                self.affine();
                self.quantizer();
            }
        }
    }

    fn finish(mut self, seed: u64) -> Model {
        let spatial = self.c.at();
        self.c.flatten("flat");
        let inputs = self.c.len();
        let scale = 2.0 / (inputs as f32).sqrt();
        let (weight, bias) = (self.r.many(inputs * 3, -scale, scale), self.r.many(3, -0.5, 0.5));
        let f = self.r.many(3, 1.0, 5.0);
        self.c.dense("out", weight, bias, f);
        let f = self.r.many(3, 2.0, 5.0);
        self.c.traced("y", &f, Rounding::HalfUp);
        if seed.is_multiple_of(3) {
            // a second output that other nodes read as well
            self.c.0.outputs.insert(0, spatial);
        }
        self.c.0
    }
}

fn below(r: &mut Lcg, n: usize) -> usize {
    ((r.unit() * n as f32) as usize).min(n - 1)
}

fn random(seed: u64) -> Model {
    let mut b = Builder::new(seed);
    b.quantizer();
    if seed.is_multiple_of(4) {
        // a second input, joined with the first
        let (first, shape) = (b.c.at(), b.c.shape());
        let second = b.c.input("second", &shape);
        b.c.go(second);
        b.quantizer();
        let (second, name) = (b.c.at(), b.name("join"));
        b.c.node(&name, QOp::Merge(Merge::Add), vec![first, second], &shape);
        b.quantizer();
    }
    for _ in 0..2 + b.pick(4) {
        if b.c.len() < 900 {
            b.step();
        }
    }
    b.finish(seed)
}

#[test]
fn random_networks_match_the_oracle() {
    let mut seen = BTreeSet::new();
    for seed in 0..SEEDS {
        let model = random(seed);
        features(&model, &mut seen);
        let mut r = Lcg(seed + 1000);
        // sometimes more than a block of samples
        let samples = if seed.is_multiple_of(16) { 131 } else { 9 };
        let d = data(&model, samples, &mut r);
        let kind = [LossKind::Mse, LossKind::Upstream, LossKind::CrossEntropy][seed as usize % 3];
        let loss = TaskLoss { kind, teacher_weight: 0.0, temperature: 1.0 };
        let rows: Vec<u32> = (0..samples as u32).rev().collect();
        for isa in isas() {
            let options = EngineOptions { isa: Some(isa), group_norm: !seed.is_multiple_of(5), ..EngineOptions::default() };
            compare_within(&model, &d, &rows, &loss, options, TOLERANCE);
        }
        compare_within(&model, &d, &rows, &loss, EngineOptions { threads: 2, ..EngineOptions::default() }, TOLERANCE);
    }
    let all = [
        "Add",
        "AveragePool",
        "Concat 0",
        "Concat 1",
        "Concat 2",
        "Max",
        "MaxPool",
        "MaxPool padded",
        "Min",
        "Mul",
        "Pad",
        "Reshape",
        "Sign",
        "Sub",
        "conv",
        "conv 1-D",
        "conv depthwise",
        "conv grouped",
        "conv multiplied",
        "conv padded",
        "conv pointwise",
        "conv strided",
        "inputs 2",
        "outputs 2",
    ];
    assert_eq!(seen.iter().map(String::as_str).collect::<Vec<_>>(), all);
}

/// What occurs in `model`.
fn features(model: &Model, seen: &mut BTreeSet<String>) {
    for node in &model.nodes {
        let rank = model.values[node.output].shape.len();
        match &node.op {
            QOp::Dense(d) => {
                let Some(w) = &d.window else { continue };
                let kinds = [
                    ("", true),
                    (" 1-D", rank == 2),
                    (" depthwise", w.groups > 1 && w.is_depthwise() && d.outputs == w.groups),
                    (" multiplied", w.groups > 1 && w.is_depthwise() && d.outputs > w.groups),
                    (" grouped", w.groups > 1 && !w.is_depthwise()),
                    (" pointwise", w.kernel == [1, 1]),
                    (" strided", w.stride != [1, 1]),
                    (" padded", w.is_padded()),
                ];
                seen.extend(kinds.iter().filter(|k| k.1).map(|k| format!("conv{}", k.0)));
            }
            QOp::MaxPool(w) => {
                seen.insert(format!("MaxPool{}", if w.is_padded() { " padded" } else { "" }));
            }
            QOp::AveragePool(_) => drop(seen.insert("AveragePool".into())),
            QOp::Merge(merge) => drop(seen.insert(merge.onnx().into())),
            QOp::Move(Move::Concat { axis }) => drop(seen.insert(format!("Concat {axis}"))),
            QOp::Move(Move::Pad { .. }) => drop(seen.insert("Pad".into())),
            QOp::Move(Move::Reshape) if rank > 1 => drop(seen.insert("Reshape".into())),
            QOp::Sign => drop(seen.insert("Sign".into())),
            _ => {}
        }
    }
    for (what, n) in [("inputs", model.inputs.len()), ("outputs", model.outputs.len())] {
        if n > 1 {
            seen.insert(format!("{what} {n}"));
        }
    }
}

#[test]
fn spatial_training_repeats_exactly_and_resumes() {
    let model = random(45);
    let (inputs, outputs) = lengths(&model);
    let mut r = Lcg(3);
    let d = data(&model, 400, &mut r);
    let set = TrainSet::new(inputs, outputs, &d.x, None, Some(&d.values), None).unwrap();
    let rows: Vec<u32> = (0..400).collect();
    let run = |threads: usize| {
        let mut e = Engine::new(&model, &EngineOptions { threads, ..EngineOptions::default() }).unwrap();
        let mut losses = Vec::new();
        for _ in 0..40 {
            e.reset_ranges();
            let stats = e.gradients(&set, &rows, &TaskLoss::new(LossKind::Mse), 0.0, &mut |_| 1e-7).unwrap();
            losses.push(stats.task_loss);
            e.adam(5e-3, 5e-3);
        }
        (e.snapshot(), losses, e)
    };
    for threads in [1, 2, 3] {
        let (a, losses, e) = run(threads);
        assert_eq!((&a, &losses), (&run(threads).0, &run(threads).1), "{threads} threads");
        assert!(losses[39] < 0.9 * losses[0], "{} → {}", losses[0], losses[39]);
        let mut exported = model.clone();
        e.export(&mut exported).unwrap();
        assert_eq!(Engine::new(&exported, &EngineOptions::default()).unwrap().snapshot(), a);
    }
}

#[test]
fn refusals_name_every_node() {
    let mut b = Builder { c: Chain::shaped(&[4, 4, 2]), r: Lcg(1), nodes: 0 };
    b.quantizer();
    let w = || window([4, 4, 2], [3, 3], [1, 1]);
    b.conv(Some(w()), 4);
    b.activation();
    let conv = b.c.0.nodes[1].name.clone();
    let faults = |change: &dyn Fn(&mut Chain)| {
        let mut broken = Chain(b.c.0.clone());
        change(&mut broken);
        match Engine::new(&broken.0, &EngineOptions::default()) {
            Err(TrainError::Model(faults)) => faults,
            Err(other) => panic!("{other}"),
            Ok(_) => vec![],
        }
    };
    assert!(faults(&|_| ()).is_empty());
    let windows: [&dyn Fn(&mut Window); 7] = [
        &|w| w.kernel = [0, 3],
        &|w| w.kernel = [5, 3],
        &|w| w.stride = [2, 0],
        &|w| w.groups = 3,
        &|w| w.groups = 0,
        &|w| w.input = [4, 4, 3],
        &|w| w.pads[0] = usize::MAX,
    ];
    for change in windows {
        let found = faults(&|c| {
            let QOp::Dense(d) = &mut c.0.nodes[1].op else { panic!() };
            change(d.window.as_mut().unwrap());
        });
        assert_eq!(found.iter().map(|f| &f.node).collect::<Vec<_>>(), [&conv], "{found:?}");
    }
    // a window of padding only, a merge of two shapes, a concatenation that does not fit, a layer
    // after a merge: all at once
    let found = faults(&|c| {
        let (at, len) = (c.at(), c.len());
        let pool = Window { pads: [0, 0, 2, 0], groups: 4, ..window([2, 2, 4], [1, 2], [1, 1]) };
        c.max_pool("pool", pool).go(at);
        c.node("merge", QOp::Merge(Merge::Add), vec![at, c.0.inputs[0]], &[2, 2, 4]).go(at);
        c.node("concat", QOp::Move(Move::Concat { axis: 3 }), vec![at, at], &[2, 2, 8]).go(at);
        c.node("pad", QOp::Move(Move::Pad { before: vec![0, 1], after: vec![0, 0] }), vec![at], &[2, 3, 4]).go(at);
        assert_eq!(len, 16);
    });
    assert_eq!(found.iter().map(|f| f.node.as_str()).collect::<Vec<_>>(), ["pool", "merge", "concat", "pad"]);
    let found = faults(&|c| {
        let at = c.at();
        c.node("sum", QOp::Merge(Merge::Add), vec![at, at], &[2, 2, 4]).flatten("flat");
        c.dense("out", vec![0.0; 16], vec![0.0], vec![1.0]).traced("y", &[2.0], Rounding::HalfUp);
    });
    assert_eq!(found.iter().map(|f| f.node.as_str()).collect::<Vec<_>>(), ["out"]);
    assert!(found[0].what.contains("not quantized"), "{}", found[0].what);
}
