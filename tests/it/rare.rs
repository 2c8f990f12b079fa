//! Classes that are rare, rows that are few, rows that the source has seen: models are judged by
//! what tells them apart, and what is said about the data is true.

use crate::support::files::{npz, read};
use crate::support::made::{Made, plan, run};
use crate::support::onnx::Net;
use hgq_onnx::convert::task::metric::predicted;
use hgq_onnx::convert::{DataFile, Job, JobConfig};
use hgq_onnx::data::Rng;
use hgq_onnx::onnx::Tensor;
use hgq_onnx::verify::fixed::Program;
use prost::Message;
use serde_json::Value;
use std::sync::atomic::AtomicBool;

const INPUTS: usize = 6;
/// What a sample's inputs are weighed by.
const TRUTH: [f32; INPUTS] = [1.0, -0.75, 0.5, 0.25, -1.0, 0.125];

fn score(row: &[f32]) -> f32 {
    row.iter().zip(TRUTH).map(|(x, w)| x * w).sum()
}

/// `z = ±(score − threshold)/2` after two Relus: class 1 where the score is above the threshold.
fn source(threshold: f32) -> Vec<u8> {
    let mut net = Net::new(17, &[-1, INPUTS as i64]);
    let w1: Vec<f32> = TRUTH.iter().flat_map(|&w| [w, -w, 0.25, -0.25]).collect();
    net.constant("w1", Tensor::f32(vec![INPUTS, 4], w1)).constant("b1", Tensor::f32(vec![4], vec![0.0; 4]));
    let w2 = vec![-0.5, 0.5, 0.5, -0.5, 0.0, 0.0, 0.0, 0.0];
    net.constant("w2", Tensor::f32(vec![4, 2], w2));
    net.constant("b2", Tensor::f32(vec![2], vec![threshold / 2.0, -threshold / 2.0]));
    net.node("Gemm", &["@", "w1", "b1"], "h", &[]).node("Relu", &["@"], "a", &[]).node("Gemm", &["@", "w2", "b2"], "y", &[]);
    net.model().encode_to_vec()
}

fn samples(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    (0..count * INPUTS).map(|_| ((2.0 * rng.unit() - 1.0) * 256.0).round() as f32 / 256.0).collect()
}

fn labels(x: &[f32], threshold: f32) -> Vec<i64> {
    x.chunks(INPUTS).map(|row| i64::from(score(row) > threshold)).collect()
}

/// The score above which one sample of `rare` lies.
fn threshold(x: &[f32], rare: usize) -> f32 {
    let mut scores: Vec<f32> = x.chunks(INPUTS).map(score).collect();
    scores.sort_by(f32::total_cmp);
    let at = scores.len() - scores.len() / rare;
    (scores[at] + scores[at - 1]) / 2.0
}

struct Files {
    model: Vec<u8>,
    calibration: Vec<u8>,
    train: Vec<u8>,
    validation: Option<Vec<u8>>,
}

impl Files {
    fn job(&self, json: &str) -> Job {
        let file = |name: &str, bytes: &[u8]| DataFile::new(name, bytes.to_vec());
        Job {
            model: self.model.clone(),
            calibration: file("calibration.npz", &self.calibration),
            train: Some(file("train.npz", &self.train)),
            validation: self.validation.as_ref().map(|v| file("validation.npz", v)),
            config: JobConfig::from_json(json.as_bytes()).unwrap(),
        }
    }

    fn convert(&self, json: &str) -> Made {
        run(&self.job(json), &mut |_| {}, &AtomicBool::new(false)).unwrap()
    }
}

fn warning<'a>(document: &'a Value, code: &str) -> Option<&'a str> {
    document["warnings"].as_array().unwrap().iter().find(|w| w["code"] == code).and_then(|w| w["message"].as_str())
}

