//! trace_minmax, exact formats and the proxy's numbers against the real HGQ 0.2.6
//! (`fixtures/golden/v1_proxy`): models `mlp` (round half up) and `mlp_floor`, every cover factor,
//! saturating and wrapping proxies.

use crate::support::files::fixture;
use crate::support::reference::{Arrays, json};
use hgq_onnx::graph::{Dag, Node, Value};
use hgq_onnx::ops::Elementwise;
use hgq_onnx::quant::exact::Exact;
use hgq_onnx::quant::model::FixedTensor;
use hgq_onnx::quant::{
    BiasBits, FixedModel, FixedOp, FixedQuantizer, Groups, Kif, Model, Overflow, QDense, QOp, Quantizer, Range, Rounding, ebops,
    interval,
};
use hgq_onnx::trace::{FormatOptions, fix, formats, trace_minmax};

const LAYERS: [&str; 3] = ["q", "d0", "d1"];

fn clip(f: &[f64]) -> Vec<f32> {
    f.iter().map(|&v| v.clamp(-23.0, 23.0) as f32).collect()
}

/// Groups of a `(1, n)` or `(1, 1)` tensor of bit widths over `n` features.
fn groups(n: usize, f: usize) -> Groups {
    if f == n { Groups::elementwise(n) } else { Groups::new(hgq_onnx::quant::Granularity::Tensor, &[n]) }
}

fn model(z: &Arrays, name: &str) -> Model {
    let get = |k: &str| z.get(&format!("{name}|hgq|{k}"));
    let rounding = if name.ends_with("floor") { Rounding::Floor } else { Rounding::HalfUp };
    let inputs = z.shape(&format!("{name}|x_cal"))[1];
    let mut m: Model = Dag {
        name: name.into(),
        values: vec![Value { name: "x".into(), shape: vec![inputs] }],
        nodes: vec![],
        inputs: vec![0],
        outputs: vec![],
    };
    let mut at = 0;
    let push = |m: &mut Model, name: &str, op: QOp, n: usize, at: &mut usize| {
        let output = m.add_value(format!("{name}_out"), vec![n]);
        m.nodes.push(Node { name: name.into(), op, inputs: vec![*at], output });
        *at = output;
    };
    let quantizer = |l: &str, n: usize| {
        let f = clip(get(&format!("{l}|act_f")));
        let groups = groups(n, f.len());
        QOp::Quantizer(Quantizer { groups, f, range: Range::Traced, rounding, max_f: 23.0, trainable: true, annotated: false })
    };
    push(&mut m, "q", quantizer("q", inputs), inputs, &mut at);
    for l in ["d0", "d1"] {
        let shape = z.shape(&format!("{name}|hgq|{l}|kernel"));
        let (i, o) = (shape[0], shape[1]);
        let f = clip(get(&format!("{l}|kernel_f")));
        let dense = QDense {
            inputs: i,
            outputs: o,
            weight: get(&format!("{l}|kernel")).iter().map(|&v| v as f32).collect(),
            weight_groups: Groups::elementwise(f.len()),
            weight_f: f,
            bias: get(&format!("{l}|bias")).iter().map(|&v| v as f32).collect(),
            bias_bits: BiasBits::Activation,
            declared: None,
            window: None,
            ebops_scale: 1.0,
            trainable: true,
        };
        push(&mut m, l, QOp::Dense(dense), o, &mut at);
        push(&mut m, &format!("{l}_q"), quantizer(l, o), o, &mut at);
        if l == "d0" {
            push(&mut m, "d0_relu", QOp::Elementwise(Elementwise::Relu), o, &mut at);
        }
    }
    m.outputs = vec![at];
    m
}

/// Node index of each layer's quantizer.
fn quantizers(m: &Model) -> Vec<usize> {
    (0..m.nodes.len()).filter(|&n| matches!(m.nodes[n].op, QOp::Quantizer(_))).collect()
}

fn run(m: &FixedModel, x: &[f32], n: usize) -> Vec<f64> {
    Exact::new(m).unwrap().run(&[x], n, &m.outputs).remove(0)
}

