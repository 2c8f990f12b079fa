//! HGQ2's quantizers on layers, one step against the naive oracle: both parametrisations, both
//! overflows, every granularity, dense layers, convolutions and groups; activations that saturate
//! and that follow the data. And what a model must not be.

use crate::support::chain::{Chain, close, quantizer, window};
use crate::support::training::{Lcg, compare, data, isas, lengths, saturating};
use hgq_onnx::graph::Window;
use hgq_onnx::ops::Elementwise;
use hgq_onnx::quant::{BiasBits, Granularity, Groups, Model, QDense, QOp, Quantizer, Range, Rounding, SaturatingDense};
use hgq_onnx::trace::{FormatOptions, fix, trace_minmax};
use hgq_onnx::train::{Engine, EngineOptions, LayerOptions, LossKind, ParamKind, TaskLoss, TrainError, TrainSet};

#[derive(Clone, Copy)]
struct How {
    kbi: bool,
    symmetric: bool,
    granularity: Granularity,
}

/// A quantizer with random widths of 1 to 5 bits, many of which clip numbers of about 1.
fn constant(r: &mut Lcg, how: How, shape: &[usize]) -> Quantizer {
    let groups = Groups::new(how.granularity, shape);
    let n = groups.count();
    let keep_negative: Vec<bool> = (0..n).map(|_| r.unit() < 0.8).collect();
    let (i, first) = (r.many(n, -1.6, 1.6), r.many(n, 0.6, 4.4));
    let symmetric = how.symmetric;
    let range = if how.kbi {
        Range::SaturatingKbi { keep_negative, i, symmetric }
    } else {
        Range::Saturating { keep_negative, i, symmetric }
    };
    quantizer(groups, &first, range, Rounding::HalfUp)
}

fn layer(c: &mut Chain, r: &mut Lcg, name: &str, how: How, outputs: usize, window: Option<Window>) {
    let inputs = window.as_ref().map_or(c.len(), Window::patch);
    let shape = match &window {
        Some(w) => [&w.output()[..], &[outputs]].concat(),
        None => vec![outputs],
    };
    let layer = QDense {
        inputs,
        outputs,
        weight: r.many(inputs * outputs, -1.5, 1.5),
        weight_groups: Groups::new(how.granularity, &[inputs, outputs]),
        weight_f: vec![],
        bias: r.many(outputs, -1.0, 1.0),
        bias_bits: BiasBits::Own(vec![]),
        ebops_scale: if window.is_some() { 0.5 } else { 1.0 },
        window,
        declared: None,
        trainable: true,
    };
    let (weight, bias) = (constant(r, how, &[inputs, outputs]), constant(r, how, &[outputs]));
    c.node(name, QOp::SaturatingDense(Box::new(SaturatingDense { layer, weight, bias })), vec![c.at()], &shape);
}

fn tracked(c: &mut Chain, r: &mut Lcg, name: &str, granularity: Granularity) {
    let groups = Groups::new(granularity, &c.shape());
    let n = groups.count();
    // lower than the data need: the first batch decides
    let range = Range::Tracked { i: vec![-6.0; n] };
    c.op(name, QOp::Quantizer(quantizer(groups, &r.many(n, 1.6, 4.4), range, Rounding::HalfUp)));
}

fn kbi_activation(c: &mut Chain, r: &mut Lcg, name: &str, keep: bool) {
    let n = c.len();
    let range = Range::SaturatingKbi { keep_negative: vec![keep; n], i: r.many(n, -0.6, 1.6), symmetric: false };
    c.op(name, QOp::Quantizer(quantizer(Groups::elementwise(n), &r.many(n, 1.6, 4.4), range, Rounding::HalfUp)));
}

/// Dense layers after a saturating input and a Relu with kbi widths.
fn dense_model(r: &mut Lcg, how: How) -> Model {
    let mut c = Chain::new(7);
    saturating(&mut c, r, "q", true, false, Rounding::HalfUp, Groups::elementwise(7));
    layer(&mut c, r, "d0", how, 18, None);
    c.op("relu", QOp::Elementwise(Elementwise::Relu));
    kbi_activation(&mut c, r, "d0_q", false);
    layer(&mut c, r, "d1", how, 3, None);
    kbi_activation(&mut c, r, "d1_q", true);
    c.0
}

