//! EBOPs against HGQ v1 (fixtures/golden/v1_ebops): training-time values and their gradients, and
//! the exact count after trace_minmax; element-wise, dead channels, per channel and per tensor
//! widths, floor without bias.

use crate::support::chain::{Chain, close};
use crate::support::files::fixture;
use crate::support::reference::{Arrays, json};
use hgq_onnx::ops::Elementwise;
use hgq_onnx::quant::exact::Exact;
use hgq_onnx::quant::model::enclosed_bits;
use hgq_onnx::quant::{FixedOp, QOp, Rounding, ebops};
use hgq_onnx::trace::{FormatOptions, fix, trace_minmax};
use hgq_onnx::train::{Engine, EngineOptions, LossKind, ParamKind, TaskLoss, TrainSet};

const BETA: f32 = 1e-3;
const L1: f32 = 1e-6;

/// Name, rounding of activations, whether the first layer has a Relu.
const MODELS: [(&str, Rounding, bool); 4] = [
    ("dense", Rounding::HalfUp, true),
    ("dense_dead", Rounding::HalfUp, true),
    ("dense_perchannel", Rounding::HalfUp, false),
    ("dense_nobias_floor", Rounding::Floor, false),
];

/// The model with its initial weights, and the names of its dense layers.
fn chain(t: &Arrays, name: &str, rounding: Rounding, relu: bool) -> (Chain, Vec<&'static str>) {
    let key = |what: &str| format!("{name}|{what}");
    let layers: Vec<&str> = ["d0", "d1"].into_iter().filter(|d| t.has(&key(&format!("{d}|kernel_f")))).collect();
    let mut c = Chain::new(6);
    c.traced("inp_q", &t.f32(&key("inp_q|act_f")), rounding);
    for &d in &layers {
        let weight = t.f32(&key(&format!("{d}|w0|kernel")));
        let outputs = t.shape(&key(&format!("{d}|w0|kernel")))[1];
        let bias_key = key(&format!("{d}|w0|bias"));
        let bias = if t.has(&bias_key) { t.f32(&bias_key) } else { vec![0.0; outputs] };
        c.dense(d, weight, bias, t.f32(&key(&format!("{d}|kernel_f"))));
        c.traced(&format!("{d}_q"), &t.f32(&key(&format!("{d}|act_f"))), rounding);
        if d == "d0" && relu {
            c.op("relu", QOp::Elementwise(Elementwise::Relu));
        }
    }
    (c, layers)
}

#[test]
fn surrogate_values_and_gradients() {
    let (t, meta) = (Arrays::load(&fixture("golden/v1_ebops.npz")), json(&fixture("golden/v1_ebops.json")));
    for (name, rounding, relu) in MODELS {
        let key = |what: &str| format!("{name}|{what}");
        let (c, layers) = chain(&t, name, rounding, relu);
        let mut e = Engine::new(&c.0, &EngineOptions::default()).unwrap();
        let x = t.f32(&key("x"));
        let outputs = c.len();
        let zeros = vec![0.0; 16 * outputs];
        let set = TrainSet::new(6, outputs, &x, None, Some(&zeros), None).unwrap();
        let rows: Vec<u32> = (0..16).collect();
        // no task loss: an upstream gradient of 0
        let stats = e.gradients(&set, &rows, &TaskLoss::new(LossKind::Upstream), L1, &mut |_| BETA).unwrap();
        close(&key("y_train"), &e.outputs(), t.get(&key("y_train")), 1e-5);
        close(&key("losses"), &[stats.total_loss as f32], t.get(&key("sum_model_losses")), 1e-5);
        for (layer, ebops) in e.layer_ebops() {
            let want = meta[name][layer]["bops_train"].as_f64().unwrap();
            assert_eq!(ebops.surrogate, want, "{name} {layer}");
        }
        let gradient = |what: String| t.get(&key(&format!("grad_losses|{what}:0"))).to_vec();
        close(&key("inp_q"), &e.gradient("inp_q", ParamKind::ActF).unwrap(), &gradient("inp_q.activation_bw".into()), 1e-6);
        for &d in &layers {
            let q = format!("{d}_q");
            close(&key(d), &e.gradient(d, ParamKind::WeightF).unwrap(), &gradient(format!("{d}.kernel_bw")), 1e-6);
            close(&key(&q), &e.gradient(&q, ParamKind::ActF).unwrap(), &gradient(format!("{d}.activation_bw")), 1e-6);
            close(&key(d), &e.gradient(d, ParamKind::Weight).unwrap(), &gradient(format!("{d}.kernel")), 0.0);
            for (node, golden) in [("inp_q", "inp_q"), (q.as_str(), d)] {
                let range = e.range(node).unwrap();
                close(&key(node), &range.min, t.get(&key(&format!("{golden}|train_min"))), 1e-5);
                close(&key(node), &range.max, t.get(&key(&format!("{golden}|train_max"))), 1e-5);
            }
        }
    }
}

#[test]
fn exact_counts_after_trace_minmax() {
    let (t, meta) = (Arrays::load(&fixture("golden/v1_ebops.npz")), json(&fixture("golden/v1_ebops.json")));
    for (name, rounding, relu) in MODELS {
        let key = |what: &str| format!("{name}|{what}");
        let (mut c, layers) = chain(&t, name, rounding, relu);
        c.0.outputs = vec![c.0.nodes.last().unwrap().output];
        let x = t.f32(&key("x"));
        let samples = x.len() / 6;
        let ranges = trace_minmax(&c.0, &[&x], samples).unwrap();
        let fixed = fix(&c.0, &ranges, &FormatOptions { cover_factor: 1.0, lower_annotated: true }).unwrap();
        let exact = Exact::new(&fixed).unwrap();
        for layer in ebops::layers(&fixed, exact.bounds()) {
            let node = &fixed.nodes[layer.node];
            assert_eq!(Some(layer.ebops as f64), meta[name][&node.name]["bops_exact"].as_f64(), "{name} {}", node.name);
        }
        assert_eq!(Some(ebops::ebops(&fixed, exact.bounds()) as f64), meta[name]["trace_total"].as_f64(), "{name}");
        for &d in &layers {
            let dense = fixed.nodes.iter().find(|n| n.name == d).unwrap();
            let FixedOp::Dense(dense) = &dense.op else { panic!("{d} is not a dense layer") };
            let bits: Vec<f64> = dense.weight.ints.iter().map(|&w| enclosed_bits(w) as f64).collect();
            assert_eq!(bits, t.get(&key(&format!("{d}|kernel_bw_exact"))), "{name} {d}");
        }
        assert_eq!(exact.run(&[&x], samples, &fixed.outputs)[0], t.get(&key("y_infer")), "{name}");
    }
}
