//! What a job trains for and is judged by: several outputs with targets of their own, binary
//! classifiers by AUC, class weights, settings of single layers. Every figure of a report is
//! computed again from the proxy's integers.

use crate::support::files::{fixture, npz, npz_of};
use crate::support::made::{Made, run};
use crate::support::onnx::Net;
use hgq_onnx::convert::{DataFile, Error, Job, JobConfig};
use hgq_onnx::onnx::proto::ValueInfoProto;
use hgq_onnx::verify::fixed::Program;
use prost::Message;
use serde_json::Value;
use std::sync::atomic::AtomicBool;

const INPUTS: usize = 6;

/// `x → 12 (Relu) → one product per output`, with random weights.
fn net(outputs: &[(&str, usize)]) -> Vec<u8> {
    let mut net = Net::new(13, &[-1, INPUTS as i64]);
    net.dense("hidden", INPUTS, 12).node("Relu", &["@"], "active", &[]);
    for (name, width) in outputs {
        net.last = "active".into();
        net.dense(name, 12, *width);
    }
    let mut model = net.model();
    if let Some(graph) = &mut model.graph {
        graph.output =
            outputs.iter().map(|(name, _)| ValueInfoProto { name: Some(name.to_string()), ..Default::default() }).collect();
    }
    model.encode_to_vec()
}

fn samples(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = hgq_onnx::data::Rng::new(seed);
    // on the grid of the input port
    (0..count * INPUTS).map(|_| ((2.0 * rng.unit() - 1.0) * 256.0).round() as f32 / 256.0).collect()
}

fn file(bytes: Vec<u8>) -> DataFile {
    DataFile::new("data.npz", bytes)
}

fn convert(model: &[u8], x: &[f32], train: Vec<u8>, validation: Option<Vec<u8>>, json: &str) -> Result<Made, Error> {
    let job = Job {
        model: model.to_vec(),
        calibration: file(npz(INPUTS, x, None)),
        train: Some(file(train)),
        validation: validation.map(file),
        config: JobConfig::from_json(json.as_bytes()).map_err(Error::Config)?,
    };
    run(&job, &mut |_| {}, &AtomicBool::new(false))
}

/// The proxy's outputs by name.
fn outputs(proxy: &[u8], x: &[f32]) -> Vec<(String, Vec<f64>)> {
    let program = Program::from_bytes(proxy).unwrap();
    let ran = program.run(&[x], x.len() / INPUTS).unwrap();
    ran.outputs.iter().map(|o| (o.name.clone(), o.to_f64())).collect()
}