/// A convolution, one in groups, and a dense layer.
fn conv_model(r: &mut Lcg, how: How) -> Model {
    let mut c = Chain::shaped(&[5, 4, 2]);
    saturating(&mut c, r, "q", true, true, Rounding::HalfUp, Groups::new(Granularity::Channel, &[5, 4, 2]));
    layer(&mut c, r, "c0", how, 4, Some(Window { pads: [1, 0, 1, 0], ..window([5, 4, 2], [3, 2], [1, 1]) }));
    c.op("relu", QOp::Elementwise(Elementwise::Relu));
    saturating(&mut c, r, "c0_q", false, false, Rounding::HalfUp, Groups::new(Granularity::Channel, &[5, 3, 4]));
    layer(&mut c, r, "c1", how, 6, Some(Window { groups: 2, ..window([5, 3, 4], [2, 2], [2, 1]) }));
    saturating(&mut c, r, "c1_q", true, false, Rounding::HalfUp, Groups::new(Granularity::Channel, &[2, 2, 6]));
    c.flatten("flat");
    layer(&mut c, r, "d", how, 3, None);
    c.0
}

fn hows() -> impl Iterator<Item = How> {
    [Granularity::Element, Granularity::Channel, Granularity::Tensor].into_iter().flat_map(|granularity| {
        [(false, false), (false, true), (true, false), (true, true)].into_iter().map(move |(kbi, symmetric)| How {
            kbi,
            symmetric,
            granularity,
        })
    })
}

#[test]
fn a_step_equals_the_formulas() {
    for (n, how) in hows().enumerate() {
        for isa in isas() {
            let mut r = Lcg(n as u64 + 1);
            let options = EngineOptions { isa: Some(isa), group_norm: false, threads: 1 + n % 2, ..EngineOptions::default() };
            for model in [dense_model(&mut r, how), conv_model(&mut r, how)] {
                let d = data(&model, 80, &mut r);
                let rows: Vec<u32> = (0..77).collect();
                compare(&model, &d, &rows, &TaskLoss::new(LossKind::CrossEntropy), options.clone());
            }
        }
    }
}

#[test]
fn beta_has_a_factor_for_each_layer() {
    let layer = |node: &str, beta_scale| LayerOptions { node: node.into(), weights: true, bits: true, beta_scale };
    for (n, how) in hows().enumerate() {
        let mut r = Lcg(40 + n as u64);
        for (model, layers) in [
            (dense_model(&mut r, how), vec![layer("d0", 7.0), layer("d1", 0.0)]),
            (conv_model(&mut r, how), vec![layer("c0", 0.25), layer("c1", 3.0)]),
        ] {
            let d = data(&model, 80, &mut r);
            let rows: Vec<u32> = (0..80).collect();
            let options = EngineOptions { group_norm: false, layers, ..EngineOptions::default() };
            compare(&model, &d, &rows, &TaskLoss::new(LossKind::CrossEntropy), options);
        }
    }
}

#[test]
fn a_layer_may_keep_its_weights_or_its_widths() {
    let layer = |node: &str, weights, bits| LayerOptions { node: node.into(), weights, bits, beta_scale: 1.0 };
    let layers = vec![layer("d0", false, true), layer("d1", true, false)];
    for how in hows() {
        let mut r = Lcg(50);
        let model = dense_model(&mut r, how);
        let d = data(&model, 64, &mut r);
        let set = TrainSet::new(7, 3, &d.x, Some(&d.labels), None, None).unwrap();
        let rows: Vec<u32> = (0..64).collect();
        let options = EngineOptions { group_norm: false, layers: layers.clone(), ..EngineOptions::default() };
        let before = Engine::new(&model, &options).unwrap();
        let mut e = Engine::new(&model, &options).unwrap();
        for _ in 0..3 {
            e.gradients(&set, &rows, &TaskLoss::new(LossKind::CrossEntropy), 1e-3, &mut |_| 1e-2).unwrap();
            e.adam(1e-2, 0.5);
        }
        let moved = |node: &str, kind| e.parameter(node, kind) != before.parameter(node, kind);
        let first = if how.kbi { [ParamKind::WeightB, ParamKind::BiasB] } else { [ParamKind::WeightF, ParamKind::BiasF] };
        for (node, weights, bits) in [("d0", false, true), ("d1", true, false)] {
            for kind in [ParamKind::Weight, ParamKind::Bias] {
                assert_eq!(moved(node, kind), weights, "{node} {kind:?}");
            }
            for kind in first.into_iter().chain([ParamKind::WeightI, ParamKind::BiasI]) {
                assert_eq!(moved(node, kind), bits, "{node} {kind:?}");
            }
        }
    }
}

