//! Shared by the tests of the engine: random numbers, samples, and the comparison of a step with
//! the oracle.

use super::chain::{Chain, close, quantizer};
use super::oracle::{Samples, kind_name, step};
use hgq_onnx::quant::{Groups, Model, QOp, Range, Rounding};
use hgq_onnx::train::{Engine, EngineOptions, Isa, LossKind, ParamKind, TaskLoss, TrainSet};

/// Small deterministic generator.
pub struct Lcg(pub u64);

impl Lcg {
    /// 24 bits.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 40
    }

    pub fn unit(&mut self) -> f32 {
        self.next() as f32 / 16_777_216.0
    }

    /// Multiples of 1/8 in [−4, 4), in rows of `stride`: products and short sums are exact in f32.
    pub fn grid(&mut self, rows: usize, cols: usize, stride: usize) -> Vec<f32> {
        let mut v = vec![0.0; rows * stride];
        for row in v.chunks_mut(stride) {
            row[..cols].fill_with(|| (self.next() % 64) as f32 / 8.0 - 4.0);
        }
        v
    }

    pub fn many(&mut self, n: usize, low: f32, high: f32) -> Vec<f32> {
        (0..n).map(|_| low + (high - low) * self.unit()).collect()
    }
}

/// Appends a saturating quantizer with random widths.
pub fn saturating(c: &mut Chain, r: &mut Lcg, name: &str, keep: bool, symmetric: bool, rounding: Rounding, groups: Groups) {
    let n = groups.count();
    let range = Range::Saturating { keep_negative: vec![keep; n], i: r.many(n, -1.6, 1.6), symmetric };
    let q = quantizer(groups, &r.many(n, 0.6, 4.4), range, rounding);
    c.op(name, QOp::Quantizer(q));
}

/// What this processor has.
pub fn isas() -> Vec<Isa> {
    [Isa::Portable, Isa::Avx2, Isa::Avx512].into_iter().filter(|i| i.available()).collect()
}

/// All kinds of parameters.
const KINDS: [ParamKind; 11] = [
    ParamKind::Weight,
    ParamKind::Bias,
    ParamKind::WeightF,
    ParamKind::WeightB,
    ParamKind::WeightI,
    ParamKind::BiasF,
    ParamKind::BiasB,
    ParamKind::BiasI,
    ParamKind::ActF,
    ParamKind::ActB,
    ParamKind::ActI,
];

/// Samples with every kind of target.
pub struct Data {
    pub x: Vec<f32>,
    pub labels: Vec<u32>,
    pub values: Vec<f32>,
    pub teacher: Vec<f32>,
}

/// Elements of one sample over all inputs and over all outputs.
pub fn lengths(model: &Model) -> (usize, usize) {
    let sum = |values: &[usize]| values.iter().map(|&v| model.len_of(v)).sum();
    (sum(&model.inputs), sum(&model.outputs))
}

/// Random samples for `model`.
pub fn data(model: &Model, samples: usize, r: &mut Lcg) -> Data {
    let (i, o) = lengths(model);
    // on the grid of an input port, so that the first quantizer sees the same number in f32 and f64
    let x = r.many(samples * i, -3.0, 3.0).iter().map(|x| (x * 1024.0).round() / 1024.0).collect();
    let labels = (0..samples).map(|_| ((r.unit() * o as f32) as u32).min(o as u32 - 1)).collect();
    Data { x, labels, values: r.many(samples * o, 0.0, 1.0), teacher: r.many(samples * o, -2.0, 2.0) }
}

/// Compares outputs, losses, EBOPs and all gradients of one step with the oracle.
#[track_caller]
pub fn compare(model: &Model, d: &Data, rows: &[u32], loss: &TaskLoss, options: EngineOptions) {
    compare_within(model, d, rows, loss, options, 2e-5);
}

/// [`compare`] with a tolerance relative to the largest gradient of each kind and node.
#[track_caller]
pub fn compare_within(model: &Model, d: &Data, rows: &[u32], loss: &TaskLoss, options: EngineOptions, tolerance: f64) {
    let (i, o) = lengths(model);
    let with_values = loss.kind != LossKind::CrossEntropy;
    let values = with_values.then_some(&d.values[..]);
    let set = TrainSet::new(i, o, &d.x, Some(&d.labels), values, Some(&d.teacher)).unwrap();
    let samples = Samples { x: &d.x, labels: Some(&d.labels), values, teacher: Some(&d.teacher), heads: &[] };
    compare_set(model, &set, &samples, rows, loss, options, tolerance);
}

/// [`compare_within`] on given samples, the same in `set` and `samples`.
#[track_caller]
pub fn compare_set(
    model: &Model,
    set: &TrainSet,
    samples: &Samples,
    rows: &[u32],
    loss: &TaskLoss,
    options: EngineOptions,
    tolerance: f64,
) {
    let mut e = Engine::new(model, &options).unwrap();
    let (beta, l1) = (2e-4f32, 3e-5f32);
    let stats = e.gradients(set, rows, loss, l1, &mut |_| beta).unwrap();
    let want = step(model, samples, rows, loss, f64::from(beta), f64::from(l1), &options);
    let what = format!("{:?} {} rows {} threads", e.isa(), rows.len(), options.threads);
    close(&format!("{what} outputs"), &e.outputs(), &want.outputs, 1e-6);
    assert_eq!((stats.ebops.surrogate, stats.ebops.enclosed), (want.surrogate, want.enclosed), "{what}");
    let near = |got: f64, want: f64| (got - want).abs() <= 1e-5 * (1.0 + want.abs());
    assert!(near(stats.task_loss, want.task), "{what}: task loss {} instead of {}", stats.task_loss, want.task);
    assert!(near(stats.total_loss, want.total), "{what}: total loss {} instead of {}", stats.total_loss, want.total);
    for node in &model.nodes {
        for kind in KINDS {
            let Some(got) = e.gradient(&node.name, kind) else { continue };
            let want = &want.gradients[&(node.name.clone(), kind_name(kind))];
            let scale = want.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
            close(&format!("{what} {} {kind:?}", node.name), &got, want, tolerance * scale);
        }
    }
}