fn check(name: &str) {
    let z = Arrays::load(&fixture("golden/v1_proxy.npz"));
    let meta = json(&fixture("golden/v1_proxy.json"));
    let m = model(&z, name);
    let (x_cal, x_test) = (z.f32(&format!("{name}|x_cal")), z.f32(&format!("{name}|x_test")));
    let (n_cal, n_test) = (z.shape(&format!("{name}|x_cal"))[0], z.shape(&format!("{name}|x_test"))[0]);
    let ranges = trace_minmax(&m, &[&x_cal], n_cal).unwrap();
    let runs = meta[name]["runs"].as_object().unwrap();
    assert!(!runs.is_empty());
    for (cf, run_meta) in runs {
        let cover: f64 = cf[2..].parse().unwrap();
        let fixed = fix(&m, &ranges, &FormatOptions { cover_factor: cover, lower_annotated: true }).unwrap();
        let got = |l: &str, what: &str| z.get(&format!("{name}|{cf}|{l}|{what}")).to_vec();
        for (l, &node) in LAYERS.iter().zip(&quantizers(&m)) {
            let (QOp::Quantizer(q), FixedOp::Quantize(fq), Some(r)) =
                (&m.nodes[node].op, &fixed.nodes[node].op, &ranges.by_node[node])
            else {
                panic!("{l} is not a quantizer")
            };
            let f = q.rounded_f();
            let (min, max) = (got(l, "min"), got(l, "max"));
            for e in 0..fq.formats.len() {
                let g = q.groups.of(e);
                if q.groups.is_elementwise() {
                    assert_eq!(formats::cover(r.min[e], r.max[e], f[g], cover), (min[e], max[e]), "{name} {cf} {l} range {e}");
                }
                let want = Kif::new(got(l, "k")[g] != 0.0, got(l, "i")[g] as i32, got(l, "f")[g] as i32);
                assert_eq!(fq.formats[e], formats::legal(want), "{name} {cf} {l} format {e}");
            }
        }
        let bounds = interval::bounds(&fixed).unwrap();
        assert_eq!(ebops::ebops(&fixed, &bounds), run_meta["bops"].as_f64().unwrap() as u64, "{name} {cf} EBOPs");
        for (split, x, n) in [("cal", &x_cal, n_cal), ("test", &x_test, n_test)] {
            // saturating proxy: our single quantizer after (or before) the Relu equals HGQ's two
            assert_eq!(run(&fixed, x, n), z.get(&format!("{name}|{cf}|ag0|y_proxy_{split}")), "{name} {cf} sat {split}");
            let wrapping = wrapping(&m, &fixed, &z, &format!("{name}|{cf}"));
            assert_eq!(run(&wrapping, x, n), z.get(&format!("{name}|{cf}|ag1|y_proxy_{split}")), "{name} {cf} wrap {split}");
        }
        if cover >= 1.0 {
            assert_eq!(
                run(&fixed, &x_cal, n_cal),
                z.get(&format!("{name}|{cf}|y_hgq_cal")),
                "{name} {cf} model = proxy on calibration data"
            );
        }
    }
    // without overflow, as HGQ itself computes: formats wide enough for anything
    let mut open = fix(&m, &ranges, &FormatOptions { cover_factor: 1.0, lower_annotated: true }).unwrap();
    for &node in &quantizers(&m) {
        if let (FixedOp::Quantize(q), QOp::Quantizer(t)) = (&mut open.nodes[node].op, &m.nodes[node].op) {
            let f = t.groups.expand(&t.rounded_f());
            q.formats = f.iter().map(|&f| Kif::new(true, 12, f)).collect();
        }
    }
    assert_eq!(run(&open, &x_test, n_test), z.get(&format!("{name}|cf1.0|y_hgq_test")), "{name} unlimited on test data");
}

/// HGQ's aggressive proxy: WRAP everywhere, and with a Relu a uniform signed quantizer before it
/// and the per-element one after; the half LSB in the bias, as deployed.
fn wrapping(m: &Model, fixed: &FixedModel, z: &Arrays, prefix: &str) -> FixedModel {
    let mut out = fixed.clone();
    let layer = |n: &str| z.get(&format!("{prefix}|ag1|plain|{n}|bias")).to_vec();
    for n in 0..out.nodes.len() {
        let name = out.nodes[n].name.clone();
        match &mut out.nodes[n].op {
            FixedOp::Dense(d) => d.bias = FixedTensor::from_f64(&layer(&name)).unwrap(),
            FixedOp::Quantize(q) => {
                q.overflow = Overflow::Wrap;
                if n > 0 {
                    q.rounding = Rounding::Floor;
                }
            }
            _ => {}
        }
    }
    // d0: [dense, quantizer, relu] → [dense, uniform quantizer, relu, quantizer]
    let relu = out.nodes.iter().position(|n| matches!(n.op, FixedOp::Elementwise(Elementwise::Relu))).unwrap();
    let FixedOp::Quantize(elementwise) = out.nodes[relu - 1].op.clone() else { panic!("no quantizer before the Relu") };
    let QOp::Quantizer(q) = &m.nodes[relu - 1].op else { panic!("no quantizer before the Relu") };
    let uniform =
        |what: &str| z.get(&format!("{prefix}|ag1|plain|d0_quantizer|{what}")).iter().cloned().fold(f64::NEG_INFINITY, f64::max);
    let (k, b, i) = (uniform("k"), uniform("b"), uniform("i"));
    let format = Kif::new(k != 0.0, (i - k) as i32, (b - i) as i32);
    if let FixedOp::Quantize(before) = &mut out.nodes[relu - 1].op {
        before.formats = vec![format; q.groups.elements()];
    }
    let value = out.add_value("relu_q", out.values[out.nodes[relu].output].shape.clone());
    let from = out.nodes[relu].output;
    for node in &mut out.nodes[relu + 1..] {
        for input in &mut node.inputs {
            if *input == from {
                *input = value;
            }
        }
    }
    let after = FixedQuantizer { overflow: Overflow::Wrap, ..elementwise };
    out.nodes.insert(relu + 1, Node { name: "relu_q".into(), op: FixedOp::Quantize(after), inputs: vec![from], output: value });
    out
}

#[test]
fn mlp() {
    check("mlp");
}

#[test]
fn mlp_floor() {
    check("mlp_floor");
}
