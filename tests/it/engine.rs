//! The engine against a naive f64 oracle: every operation, fused and unfused, every loss, ragged
//! sizes, every instruction set; reproducibility, checkpoints and refusals.

use crate::support::chain::Chain;
use crate::support::chains::{dense, recipe, unfused, v1};
use crate::support::training::{Lcg, compare, data, isas};
use hgq_onnx::ops::{Elementwise, Table};
use hgq_onnx::quant::{Model, QOp};
use hgq_onnx::train::{Engine, EngineOptions, EngineState, LossKind, ParamKind, TaskLoss, TrainError, TrainSet};

#[test]
fn every_operation_matches_the_oracle() {
    let mut r = Lcg(1);
    for (build, losses) in [
        (recipe as fn(&mut Lcg) -> Model, [(LossKind::CrossEntropy, 0.0, 1.0), (LossKind::CrossEntropy, 0.3, 2.5)]),
        (v1, [(LossKind::Mse, 0.25, 1.0), (LossKind::CrossEntropy, 1.0, 1.0)]),
        (unfused, [(LossKind::Bce, 0.4, 1.0), (LossKind::Upstream, 0.0, 1.0)]),
    ] {
        for trial in 0..3 {
            let model = build(&mut r);
            let d = data(&model, 301, &mut r);
            for rows in [1, 7, 128, 131, 301] {
                let rows: Vec<u32> = (0..rows).rev().collect();
                for (kind, teacher_weight, temperature) in losses {
                    let loss = TaskLoss { kind, teacher_weight, temperature };
                    for isa in isas() {
                        let options = EngineOptions { isa: Some(isa), group_norm: trial != 1, ..EngineOptions::default() };
                        compare(&model, &d, &rows, &loss, options);
                    }
                }
            }
            let loss = TaskLoss { kind: losses[0].0, teacher_weight: losses[0].1, temperature: losses[0].2 };
            let rows: Vec<u32> = (0..301).collect();
            compare(&model, &d, &rows, &loss, EngineOptions { threads: 3, ..EngineOptions::default() });
        }
    }
}

#[test]
fn threads_agree_and_repeat_exactly() {
    let mut r = Lcg(5);
    let model = recipe(&mut r);
    let d = data(&model, 1500, &mut r);
    let set = TrainSet::new(3, 5, &d.x, Some(&d.labels), None, Some(&d.teacher)).unwrap();
    let loss = TaskLoss { kind: LossKind::CrossEntropy, teacher_weight: 0.5, temperature: 1.0 };
    let run = |threads: usize, steps: u32| {
        let mut e = Engine::new(&model, &EngineOptions { threads, ..EngineOptions::default() }).unwrap();
        for s in 0..steps {
            let rows: Vec<u32> = (0..700).map(|n| (n * 7 + s * 13) % 1500).collect();
            e.gradients(&set, &rows, &loss, 1e-6, &mut |_| 1e-5).unwrap();
            e.adam(3e-3, 1e-2);
        }
        e.snapshot()
    };
    for threads in [1, 2, 4] {
        assert_eq!(run(threads, 30), run(threads, 30), "{threads} threads");
    }
    let one = run(1, 1);
    for threads in [2, 3] {
        let many = run(threads, 1);
        let worst = one.iter().zip(&many).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // Adam's first step is lr·g/(|g|+ε): sums that differ in the last bit only matter where g
        // is as small as ε
        assert!(worst <= 1e-5, "{threads} threads differ by {worst}");
    }
}

#[test]
fn training_learns_and_checkpoints_resume() {
    let mut r = Lcg(9);
    let model = v1(&mut r);
    let d = data(&model, 512, &mut r);
    let labels: Vec<u32> =
        d.x.chunks(17)
            .map(|x| {
                if x[0] > 0.5 {
                    0
                } else if x[1] + x[2] > 0.0 {
                    1
                } else {
                    2
                }
            })
            .collect();
    let set = TrainSet::new(17, 3, &d.x, Some(&labels), None, None).unwrap();
    let loss = TaskLoss::new(LossKind::CrossEntropy);
    let rows: Vec<u32> = (0..512).collect();
    let mut e = Engine::new(&model, &EngineOptions::default()).unwrap();
    let first = e.gradients(&set, &rows, &loss, 0.0, &mut |_| 1e-6).unwrap();
    let train = |e: &mut Engine, n: usize| {
        let mut last = None;
        for _ in 0..n {
            e.reset_ranges();
            last = Some(e.gradients(&set, &rows, &loss, 0.0, &mut |_| 1e-6).unwrap());
            e.adam(5e-3, 5e-3);
        }
        last.unwrap()
    };
    let last = train(&mut e, 200);
    assert!(last.task_loss < 0.6 * first.task_loss, "{} → {}", first.task_loss, last.task_loss);
    assert!(last.correct.unwrap() > 400);
    let saved = e.state();
    let went_on = train(&mut e, 5);
    let after = e.snapshot();
    let mut other = Engine::new(&model, &EngineOptions::default()).unwrap();
    other.load_state(&saved).unwrap();
    assert_eq!(train(&mut other, 5), went_on);
    assert_eq!(other.snapshot(), after);
    // the exported model gives a new engine the same parameters
    let mut exported = model.clone();
    e.export(&mut exported).unwrap();
    let copy = Engine::new(&exported, &EngineOptions::default()).unwrap();
    assert_eq!(copy.snapshot(), after);
    assert_ne!(exported, model);
    // padding is 0 in all that is trained: other numbers there are no state of this model
    let at = (saved.parameters.iter().zip(&saved.first_moments)).rposition(|(&p, &m)| p == 0.0 && m == 0.0).unwrap();
    let fields: [fn(&mut EngineState) -> &mut Vec<f32>; 3] =
        [|s| &mut s.parameters, |s| &mut s.first_moments, |s| &mut s.second_moments];
    for field in fields {
        let mut foreign = saved.clone();
        field(&mut foreign)[at] = 1e30;
        assert!(other.load_state(&foreign).is_err());
        assert_eq!(other.snapshot(), after);
    }
}