/// What training computes is what is delivered: the exact model of the widths in training gives the
/// outputs of the training step.
#[test]
fn the_exact_model_computes_what_training_saw() {
    for (n, how) in hows().enumerate() {
        let mut r = Lcg(100 + n as u64);
        for mut model in [dense_model(&mut r, how), conv_model(&mut r, how)] {
            let d = data(&model, 40, &mut r);
            let (inputs, outputs) = lengths(&model);
            let set = TrainSet::new(inputs, outputs, &d.x, Some(&d.labels), None, None).unwrap();
            let rows: Vec<u32> = (0..40).collect();
            let mut e = Engine::new(&model, &EngineOptions::default()).unwrap();
            let loss = TaskLoss::new(LossKind::CrossEntropy);
            for _ in 0..5 {
                e.gradients(&set, &rows, &loss, 1e-4, &mut |_| 1e-3).unwrap();
                e.adam(0.05, 0.2);
            }
            e.gradients(&set, &rows, &loss, 0.0, &mut |_| 0.0).unwrap();
            let before = model.clone();
            e.export(&mut model).unwrap();
            assert_ne!(before, model);
            let ranges = trace_minmax(&model, &[&d.x], 40).unwrap();
            let fixed = fix(&model, &ranges, &FormatOptions { cover_factor: 1.0, lower_annotated: true }).unwrap();
            let exact = hgq_onnx::quant::exact::Exact::new(&fixed).unwrap();
            close("outputs", &e.outputs(), &exact.run(&[&d.x], 40, &fixed.outputs)[0], 0.0);
        }
    }
}

#[test]
fn integer_bits_follow_the_data_and_decay() {
    let how = How { kbi: true, symmetric: true, granularity: Granularity::Element };
    let mut r = Lcg(7);
    let mut c = Chain::new(5);
    tracked(&mut c, &mut r, "q", Granularity::Element);
    layer(&mut c, &mut r, "d0", how, 6, None);
    c.op("relu", QOp::Elementwise(Elementwise::Relu));
    tracked(&mut c, &mut r, "d0_q", Granularity::Tensor);
    layer(&mut c, &mut r, "d1", how, 3, None);
    let mut model = c.0;
    let d = data(&model, 64, &mut r);
    let set = TrainSet::new(5, 3, &d.x, Some(&d.labels), None, None).unwrap();
    let loss = TaskLoss::new(LossKind::CrossEntropy);
    let mut e = Engine::new(&model, &EngineOptions::default()).unwrap();
    let all: Vec<u32> = (0..64).collect();
    e.gradients(&set, &all, &loss, 0.0, &mut |_| 0.0).unwrap();
    let first = e.parameter("q", ParamKind::ActI).unwrap();
    // ±3 on the grid needs two integer bits; the last of them only near the top
    assert!(first.iter().all(|&i| i == 2.0), "{first:?}");
    // a small batch lets them decay, a large one raises them again
    let quiet: Vec<f32> = d.x.iter().map(|x| x / 64.0).collect();
    let small = TrainSet::new(5, 3, &quiet, Some(&d.labels), None, None).unwrap();
    for _ in 0..30 {
        e.gradients(&small, &all, &loss, 0.0, &mut |_| 0.0).unwrap();
    }
    let decayed = e.parameter("q", ParamKind::ActI).unwrap();
    assert!(decayed.iter().all(|&i| (i - 1.7).abs() < 1e-5), "{decayed:?}");
    let state = e.state();
    e.gradients(&set, &all, &loss, 0.0, &mut |_| 0.0).unwrap();
    assert_eq!(e.parameter("q", ParamKind::ActI).unwrap(), first);
    // a checkpoint knows them, the model gets them
    e.load_state(&state).unwrap();
    e.export(&mut model).unwrap();
    let QOp::Quantizer(q) = &model.nodes[0].op else { panic!() };
    assert_eq!(q.range, Range::Tracked { i: decayed });
}

#[test]
fn faults_are_named_all_at_once() {
    let how = How { kbi: true, symmetric: true, granularity: Granularity::Element };
    let mut model = dense_model(&mut Lcg(3), how);
    for node in &mut model.nodes {
        if let QOp::SaturatingDense(s) = &mut node.op {
            if node.name == "d0" {
                s.weight.range = Range::Traced;
                s.bias.f.pop();
            } else {
                s.layer.weight_f.push(1.0);
            }
        }
    }
    let Err(TrainError::Model(faults)) = Engine::new(&model, &EngineOptions::default()) else { panic!("accepted") };
    let text: Vec<String> = faults.iter().map(|f| format!("{}: {}", f.node, f.what)).collect();
    for wanted in ["d0: weight quantizer: its range must saturate", "d0: bias quantizer: 18 grouped", "d1: widths of HGQ v1"] {
        assert!(text.iter().any(|t| t.starts_with(wanted)), "{wanted} in {text:?}");
    }
}
