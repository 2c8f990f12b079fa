//! EBOPs of convolutions, pooling, merges and products at every position against HGQ v1
//! (fixtures/golden/v1_ebops): training-time outputs, values and gradients.

use crate::support::chain::{Chain, close, pooling, window};
use crate::support::files::fixture;
use crate::support::reference::{Arrays, json};
use hgq_onnx::graph::Window;
use hgq_onnx::ops::{Elementwise, Merge, Move, Table};
use hgq_onnx::quant::{QOp, Rounding};
use hgq_onnx::train::{Engine, EngineOptions, LossKind, ParamKind, TaskLoss, TrainSet};

const BETA: f32 = 1e-3;
const L1: f32 = 1e-6;

/// Appends the layer's weights of the golden model to `c` with its quantizer; with a window a
/// convolution.
fn layer(c: &mut Chain, t: &Arrays, model: &str, name: &str, window: Option<Window>, scale: f64, relu: bool) {
    let key = |what: &str| format!("{model}|{name}|{what}");
    let (weight, bias, f) = (t.f32(&key("w0|kernel")), t.f32(&key("w0|bias")), t.f32(&key("kernel_f")));
    match window {
        Some(w) => c.conv(name, w, weight, bias, f),
        None => c.dense(name, weight, bias, f),
    };
    if let Some(QOp::Dense(d)) = c.0.nodes.last_mut().map(|n| &mut n.op) {
        d.ebops_scale = scale;
    }
    c.traced(&format!("{name}_q"), &t.f32(&key("act_f")), Rounding::HalfUp);
    if relu {
        c.op(&format!("{name}_relu"), QOp::Elementwise(Elementwise::Relu));
    }
}

fn start(t: &Arrays, model: &str) -> Chain {
    let mut c = Chain::shaped(&t.shape(&format!("{model}|x"))[1..]);
    c.traced("inp_q", &t.f32(&format!("{model}|inp_q|act_f")), Rounding::HalfUp);
    c
}

fn build(t: &Arrays, model: &str) -> Chain {
    let mut c = start(t, model);
    match model {
        "dense_3d" => layer(&mut c, t, model, "d0", Some(Window::pointwise(1, 5, 3)), 1.0, false),
        "conv2d_pf1" => layer(&mut c, t, model, "c0", Some(window([6, 5, 2], [3, 2], [1, 1])), 1.0 / 16.0, true),
        "conv2d_pf7_same_stride" => {
            // 6 × 5, stride 2, SAME: one row below, one column on each side
            let w = Window { pads: [0, 1, 1, 1], ..window([6, 5, 2], [3, 3], [2, 2]) };
            layer(&mut c, t, model, "c0", Some(w), 7.0 / 9.0, false);
        }
        "conv1d" => {
            layer(&mut c, t, model, "c0", Some(window([1, 9, 2], [1, 3], [1, 1])), 1.0, true);
            c.max_pool("pool", pooling([1, 7, 4], [1, 2])).flatten("flat");
            layer(&mut c, t, model, "d0", None, 1.0, false);
        }
        "conv2d_avgpool" => {
            c.average_pool("pool", pooling([6, 5, 2], [2, 2]), 0.25);
            layer(&mut c, t, model, "c0", Some(window([3, 2, 2], [2, 2], [1, 1])), 1.0, false);
        }
        "add_act_concat" => {
            let x = c.at();
            layer(&mut c, t, model, "d0", None, 1.0, false);
            let d0 = c.at();
            layer(c.go(x), t, model, "d1", None, 1.0, false);
            let d1 = c.at();
            c.node("sum", QOp::Merge(Merge::Add), vec![d0, d1], &[4]);
            c.traced("add", &t.f32("add_act_concat|add|act_f"), Rounding::HalfUp);
            let add = c.at();
            c.op("tanh", QOp::Elementwise(Elementwise::Table(Table::Tanh))).traced(
                "act",
                &t.f32("add_act_concat|act|act_f"),
                Rounding::HalfUp,
            );
            let act = c.at();
            c.node("concat", QOp::Move(Move::Concat { axis: 0 }), vec![act, add], &[8]);
            layer(&mut c, t, model, "d2", None, 1.0, false);
        }
        _ => panic!("unknown model {model}"),
    }
    c
}

/// What float noise of HGQ's training forward changes (docs/hgq-spec.md#a1-3): a value that is
/// exactly 0 or a power of two comes out next to it.
#[derive(Default)]
struct Noise {
    /// EBOPs of the layer without noise, less those recorded.
    ebops: f64,
    /// Weights that lose their only bit, and with it the gradient of the EBOPs to their width.
    weights: usize,
    /// What an entry of the other gradients may be off by.
    tolerance: f64,
}

