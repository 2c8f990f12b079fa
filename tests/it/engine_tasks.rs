//! What a step minimises and for which layers: absolute errors, class weights, outputs with losses
//! of their own, β by layer, layers whose weights or widths stay. Every gradient against the
//! formula in f64.

use crate::support::chains::{recipe, unfused, v1};
use crate::support::oracle::Samples;
use crate::support::training::{Data, Lcg, compare, compare_set, data, isas, lengths};
use hgq_onnx::quant::Model;
use hgq_onnx::train::{Engine, EngineOptions, Head, LayerOptions, LossKind, ParamKind, TaskLoss, TrainError, TrainSet};

fn loss(kind: LossKind, teacher_weight: f32) -> TaskLoss {
    TaskLoss { kind, teacher_weight, temperature: 1.0 }
}

fn head(kind: LossKind, outputs: usize) -> Head {
    let labelled = kind == LossKind::CrossEntropy;
    Head { outputs, kind, temperature: 1.0, labelled, class_weights: vec![] }
}

/// Compares a step with `heads` on `rows` samples, labels below the classes of their heads.
fn compare_heads(model: &Model, d: &Data, heads: &[Head], alpha: f32, rows: u32, threads: usize) {
    let (i, o) = lengths(model);
    let labelled: Vec<&Head> = heads.iter().filter(|h| h.labelled).collect();
    let samples = d.x.len() / i;
    let labels: Vec<u32> =
        (0..samples).flat_map(|s| labelled.iter().map(move |h| ((s * 7 + s / 3) % h.classes()) as u32)).collect();
    let (labels, values) = (Some(&labels[..]).filter(|l| !l.is_empty()), Some(&d.values[..]));
    let set = TrainSet::new(i, o, &d.x, None, values, Some(&d.teacher)).unwrap().with_heads(heads, labels).unwrap();
    let of = Samples { x: &d.x, labels, values, teacher: Some(&d.teacher), heads };
    let rows: Vec<u32> = (0..rows).rev().collect();
    for isa in isas() {
        let options = EngineOptions { threads, isa: Some(isa), ..EngineOptions::default() };
        compare_set(model, &set, &of, &rows, &loss(LossKind::Mse, alpha), options, 2e-5);
    }
}

#[test]
fn absolute_errors_have_a_sign_as_gradient() {
    let mut r = Lcg(21);
    for build in [recipe, v1, unfused] {
        let model = build(&mut r);
        let mut d = data(&model, 200, &mut r);
        let rows: Vec<u32> = (0..200).collect();
        let options = EngineOptions::default();
        for alpha in [0.0, 0.3, 1.0] {
            for isa in isas() {
                compare(&model, &d, &rows, &loss(LossKind::Mae, alpha), EngineOptions { isa: Some(isa), ..options.clone() });
            }
        }
        // targets that are met exactly: no gradient at all
        let (i, o) = lengths(&model);
        let set = TrainSet::new(i, o, &d.x, None, Some(&d.values), None).unwrap();
        let mut e = Engine::new(&model, &options).unwrap();
        e.gradients(&set, &rows, &loss(LossKind::Mae, 0.0), 0.0, &mut |_| 0.0).unwrap();
        d.values = e.outputs();
        let set = TrainSet::new(i, o, &d.x, None, Some(&d.values), None).unwrap();
        let met = e.gradients(&set, &rows, &loss(LossKind::Mae, 0.0), 0.0, &mut |_| 0.0).unwrap();
        assert_eq!(met.task_loss, 0.0);
        for node in &model.nodes {
            let zero = |g: Vec<f32>| g.iter().all(|&g| g == 0.0);
            assert!(e.gradient(&node.name, ParamKind::Weight).is_none_or(zero), "{}", node.name);
        }
    }
}

/// Targets may be probabilities of the classes: rows that add up to 1.
#[test]
fn a_cross_entropy_takes_probabilities() {
    let mut r = Lcg(29);
    for build in [recipe, v1, unfused] {
        let model = build(&mut r);
        let mut d = data(&model, 130, &mut r);
        let (i, o) = lengths(&model);
        for row in d.values.chunks_mut(o) {
            let sum: f32 = row.iter().map(|v| v.exp()).sum();
            row.iter_mut().for_each(|v| *v = v.exp() / sum);
        }
        let shares = [Head { labelled: false, ..head(LossKind::CrossEntropy, o) }];
        for alpha in [0.0, 0.4] {
            compare_heads(&model, &d, &shares, alpha, 130, 1);
        }
        // all on one class: as its label, bit for bit
        let labels: Vec<u32> = (0..130).map(|s| (s * 7 % o) as u32).collect();
        let hot: Vec<f32> = labels.iter().flat_map(|&l| (0..o).map(move |c| f32::from(u8::from(c as u32 == l)))).collect();
        let rows: Vec<u32> = (0..130).collect();
        let step = |labels: Option<&[u32]>, values: Option<&[f32]>| {
            let set = TrainSet::new(i, o, &d.x, labels, values, Some(&d.teacher)).unwrap();
            let mut e = Engine::new(&model, &EngineOptions::default()).unwrap();
            let stats = e.gradients(&set, &rows, &loss(LossKind::CrossEntropy, 0.3), 1e-6, &mut |_| 0.0).unwrap();
            let gradients: Vec<_> = model.nodes.iter().map(|n| e.gradient(&n.name, ParamKind::Weight)).collect();
            (stats.task_loss, gradients)
        };
        assert_eq!(step(Some(&labels), None), step(None, Some(&hot)));
    }
}