fn largest(row: &[f32]) -> i64 {
    (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or(0) as i64
}

fn near(a: &Value, b: f64) -> bool {
    (a.as_f64().unwrap() - b).abs() < 1e-9
}

/// Share of the rows whose largest value, or sign, is the label.
fn accuracy(values: &[f64], labels: &[i64]) -> f64 {
    let rows = values.chunks(values.len() / labels.len()).zip(labels);
    rows.filter(|(row, y)| hgq_onnx::convert::task::metric::predicted(row) as i64 == **y).count() as f64 / labels.len() as f64
}

#[test]
fn each_output_learns_its_own_targets() {
    let model = net(&[("kind", 3), ("sign", 1), ("size", 1)]);
    let (x, held) = (samples(800, 1), samples(300, 2));
    let targets = |x: &[f32]| -> (Vec<i64>, Vec<i64>, Vec<f32>) {
        let rows = || x.chunks(INPUTS);
        let kind = rows().map(|r| largest(&r[..3])).collect();
        let sign = rows().map(|r| (r[3] > r[4]) as i64).collect();
        (kind, sign, rows().map(|r| r[5] + 0.5 * r[0]).collect())
    };
    let archive = |x: &[f32]| {
        let (kind, sign, size) = targets(x);
        npz_of(&[("x", INPUTS, x), ("size", 1, &size)], &[("kind", &kind), ("sign", &sign)])
    };
    let json = r#"{"epochs": 60, "threads": 1, "teacher_weight": 0, "target_ebops": 4000, "batch_size": 40}"#;
    let done = convert(&model, &x, archive(&x), Some(archive(&held)), json).unwrap();
    let (kind, sign, size) = targets(&held);
    let proxy = outputs(&done.proxy, &held);
    let of = |name: &str| &proxy.iter().find(|o| o.0.starts_with(name)).unwrap_or_else(|| panic!("{name}")).1;
    let (a, b) = (accuracy(of("kind"), &kind), accuracy(of("sign"), &sign));
    let error = of("size").iter().zip(&size).map(|(z, &t)| (z - t as f64).powi(2)).sum::<f64>() / size.len() as f64;
    let report = &done.report;
    assert_eq!(report["metric"], "accuracy");
    assert!(near(&report["proxy"]["metric"], (a + b) / 2.0), "{} instead of {}", report["proxy"]["metric"], (a + b) / 2.0);
    assert!(a > 0.85 && b > 0.85 && error < 0.03, "kind {a}, sign {b}, size ± {error}");
    assert!(report["source"]["metric"].as_f64().unwrap() < 0.7, "the source knows nothing of the targets");
    let each = report["outputs"].as_array().unwrap();
    let want = [("kind", "accuracy", a), ("sign", "accuracy", b), ("size", "mse", error)];
    assert_eq!(each.len(), want.len());
    for (entry, (name, metric, value)) in each.iter().zip(want) {
        assert_eq!((entry["name"].as_str(), entry["metric"].as_str()), (Some(name), Some(metric)));
        assert!(near(&entry["proxy"], value), "{entry}, not {value}");
    }
    // the same job judged by the values alone
    let json = json.replace("\"epochs\": 60", "\"epochs\": 2, \"metric\": \"mae\", \"loss\": \"mae\"");
    let done = convert(&model, &x, archive(&x), Some(archive(&held)), &json.replace("4000", "100000")).unwrap();
    let proxy = outputs(&done.proxy, &held);
    let values = &proxy.iter().find(|o| o.0.starts_with("size")).unwrap().1;
    let error = values.iter().zip(&size).map(|(z, &t)| (z - t as f64).abs()).sum::<f64>() / size.len() as f64;
    assert_eq!(done.report["metric"], "mae");
    assert!(near(&done.report["proxy"]["metric"], error), "{} instead of {error}", done.report["proxy"]["metric"]);
}

#[test]
fn a_binary_classifier_is_judged_by_its_auc() {
    let (x, held) = (samples(1000, 3), samples(400, 4));
    let label = |x: &[f32]| -> Vec<i64> { x.chunks(INPUTS).map(|r| (r[0] + r[1] + 0.6 * r[2] * r[3] > 0.75) as i64).collect() };
    let (y, held_y) = (label(&x), label(&held));
    let balanced = r#"{"epochs": 40, "threads": 1, "teacher_weight": 0, "metric": "auc", "class_weights": "balanced", "target_ebops": 3000}"#;
    let plain = balanced.replace("\"balanced\"", "[1, 1]");
    for width in [1, 2] {
        let model = net(&[("out", width)]);
        let job = |json: &str| {
            let validation = npz(INPUTS, &held, Some(&held_y));
            let done = convert(&model, &x, npz(INPUTS, &x, Some(&y)), Some(validation), json).unwrap();
            let scores: Vec<f64> = outputs(&done.proxy, &held)[0]
                .1
                .chunks(width)
                .map(|r| r[width - 1] - if width == 2 { r[0] } else { 0.0 })
                .collect();
            (done, scores)
        };
        let (done, scores) = job(balanced);
        let (mut sum, mut pairs) = (0.0, 0.0);
        for (a, _) in scores.iter().zip(&held_y).filter(|p| *p.1 == 1) {
            for (b, _) in scores.iter().zip(&held_y).filter(|p| *p.1 == 0) {
                sum += if a > b { 1.0 } else { 0.5 * (a == b) as u8 as f64 };
                pairs += 1.0;
            }
        }
        let auc: f64 = sum / pairs;
        assert_eq!(done.report["metric"], "auc");
        assert!(near(&done.report["proxy"]["metric"], auc), "{} instead of {auc}", done.report["proxy"]["metric"]);
        assert!(auc > 0.95, "{auc}");
        // rare positives that weigh more are found more often
        let found = |scores: &[f64]| scores.iter().filter(|s| **s > 0.0).count();
        let (weighted, even) = (found(&scores), found(&job(&plain).1));
        assert!(weighted > even, "{weighted} with weights, {even} without");
    }
}

#[test]
fn tasks_that_do_not_fit_name_every_field() {
    let x = samples(60, 5);
    let y: Vec<i64> = (0..60).map(|n| n % 3).collect();
    let one = net(&[("out", 3)]);
    let refused = |model: &[u8], train: Vec<u8>, json: &str| match convert(model, &x, train, None, json) {
        Err(e @ (Error::Config(_) | Error::Data(_))) => e.to_string(),
        Err(e) => panic!("{e}"),
        Ok(_) => panic!("accepted: {json}"),
    };
    let text = refused(&one, npz(INPUTS, &x, Some(&y)), r#"{"metric": "auc", "loss": "mae", "class_weights": [1, 2]}"#);
    for part in ["metric: auc", "3 values", "loss: mae", "class_weights", "`out`", "2 numbers for 3 classes"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = refused(&one, npz(INPUTS, &x, None), r#"{"metric": "accuracy", "class_weights": "balanced"}"#);
    assert!(text.contains("metric: accuracy") && text.contains("class_weights"), "{text}");
    let two = net(&[("a", 3), ("b", 2)]);
    let text = refused(&two, npz(INPUTS, &x, Some(&y)), "{}");
    assert!(text.contains("train") && text.contains("`y`") && text.contains("`a`, `b`"), "{text}");
    let text = refused(&two, npz_of(&[("x", INPUTS, &x)], &[("a", &y)]), "{}");
    assert!(text.contains("for `a`, but none for `b`"), "{text}");
    for (json, says) in [
        (r#"{"class_weights": "even"}"#, "\"balanced\""),
        (r#"{"class_weights": [1, -1]}"#, "class_weights"),
        (r#"{"metric": "f1"}"#, "f1"),
        (r#"{"layers": [{"beta_scale": 1}]}"#, "match"),
        (r#"{"layers": [{"match": "a", "freeze": "all"}]}"#, "\"bits\""),
        (
            r#"{"layers": [{"match": "a"}, {"match": "b", "beta_scale": -1, "init_bits": {"weights": 99}}]}"#,
            "layers[1] (`b`): init_bits.weights",
        ),
    ] {
        let text = refused(&one, npz(INPUTS, &x, Some(&y)), json);
        assert!(text.contains(says), "{json}: {text}");
    }
}

struct Digits {
    model: Vec<u8>,
    train: Vec<u8>,
}

impl Digits {
    fn new() -> Digits {
        Digits {
            model: std::fs::read(fixture("digits/digits_mlp.onnx")).unwrap(),
            train: std::fs::read(fixture("digits/train.npz")).unwrap(),
        }
    }

    fn job(&self, json: &str) -> Made {
        let config = JobConfig::from_json(json.as_bytes()).unwrap();
        let data = || file(self.train.clone());
        let job = Job { model: self.model.clone(), calibration: data(), train: Some(data()), validation: None, config };
        run(&job, &mut |_| {}, &AtomicBool::new(false)).unwrap()
    }
}

fn layer<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["layers"].as_array().unwrap().iter().find(|l| l["name"] == name).unwrap_or_else(|| panic!("{name}"))
}

#[test]
fn layers_start_and_share_as_their_entries_say() {
    let d = Digits::new();
    let plain = d.job(r#"{"epochs": 0, "threads": 1, "init_bits": {"weights": 4, "activations": 4}}"#).report;
    let other = d
        .job(
            r#"{"epochs": 0, "threads": 1, "init_bits": {"weights": 4, "activations": 4}, "layers": [
                {"match": "*/Gemm", "init_bits": {"weights": 2}},
                {"match": "/[12]/*", "init_bits": {"weights": 9}},
                {"match": "/2/Gemm", "init_bits": {"weights": 4}},
                {"match": "/1/Relu", "init_bits": {"activations": 2}, "granularity": {"activations": "tensor"}}]}"#,
        )
        .report;
    let nonzero = |r: &Value, name: &str| layer(r, name)["weights"]["nonzero"].as_u64().unwrap();
    assert!(nonzero(&other, "/0/Gemm") < nonzero(&plain, "/0/Gemm") / 2);
    // what is dead after the coarse layer takes some of the next one's weights with it
    let share = |r: &Value, name: &str| nonzero(r, name) as f64 / layer(r, name)["weights"]["count"].as_f64().unwrap();
    assert!(
        share(&other, "/2/Gemm") > 0.75 * share(&plain, "/2/Gemm") && share(&other, "/4/Gemm") < 0.3 * share(&plain, "/4/Gemm"),
        "{:?}",
        ["/2/Gemm", "/4/Gemm"].map(|l| (share(&plain, l), share(&other, l)))
    );
    let fractional = |r: &Value, name: &str| -> Vec<i64> {
        let formats = layer(r, name)["activation"]["formats"].as_array().unwrap();
        formats.iter().filter(|f| f["bits"] != 0).map(|f| f["f"].as_i64().unwrap()).collect()
    };
    assert!(fractional(&other, "/1/Relu_q").iter().all(|&f| f == 2), "{:?}", fractional(&other, "/1/Relu_q"));
    // four bits at unit spread are about as many in the user's units here
    for name in ["/1/Relu_q", "/3/Relu_q"] {
        let found = fractional(&plain, name);
        assert!(found.iter().all(|f| (2..=6).contains(f)) && found.iter().any(|&f| f > 2), "{name}: {found:?}");
    }
    // a `[` is not a pattern: nothing has that name
    let codes: Vec<&str> = other["warnings"].as_array().unwrap().iter().filter_map(|w| w["code"].as_str()).collect();
    assert_eq!(codes.iter().filter(|c| **c == "layers_unmatched").count(), 1, "{codes:?}");
}

#[test]
fn a_layer_is_frozen_by_its_entry_and_by_the_field_of_an_earlier_version() {
    let d = Digits::new();
    let job = |fields: &str| d.job(&format!(r#"{{"epochs": 4, "threads": 1, "target_ebops": 20000, {fields}}}"#));
    let listed = job(r#""freeze": ["*/Gemm"]"#);
    let entry = job(
        r#""layers": [{"match": "/*", "freeze": "bits"}, {"match": "*Relu*", "freeze": false}, {"match": "*Gemm*", "freeze": true}]"#,
    );
    // the outputs' quantizer is that of the last Gemm; Relus learn in both
    let same = |a: &Made, b: &Made| a.proxy == b.proxy;
    assert!(same(&listed, &entry));
    let warned = listed.report["warnings"].as_array().unwrap().iter().filter(|w| w["code"] == "deprecated_field");
    assert_eq!(warned.count(), 1);
    assert!(!same(&listed, &job(r#""layers": [{"match": "*/Gemm", "freeze": "weights"}]"#)));
    assert!(!same(&listed, &job(r#""layers": [{"match": "*/Gemm", "freeze": "bits"}]"#)));
    let free = job(r#""freeze": ["*/Gemm"], "layers": [{"match": "*", "freeze": false}]"#);
    assert!(same(&free, &job(r#""gamma": 0"#)), "a later `false` frees");
}

/// Entries of layers with HGQ2's quantizers: taken, and with the effect that they have with HGQ
/// v1's.
#[test]
fn layers_are_weighed_and_frozen_with_every_quantizer() {
    let d = Digits::new();
    for quantizers in ["hgq1", "hgq2_kif", "hgq2_kbi"] {
        let job = |layers: &str| {
            let beta = r#""beta": {"start": 3e-5, "end": 3e-5}"#;
            let common = format!(r#""threads": 1, {beta}, "max_metric_drop": 1, "polish": false, "quantizers": "{quantizers}""#);
            d.job(&format!(r#"{{"epochs": 10, {common}, "layers": [{layers}]}}"#))
        };
        let entry = |fields: &str| format!(r#"{{"match": "/0/Gemm", {fields}}}"#);
        let (light, heavy) = (job(&entry(r#""beta_scale": 0.1"#)).report, job(&entry(r#""beta_scale": 10"#)).report);
        let share = |r: &Value| layer(r, "/0/Gemm")["ebops"].as_f64().unwrap() / r["ebops"].as_f64().unwrap();
        assert!(share(&light) > 1.5 * share(&heavy), "{quantizers}: {} {}", share(&light), share(&heavy));
        for report in [&light, &heavy] {
            let codes: Vec<&Value> = report["warnings"].as_array().unwrap().iter().map(|w| &w["code"]).collect();
            assert!(!codes.iter().any(|c| **c == "layers_unmatched"), "{quantizers}: {codes:?}");
        }
        let plain = job("");
        for freeze in [r#""freeze": "weights""#, r#""freeze": "bits""#, r#""freeze": true"#] {
            let frozen = job(&entry(freeze));
            assert_ne!(frozen.proxy, plain.proxy, "{quantizers} {freeze}");
            assert_eq!(frozen.report["verification"]["mismatches"], 0, "{quantizers} {freeze}");
        }
    }
}

#[test]
fn beta_weighs_by_layer_and_group_norm_can_be_left_out() {
    let d = Digits::new();
    let job = |fields: &str| {
        d.job(&format!(
            r#"{{"epochs": 15, "threads": 1, "beta": {{"start": 3e-5, "end": 3e-5}}, "max_metric_drop": 1, {fields}}}"#
        ))
        .report
    };
    let share = |r: &Value| layer(r, "/0/Gemm")["ebops"].as_f64().unwrap() / r["ebops"].as_f64().unwrap();
    let (plain, light, heavy) = (
        job(r#""layers": []"#),
        job(r#""layers": [{"match": "/0/*", "beta_scale": 0.1}]"#),
        job(r#""layers": [{"match": "/0/*", "beta_scale": 10}]"#),
    );
    assert!(
        share(&light) > share(&plain) && share(&plain) > share(&heavy),
        "{} {} {}",
        share(&light),
        share(&plain),
        share(&heavy)
    );
    let shared = |norm| job(&format!(r#""granularity": {{"weights": "tensor"}}, "group_norm": {norm}"#));
    let (with, without) = (shared(true), shared(false));
    // the gradient of a width that a layer shares is as many times larger: bits go faster
    assert!(without["ebops"].as_f64().unwrap() < with["ebops"].as_f64().unwrap(), "{} {}", without["ebops"], with["ebops"]);
    assert_eq!(without["config"]["group_norm"], false);
}
