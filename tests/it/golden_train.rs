//! A 4→5(relu)→3 network against gradients, losses and Adam trajectories of the real HGQ v1
//! (fixtures/golden/v1_train).

use crate::support::chain::{Chain, close};
use crate::support::files::fixture;
use crate::support::reference::{Arrays, json};
use hgq_onnx::ops::Elementwise;
use hgq_onnx::quant::{QOp, Rounding};
use hgq_onnx::train::{Engine, EngineOptions, Isa, LossKind, ParamKind, TaskLoss, TrainSet};

const PARAMS: [(&str, &str, ParamKind); 9] = [
    ("q.act_f", "q", ParamKind::ActF),
    ("d0.kernel", "d0", ParamKind::Weight),
    ("d0.bias", "d0", ParamKind::Bias),
    ("d0.kernel_f", "d0", ParamKind::WeightF),
    ("d0.act_f", "d0_q", ParamKind::ActF),
    ("d1.kernel", "d1", ParamKind::Weight),
    ("d1.bias", "d1", ParamKind::Bias),
    ("d1.kernel_f", "d1", ParamKind::WeightF),
    ("d1.act_f", "d1_q", ParamKind::ActF),
];

fn network(t: &Arrays, tag: &str, rounding: Rounding, relu: bool, isa: Isa) -> Engine {
    let p = |name: &str| t.f32(&format!("{tag}|p0|{name}"));
    let mut c = Chain::new(4);
    c.traced("q", &p("q.act_f"), rounding);
    for (d, q) in [("d0", "d0_q"), ("d1", "d1_q")] {
        c.dense(d, p(&format!("{d}.kernel")), p(&format!("{d}.bias")), p(&format!("{d}.kernel_f")));
        c.traced(q, &p(&format!("{d}.act_f")), rounding);
        if d == "d0" && relu {
            c.op("relu", QOp::Elementwise(Elementwise::Relu));
        }
    }
    Engine::new(&c.0, &EngineOptions { isa: Some(isa), ..EngineOptions::default() }).unwrap()
}

fn isas() -> impl Iterator<Item = Isa> {
    [Isa::Portable, Isa::Avx2, Isa::Avx512].into_iter().filter(|i| i.available())
}

#[test]
fn one_step_of_every_granularity() {
    let (t, meta) = (Arrays::load(&fixture("golden/v1_train.npz")), json(&fixture("golden/v1_train.json")));
    let tags = [
        ("mlp_elem", Rounding::HalfUp, 1e-6),
        ("mlp_elem_l1big", Rounding::HalfUp, 1e-3),
        ("mlp_floor", Rounding::Floor, 1e-6),
        ("mlp_chan", Rounding::HalfUp, 1e-6),
        ("mlp_tensor", Rounding::HalfUp, 1e-6),
    ];
    for isa in isas() {
        for (tag, rounding, l1) in tags {
            let mut e = network(&t, tag, rounding, true, isa);
            let key = |what: &str| format!("{tag}|{what}");
            let (x, y) = (t.f32(&key("x")), t.u32(&key("y")));
            let set = TrainSet::new(4, 3, &x, Some(&y), None, None).unwrap();
            let rows: Vec<u32> = (0..y.len() as u32).collect();
            let loss = TaskLoss::new(LossKind::CrossEntropy);
            e.gradients(&set, &rows, &loss, 0.0, &mut |_| 0.0).unwrap();
            for (name, node, kind) in PARAMS {
                close(&key(name), &e.gradient(node, kind).unwrap(), t.get(&key(&format!("grad_ce|{name}"))), 1e-5);
            }
            let beta = meta[tag]["beta"].as_f64().unwrap() as f32;
            let stats = e.gradients(&set, &rows, &loss, l1, &mut |_| beta).unwrap();
            close(&key("logits"), &e.outputs(), t.get(&key("logits")), 1e-5);
            close(&key("ce"), &[stats.task_loss as f32], t.get(&key("ce")), 1e-5);
            close(&key("loss"), &[stats.total_loss as f32], t.get(&key("loss")), 1e-5);
            for (layer, ebops) in e.layer_ebops() {
                close(&key(layer), &[ebops.surrogate as f32], t.get(&key(&format!("bops|{layer}"))), 1e-3);
            }
            for (node, golden) in [("q", "q"), ("d0_q", "d0"), ("d1_q", "d1")] {
                let range = e.range(node).unwrap();
                close(&key("min"), &range.min, t.get(&key(&format!("min|{golden}"))), 1e-5);
                close(&key("max"), &range.max, t.get(&key(&format!("max|{golden}"))), 1e-5);
            }
            for (name, node, kind) in PARAMS {
                let (p, g) = (e.parameter(node, kind).unwrap(), e.gradient(node, kind).unwrap());
                close(&key(name), &g, t.get(&key(&format!("grad|{name}"))), 1e-5);
                let stepped: Vec<f32> = p.iter().zip(&g).map(|(p, g)| p - 0.05 * g).collect();
                close(&key(name), &stepped, t.get(&key(&format!("sgd1|{name}"))), 1e-5);
            }
        }
    }
}

#[test]
fn twenty_adam_steps() {
    let (t, meta) = (Arrays::load(&fixture("golden/v1_train.npz")), json(&fixture("golden/v1_train.json")));
    let beta = meta["adam_lin"]["beta"].as_f64().unwrap() as f32;
    for isa in isas() {
        let mut e = network(&t, "adam_lin", Rounding::HalfUp, false, isa);
        let (x, y) = (t.f32("adam_lin|X"), t.u32("adam_lin|Y"));
        let set = TrainSet::new(4, 3, &x, Some(&y), None, None).unwrap();
        let loss = TaskLoss::new(LossKind::CrossEntropy);
        for step in 0..20 {
            let rows: Vec<u32> = (step * 8..step * 8 + 8).collect();
            let step = step as usize;
            let stats = e.gradients(&set, &rows, &loss, 1e-6, &mut |_| beta).unwrap();
            close("ce", &[stats.task_loss as f32], &t.get("adam_lin|ce")[step..][..1], 5e-5);
            close("loss", &[stats.total_loss as f32], &t.get("adam_lin|loss")[step..][..1], 2e-4);
            let bops: Vec<f32> = e.layer_ebops().iter().map(|(_, e)| e.surrogate as f32).collect();
            close("bops", &bops, &t.get("adam_lin|bops")[step * 3 + 1..][..2], 1e-3);
            let ranges: Vec<_> = ["q", "d0_q", "d1_q"].map(|q| e.range(q).unwrap().clone()).into();
            let min: Vec<f32> = ranges.iter().flat_map(|r| r.min.clone()).collect();
            let max: Vec<f32> = ranges.iter().flat_map(|r| r.max.clone()).collect();
            close("min", &min, &t.get("adam_lin|minmax")[step * 24..][..12], 1e-4);
            close("max", &max, &t.get("adam_lin|minmax")[step * 24 + 12..][..12], 1e-4);
            e.adam(1e-2, 1e-2);
            for (name, node, kind) in PARAMS {
                let p = e.parameter(node, kind).unwrap();
                close(name, &p, &t.get(&format!("adam_lin|traj|{name}"))[step * p.len()..][..p.len()], 5e-5);
            }
            if step == 9 {
                e.reset_ranges();
            }
        }
    }
}