#[test]
fn samples_weigh_as_their_class_says() {
    let mut r = Lcg(22);
    let weights = vec![0.5, 3.0, 1.25, 0.01, 20.0];
    let (five, three) = (recipe(&mut r), v1(&mut r));
    let d = data(&five, 150, &mut r);
    for (alpha, temperature) in [(0.0, 1.0), (0.4, 2.5), (0.5, 0.3), (1.0, 1.0)] {
        let entropy = Head { class_weights: weights.clone(), temperature, ..head(LossKind::CrossEntropy, 5) };
        compare_heads(&five, &d, &[entropy], alpha, 150, 1);
    }
    // a binary head among others, whose values are not read
    let d = data(&three, 150, &mut r);
    let binary = Head { labelled: true, class_weights: vec![0.2, 5.0], ..head(LossKind::Bce, 1) };
    compare_heads(&three, &d, &[binary.clone(), head(LossKind::Bce, 1), binary], 0.3, 150, 2);
}

#[test]
fn outputs_have_losses_of_their_own() {
    let mut r = Lcg(23);
    let model = recipe(&mut r);
    let d = data(&model, 301, &mut r);
    let kinds = [
        vec![head(LossKind::CrossEntropy, 3), head(LossKind::CrossEntropy, 2)],
        vec![head(LossKind::Mse, 2), Head { temperature: 2.0, ..head(LossKind::CrossEntropy, 3) }],
        vec![
            head(LossKind::Mae, 1),
            head(LossKind::CrossEntropy, 2),
            Head { labelled: true, ..head(LossKind::Bce, 1) },
            head(LossKind::Mse, 1),
        ],
        vec![head(LossKind::Mae, 2), head(LossKind::Bce, 3)],
    ];
    for heads in &kinds {
        for alpha in [0.0, 0.4] {
            for rows in [1, 131, 301] {
                compare_heads(&model, &d, heads, alpha, rows, 1);
            }
        }
        compare_heads(&model, &d, heads, 0.5, 301, 3);
    }
    // without labels each output follows the teacher by itself
    let follower = |outputs| Head { labelled: false, temperature: 1.5, ..head(LossKind::CrossEntropy, outputs) };
    compare_heads(&model, &d, &[follower(2), follower(3)], 1.0, 301, 1);
}

#[test]
fn one_head_without_weights_is_the_plain_loss() {
    let mut r = Lcg(24);
    let model = recipe(&mut r);
    let d = data(&model, 256, &mut r);
    let rows: Vec<u32> = (0..256).collect();
    let plain = TrainSet::new(3, 5, &d.x, Some(&d.labels), None, Some(&d.teacher)).unwrap();
    let ones = [Head { class_weights: vec![1.0; 5], ..head(LossKind::CrossEntropy, 5) }];
    let headed = TrainSet::new(3, 5, &d.x, None, None, Some(&d.teacher)).unwrap().with_heads(&ones, Some(&d.labels)).unwrap();
    let run = |set: &TrainSet| {
        let mut e = Engine::new(&model, &EngineOptions::default()).unwrap();
        let step = |e: &mut Engine| {
            let stats = e.gradients(set, &rows, &loss(LossKind::CrossEntropy, 0.5), 1e-6, &mut |_| 1e-5).unwrap();
            e.adam(3e-3, 1e-2);
            stats
        };
        ((0..5).map(|_| step(&mut e)).collect::<Vec<_>>(), e.snapshot())
    };
    assert_eq!(run(&plain), run(&headed));
}

#[test]
fn beta_has_a_factor_for_each_layer() {
    let mut r = Lcg(25);
    let layer = |node: &str, beta_scale| LayerOptions { node: node.into(), weights: true, bits: true, beta_scale };
    for (build, layers) in [
        (recipe as fn(&mut Lcg) -> Model, vec![layer("d0", 0.0), layer("d1", 3.0), layer("out", 0.25)]),
        (v1, vec![layer("d1", 7.0)]),
        // the quantizer `q` feeds two layers with different factors
        (unfused, vec![layer("d0", 2.0), layer("dead", 0.5), layer("own", 0.0)]),
    ] {
        let model = build(&mut r);
        let d = data(&model, 140, &mut r);
        let rows: Vec<u32> = (0..140).collect();
        for (threads, group_norm) in [(1, true), (2, false)] {
            let options = EngineOptions { threads, group_norm, layers: layers.clone(), ..EngineOptions::default() };
            // with the oracle's total loss; EBOPs as they are reported are those without factors
            compare(&model, &d, &rows, &loss(LossKind::Mse, 0.2), options);
        }
    }
}