/// Events of class 1 that the proxy finds, and how many there are.
fn found(proxy: &[u8], x: &[f32], y: &[i64]) -> (usize, usize) {
    let ran = Program::from_bytes(proxy).unwrap().run(&[x], y.len()).unwrap();
    let out = ran.outputs[0].to_f64();
    let hits = out.chunks(2).zip(y).filter(|(row, y)| predicted(row) == 1 && **y == 1).count();
    (hits, y.iter().filter(|y| **y == 1).count())
}

#[test]
fn rare_events_are_found_though_never_finding_one_is_as_accurate() {
    let x = samples(2000, 1);
    let threshold = threshold(&x, 100);
    let y = labels(&x, threshold);
    let files = Files {
        model: source(threshold),
        calibration: npz(INPUTS, &x[..500 * INPUTS], None),
        train: npz(INPUTS, &x, Some(&y)),
        validation: None,
    };
    let test = samples(4000, 2);
    let test_y = labels(&test, threshold);
    for more in ["", r#", "class_weights": "balanced""#, r#", "max_metric_drop": 0.2"#] {
        let json = format!(r#"{{"threads": 1, "epochs": 40, "batch_size": 64{more}}}"#);
        let done = files.convert(&json);
        let (hits, all) = found(&done.proxy, &test, &test_y);
        assert!(all > 20 && hits * 2 > all, "{json}: {hits} of {all} events, {} EBOPs", done.ebops);
        let report = &done.report;
        assert_eq!((&report["metric"], &report["target"]["met"]), (&"balanced_accuracy".into(), &true.into()), "{json}");
        assert_eq!(report["data"]["one_answer"], serde_json::json!({ "accuracy": 0.99, "class": 0 }));
        // two of 200 validation rows: all rows decide
        assert_eq!((&report["choice"]["samples"], &report["validation_alone"]["samples"]), (&2000.into(), &200.into()));
        assert!(report["proxy"]["metric"].as_f64().unwrap() > 0.75, "{json}: {}", report["proxy"]);
        assert!(warning(report, "balanced_metric").unwrap().contains("(class 0) is right for 99.0 % of the 200"), "{report}");
        assert!(warning(report, "few_validation_rows").unwrap().contains("as much as 8"), "{report}");
    }
    let planned = plan(&files.job(r#"{"threads": 1}"#)).unwrap();
    assert_eq!(planned["metric"], "balanced_accuracy");
    assert!(planned["metric_because"].as_str().unwrap().contains("accuracy would not tell"), "{planned}");
    assert!(warning(&planned, "balanced_metric").is_some());
    // both classes are held out, so that an AUC there is one
    let by_auc = plan(&files.job(r#"{"threads": 1, "metric": "auc"}"#)).unwrap();
    assert_eq!((&by_auc["metric"], &by_auc["source"]["metric"]), (&"auc".into(), &1.0.into()));
    let plain = plan(&files.job(r#"{"threads": 1, "metric": "accuracy"}"#)).unwrap();
    assert_eq!((&plain["metric"], warning(&plain, "balanced_metric")), (&"accuracy".into(), None));
}

#[test]
fn few_rows_do_not_choose_alone() {
    let x = samples(200, 3);
    let y = labels(&x, 0.1);
    let files = |rows: usize| Files {
        model: source(0.1),
        calibration: npz(INPUTS, &x, None),
        train: npz(INPUTS, &x, Some(&y)),
        validation: (rows > 0).then(|| npz(INPUTS, &samples(rows, 4), Some(&labels(&samples(rows, 4), 0.1)))),
    };
    let json = r#"{"threads": 1, "epochs": 10}"#;
    let split = files(0).convert(json).report;
    assert_eq!(
        (&split["choice"]["judged_on"], &split["choice"]["samples"]),
        (&"validation and training samples".into(), &200.into())
    );
    let text = warning(&split, "few_validation_rows").unwrap();
    for part in ["20 validation rows are too few", "180 training rows", "accuracy 1.0000 ± 0.04"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let alone = &split["validation_alone"];
    assert_eq!((&alone["samples"], &alone["source"]["metric"]), (&20.into(), &1.0.into()));
    // one right and one wrong sample more: 21 of 22
    let error = (21.0 / 22.0 / 22.0 / 20.0f64).sqrt();
    assert!((alone["source"]["metric_error"].as_f64().unwrap() - error).abs() < 1e-12, "{alone}");
    let enough = files(100).convert(json).report;
    assert_eq!((&enough["choice"]["judged_on"], &enough["choice"]["samples"]), (&"validation samples".into(), &100.into()));
    assert!(warning(&enough, "few_validation_rows").is_none() && enough["validation_alone"].is_null());
    // nothing is chosen, nothing is asked for
    let none = files(30).convert(r#"{"threads": 1, "epochs": 0}"#).report;
    assert!(warning(&none, "few_validation_rows").is_none());
}

/// The digits model was trained on all of `train.npz`: .997 there, 1.000 on the rows of it that are
/// held out, .958 on the test data.
#[test]
fn a_source_that_errs_nowhere_is_suspected_when_its_proxies_do() {
    let data = |name: &str| read(&format!("digits/{name}.npz"));
    let digits =
        Files { model: read("digits/digits_mlp.onnx"), calibration: data("calibration"), train: data("train"), validation: None };
    let json = r#"{"threads": 1, "epochs": 300, "target_ebops": 5000}"#;
    let report = digits.convert(json).report;
    let text = warning(&report, "validation_seen").unwrap_or_else(|| panic!("{:#}", report["pareto"]));
    for part in ["and 1.0000: it was probably trained on the validation rows", "144 validation rows", "no loss; give rows"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(warning(&report, "metric_drop").is_none());
    let given = Files { validation: Some(data("test")), ..digits };
    assert!(warning(&given.convert(json).report, "validation_seen").is_none());
}

#[test]
fn a_source_that_knows_the_validation_rows_is_suspected_on_evidence() {
    let x = samples(1500, 5);
    // some samples are hard: nobody who has not seen them has them right
    let hard = |x: &[f32], seed: u64| -> Vec<i64> {
        let mut rng = Rng::new(seed);
        labels(x, 0.1).into_iter().map(|y| if rng.unit() < 0.1 { 1 - y } else { y }).collect()
    };
    let (own, noisy) = (labels(&x, 0.1), hard(&x, 6));
    let files = |y: &[i64], calibration: Vec<u8>, validation: Option<Vec<u8>>| Files {
        model: source(0.1),
        calibration,
        train: npz(INPUTS, &x, Some(y)),
        validation,
    };
    let other = samples(400, 7);
    let seen = |files: &Files, json: &str| warning(&plan(&files.job(json)).unwrap(), "validation_seen").map(String::from);
    // right on every row of the training file, not on others
    let labelled = npz(INPUTS, &other, Some(&hard(&other, 8)));
    let text = seen(&files(&own, labelled.clone(), None), "{}").unwrap();
    for part in ["1.0000 ± ", "150 validation rows", "400 calibration rows", "--validation"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // as good here as there; without labels; with labels of rows that are trained on
    assert_eq!(seen(&files(&noisy, labelled, None), "{}"), None);
    assert_eq!(seen(&files(&own, npz(INPUTS, &other, None), None), "{}"), None);
    assert_eq!(seen(&files(&own, npz(INPUTS, &x, Some(&noisy)), None), "{}"), None);
    // validation rows that are trained on
    let (part, part_y) = (&x[..300 * INPUTS], &noisy[..300]);
    let text = seen(&files(&noisy, npz(INPUTS, &x, None), Some(npz(INPUTS, part, Some(part_y)))), "{}").unwrap();
    assert!(text.contains("300 of the 300 validation rows are training rows"), "{text}");
    let validation = npz(INPUTS, &other, Some(&hard(&other, 8)));
    assert_eq!(seen(&files(&noisy, npz(INPUTS, &x, None), Some(validation)), "{}"), None);
}