fn noise(model: &str) -> Noise {
    match model {
        // a minimum of -9e-10 gives one input a sign: one bit more in its patches, on 23 bits of
        // weights
        "conv2d_pf1" => Noise { ebops: -23.0 / 16.0, weights: 0, tolerance: 1.0 / 16.0 },
        "conv2d_pf7_same_stride" => Noise { ebops: 35.0, weights: 1, tolerance: 7.0 / 9.0 },
        "add_act_concat" => Noise { ebops: 6.0, weights: 1, tolerance: 1.0 },
        _ => Noise::default(),
    }
}

#[test]
fn surrogate_values_and_gradients() {
    let (t, meta) = (Arrays::load(&fixture("golden/v1_ebops.npz")), json(&fixture("golden/v1_ebops.json")));
    for model in ["dense_3d", "conv2d_pf1", "conv2d_pf7_same_stride", "conv1d", "conv2d_avgpool", "add_act_concat"] {
        let (key, noise) = (|what: &str| format!("{model}|{what}"), noise(model));
        let c = build(&t, model);
        let x = t.f32(&key("x"));
        let (inputs, outputs) = (c.0.len_of(c.0.inputs[0]), c.len());
        let samples = x.len() / inputs;
        let zeros = vec![0.0; samples * outputs];
        let set = TrainSet::new(inputs, outputs, &x, None, Some(&zeros), None).unwrap();
        let rows: Vec<u32> = (0..samples as u32).collect();
        let mut e = Engine::new(&c.0, &EngineOptions::default()).unwrap();
        let stats = e.gradients(&set, &rows, &TaskLoss::new(LossKind::Upstream), L1, &mut |_| BETA).unwrap();
        // in inference HGQ computes the same without noise
        close(&key("y"), &e.outputs(), t.get(&key("y_infer")), 1e-6);
        let total = t.get(&key("sum_model_losses"))[0] + f64::from(BETA) * noise.ebops;
        close(&key("losses"), &[stats.total_loss as f32], &[total], 1e-5);
        for (layer, ebops) in e.layer_ebops() {
            let noise = if layer == "c0" || layer == "d0" && model == "add_act_concat" { noise.ebops } else { 0.0 };
            let want = meta[model][layer]["bops_train"].as_f64().unwrap() + noise;
            close(&key(layer), &[ebops.surrogate as f32], &[want], 1e-9 * want + 1e-4 * f64::from(noise != 0.0));
        }
        let off = f64::from(BETA) * noise.tolerance;
        let mut lost = 0;
        for n in &c.0.nodes {
            let golden = if n.name == "inp_q" { "inp_q" } else { n.name.trim_end_matches("_q") };
            match &n.op {
                QOp::Quantizer(_) => {
                    let want = t.get(&key(&format!("grad_losses|{golden}.activation_bw:0")));
                    let tolerance = 1e-8 + if golden == "inp_q" { off } else { 0.0 };
                    close(&key(golden), &e.gradient(&n.name, ParamKind::ActF).unwrap(), want, tolerance);
                    let range = e.range(&n.name).unwrap();
                    if model != "conv2d_pf7_same_stride" {
                        close(&key(golden), &range.min, t.get(&key(&format!("{golden}|train_min"))), 1e-5);
                        close(&key(golden), &range.max, t.get(&key(&format!("{golden}|train_max"))), 1e-5);
                    }
                }
                QOp::Dense(_) => {
                    let mut want = t.get(&key(&format!("grad_losses|{golden}.kernel_bw:0"))).to_vec();
                    let got = e.gradient(&n.name, ParamKind::WeightF).unwrap();
                    let l1 = f64::from(L1);
                    for (want, &got) in want.iter_mut().zip(&got) {
                        if model == "dense_3d" {
                            // HGQ divides by the root of the positions that share a weight for
                            // convolutions only, we always do
                            *want = (*want - l1) / 5f64.sqrt() + l1;
                        }
                        if *want <= 1.01 * l1 && f64::from(got) > 2.0 * l1 {
                            lost += 1;
                            *want = f64::from(got);
                        }
                    }
                    close(&key(golden), &got, &want, 1e-8 + if noise.weights == 0 { off } else { 0.0 });
                }
                _ => {}
            }
        }
        assert_eq!(lost, noise.weights, "{model}");
    }
}