#[test]
fn a_layer_may_keep_its_weights_or_its_widths() {
    let mut r = Lcg(26);
    let model = v1(&mut r);
    let d = data(&model, 64, &mut r);
    let set = TrainSet::new(17, 3, &d.x, Some(&d.labels), None, None).unwrap();
    let rows: Vec<u32> = (0..64).collect();
    let layer = |node: &str, weights, bits| LayerOptions { node: node.into(), weights, bits, beta_scale: 1.0 };
    let layers = vec![layer("d0", false, true), layer("d1", true, false)];
    for (train_weights, train_bits) in [(true, true), (true, false), (false, true)] {
        let options = EngineOptions { train_weights, train_bits, layers: layers.clone(), ..EngineOptions::default() };
        let before = Engine::new(&model, &options).unwrap();
        let mut e = Engine::new(&model, &options).unwrap();
        for _ in 0..3 {
            e.gradients(&set, &rows, &loss(LossKind::CrossEntropy, 0.0), -1.0, &mut |_| 0.0).unwrap();
            e.adam(1e-2, 0.5);
        }
        let moved = |node: &str, kind| e.parameter(node, kind) != before.parameter(node, kind);
        for (node, weights, bits) in [("d0", false, true), ("d1", true, false), ("out", true, true)] {
            assert_eq!(moved(node, ParamKind::Weight), weights && train_weights, "{node}");
            assert_eq!(moved(node, ParamKind::Bias), weights && train_weights, "{node}");
            assert_eq!(moved(node, ParamKind::WeightF), bits && train_bits, "{node}");
        }
        // the exported model has what was trained and no more
        let mut exported = model.clone();
        e.export(&mut exported).unwrap();
        assert_eq!(Engine::new(&exported, &options).unwrap().snapshot(), e.snapshot());
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut r = Lcg(27);
    let model = recipe(&mut r);
    let layer = |node: &str, beta_scale| LayerOptions { node: node.into(), weights: true, bits: true, beta_scale };
    for layers in [
        vec![layer("nobody", 1.0)],
        vec![layer("s0", 1.0)],
        vec![layer("d0", -1.0)],
        vec![layer("d0", f32::NAN)],
        vec![layer("d0", 1.0), layer("d0", 2.0)],
    ] {
        let what = format!("{layers:?}");
        let options = EngineOptions { layers, ..EngineOptions::default() };
        for refused in [Engine::new(&model, &options).map(drop), Engine::accepts(&model, &options)] {
            assert!(matches!(refused, Err(TrainError::Option { option: "layers", .. })), "{what}");
        }
    }
    let (x, values) = ([0.0; 6], [0.0; 10]);
    let set = TrainSet::new(3, 5, &x, None, Some(&values), None).unwrap();
    let entropy = |outputs, weights: &[f32]| Head { class_weights: weights.to_vec(), ..head(LossKind::CrossEntropy, outputs) };
    let with = |heads: &[Head], labels: &[u32]| set.with_heads(heads, Some(labels)).map(|_| ());
    assert!(with(&[entropy(5, &[])], &[0, 4]).is_ok());
    assert!(with(&[entropy(4, &[])], &[0, 3]).is_err(), "columns");
    assert!(with(&[entropy(5, &[])], &[0, 5]).is_err(), "label");
    assert!(with(&[entropy(5, &[])], &[0]).is_err(), "samples");
    assert!(with(&[entropy(5, &[1.0; 4])], &[0, 1]).is_err(), "weights");
    assert!(with(&[entropy(5, &[1.0, 0.0, 1.0, 1.0, 1.0])], &[0, 1]).is_err(), "a weight of 0");
    assert!(with(&[Head { labelled: true, ..head(LossKind::Mse, 5) }], &[0, 1]).is_err(), "labels of a squared error");
    assert!(with(&[Head { labelled: true, ..head(LossKind::Bce, 5) }], &[0, 1]).is_err(), "labels of several logits");
    let followers = [Head { labelled: false, ..head(LossKind::CrossEntropy, 5) }];
    let teacher = TrainSet::new(3, 5, &x, None, None, Some(&values)).unwrap().with_heads(&followers, None).unwrap();
    let mut e = Engine::new(&model, &EngineOptions::default()).unwrap();
    assert!(e.gradients(&teacher, &[0], &loss(LossKind::Mse, 1.0), 0.0, &mut |_| 0.0).is_ok());
    assert!(e.gradients(&teacher, &[0], &loss(LossKind::Mse, 0.9), 0.0, &mut |_| 0.0).is_err(), "no labels");
    let heads = [head(LossKind::Mae, 5)];
    let bare = TrainSet::new(3, 5, &x, None, None, None).unwrap().with_heads(&heads, None).unwrap();
    assert!(e.gradients(&bare, &[0], &loss(LossKind::Mse, 0.0), 0.0, &mut |_| 0.0).is_err(), "no values");
    assert!(e.gradients(&bare, &[0], &loss(LossKind::Mse, 0.5), 0.0, &mut |_| 0.0).is_err(), "no teacher");
}