#[test]
fn frozen_parts_stay() {
    let mut r = Lcg(11);
    let mut model = recipe(&mut r);
    for node in &mut model.nodes {
        match &mut node.op {
            QOp::Dense(d) if node.name == "d1" => d.trainable = false,
            QOp::Quantizer(q) if node.name == "s0" => q.trainable = false,
            QOp::Quantizer(q) if node.name == "q" => q.max_f = 2.0,
            _ => {}
        }
    }
    let d = data(&model, 64, &mut r);
    let set = TrainSet::new(3, 5, &d.x, Some(&d.labels), None, None).unwrap();
    let rows: Vec<u32> = (0..64).collect();
    for (weights, bits) in [(true, true), (true, false), (false, true)] {
        let options = EngineOptions { train_weights: weights, train_bits: bits, ..EngineOptions::default() };
        let mut e = Engine::new(&model, &options).unwrap();
        let moved = |e: &Engine, before: &Engine, node: &str, kind| e.parameter(node, kind) != before.parameter(node, kind);
        let before = Engine::new(&model, &options).unwrap();
        for _ in 0..3 {
            e.gradients(&set, &rows, &TaskLoss::new(LossKind::CrossEntropy), -1.0, &mut |_| 0.0).unwrap();
            e.adam(1e-2, 0.5);
        }
        for (node, kind) in [
            ("d1", ParamKind::Weight),
            ("d1", ParamKind::Bias),
            ("d1", ParamKind::WeightF),
            ("s0", ParamKind::ActF),
            ("s0", ParamKind::ActI),
        ] {
            assert!(!moved(&e, &before, node, kind), "{node} {kind:?}");
        }
        assert_eq!(moved(&e, &before, "d0", ParamKind::Weight), weights);
        assert_eq!(moved(&e, &before, "d0", ParamKind::WeightF), bits);
        if bits {
            // l1 = −1 drives f up: it stops at its limit
            assert!(e.parameter("q", ParamKind::ActF).unwrap().iter().all(|&f| f <= 2.0));
        }
    }
}

#[test]
fn refusals_name_every_node() {
    let mut r = Lcg(13);
    let mut c = Chain::new(4);
    dense(&mut c, &mut r, "first", 3, 12);
    c.op("sig", QOp::Elementwise(Elementwise::Table(Table::Sigmoid)));
    dense(&mut c, &mut r, "second", 2, 6);
    let Err(TrainError::Model(faults)) = Engine::new(&c.0, &EngineOptions::default()) else { panic!("accepted") };
    let nodes: Vec<&str> = faults.iter().map(|f| f.node.as_str()).collect();
    // no quantizer in front, none after, for both
    assert_eq!(nodes, ["first", "first", "second", "second"]);
    let mut broken = recipe(&mut r);
    for node in &mut broken.nodes {
        match &mut node.op {
            QOp::Dense(d) if node.name == "d0" => d.weight[3] = f32::NAN,
            QOp::Quantizer(q) if node.name == "s1" => {
                q.f.pop();
            }
            _ => {}
        }
    }
    let Err(TrainError::Model(faults)) = Engine::new(&broken, &EngineOptions::default()) else { panic!("accepted") };
    assert_eq!(faults.iter().map(|f| f.node.as_str()).collect::<Vec<_>>(), ["d0", "s1"]);
    let model = recipe(&mut r);
    assert!(matches!(
        Engine::new(&model, &EngineOptions { threads: 0, ..EngineOptions::default() }),
        Err(TrainError::Option { .. })
    ));
    let x = vec![0.0; 9];
    assert!(TrainSet::new(3, 5, &x, Some(&[0, 1, 5]), None, None).is_err());
    assert!(TrainSet::new(3, 5, &x[..8], None, None, None).is_err());
    assert!(TrainSet::new(3, 5, &[f32::NAN; 3], None, None, None).is_err());
    let set = TrainSet::new(3, 5, &x, Some(&[0, 1, 4]), None, None).unwrap();
    let mut e = Engine::new(&model, &EngineOptions::default()).unwrap();
    let mut ask = |rows: &[u32], loss: TaskLoss| e.gradients(&set, rows, &loss, 0.0, &mut |_| 0.0).is_err();
    assert!(ask(&[3], TaskLoss::new(LossKind::CrossEntropy)));
    assert!(ask(&[], TaskLoss::new(LossKind::CrossEntropy)));
    assert!(ask(&[0], TaskLoss::new(LossKind::Mse)));
    assert!(ask(&[0], TaskLoss { teacher_weight: 0.5, ..TaskLoss::new(LossKind::CrossEntropy) }));
    assert!(!ask(&[0, 2], TaskLoss::new(LossKind::CrossEntropy)));
    assert!(e.restore(&[0.0]).is_err());
}
