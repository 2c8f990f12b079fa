//! What a job can ask for: a β ramp, a target, an allowed loss, frozen parts, shared widths, HGQ2's
//! quantizers; and what it gets when that cannot be had.

use crate::support::files::{fixture, npz, read};
use crate::support::jobs::{Samples, config, convert, outputs};
use crate::support::made::{Made, run};
use crate::support::reference::Arrays;
use hgq_onnx::convert::{DataFile, Error, Job, JobConfig};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};

struct Digits {
    model: Vec<u8>,
    x: Vec<f32>,
    y: Vec<i64>,
}

fn digits() -> Digits {
    let train = Arrays::load(&fixture("digits/train.npz"));
    let y = train.labels("y");
    Digits { model: std::fs::read(fixture("digits/digits_mlp.onnx")).unwrap(), x: train.f32("x"), y }
}

impl Digits {
    fn convert(&self, json: &str) -> Result<Made, Error> {
        let data = Samples { width: 64, x: &self.x, y: Some(&self.y) };
        convert(&self.model, &data, Some(&data), config(json))
    }
}

fn smallest(report: &Value) -> f64 {
    report["pareto"].as_array().unwrap().iter().map(|p| p["ebops"].as_f64().unwrap()).fold(f64::INFINITY, f64::min)
}

#[test]
fn a_beta_ramp_descends_and_a_constant_zero_does_not() {
    let d = digits();
    let ramp = d.convert(r#"{"epochs": 60, "threads": 1, "beta": {"start": 1e-6, "end": 1e-3}}"#).unwrap();
    let flat = d.convert(r#"{"epochs": 60, "threads": 1, "beta": {"start": 0, "end": 0, "schedule": "constant"}}"#).unwrap();
    let (ramp, flat) = (smallest(&ramp.report), smallest(&flat.report));
    assert!(ramp < 3000.0 && flat > 3.0 * ramp, "smallest with a ramp {ramp}, without {flat}");
}

#[test]
fn an_allowed_loss_gives_the_smallest_within_it() {
    let d = digits();
    let done = d.convert(r#"{"epochs": 60, "threads": 1, "max_metric_drop": 0.05}"#).unwrap();
    let source = done.report["source"]["metric"].as_f64().unwrap();
    let points = done.report["pareto"].as_array().unwrap();
    let enough = |p: &&Value| p["metric"].as_f64().unwrap() >= source - 0.05;
    let want = points.iter().filter(enough).map(|p| p["ebops"].as_u64().unwrap()).min().unwrap();
    assert_eq!(done.ebops, want);
    let chosen: Vec<u64> = points.iter().filter(|p| p["chosen"] == true).map(|p| p["ebops"].as_u64().unwrap()).collect();
    assert_eq!(chosen, [want]);
}

/// A target in LUTs, and what else is counted in them; sizes of a front rise, whatever they count.
#[test]
fn sizes_may_be_luts() {
    let d = digits();
    let luts = |p: &Value| p["luts"].as_f64().unwrap();
    let rises = |r: &Value| r["pareto"].as_array().unwrap().windows(2).all(|p| luts(&p[0]) < luts(&p[1]));
    let done = d.convert(r#"{"epochs": 80, "threads": 1, "target_luts": 4000}"#).unwrap();
    let (found, why) = (luts(&done.report), done.report["choice"]["why"].as_str().unwrap().to_string());
    assert!(done.unmet.is_none() && (0.8 * 4000.0..=4000.0).contains(&found), "{found}: {:?}", done.unmet);
    assert!(why.contains("of at most 4000 LUTs") && rises(&done.report) && done.report["count"] == "luts", "{why}");
    let done = d.convert(r#"{"epochs": 2, "threads": 1, "target_luts": 20}"#).unwrap();
    assert!(done.unmet.as_ref().is_some_and(|why| why.starts_with("target_luts 20 was not reached")), "{:?}", done.unmet);
    // budgets, and the smallest of those that are good enough
    let done = d.convert(r#"{"epochs": 60, "threads": 1, "count": "luts", "max_metric_drop": 0.05}"#).unwrap();
    let source = done.report["source"]["metric"].as_f64().unwrap();
    let points = done.report["pareto"].as_array().unwrap();
    let enough = points.iter().filter(|p| p["metric"].as_f64().unwrap() >= source - 0.05);
    assert_eq!(enough.map(luts).fold(f64::INFINITY, f64::min), luts(&done.report));
    assert!(rises(&done.report));
    let data = Samples { width: 64, x: &d.x, y: None };
    let calibrated =
        convert(&d.model, &data, None, config(r#"{"mode": "calibrate", "threads": 1, "target_luts": 20000}"#)).unwrap();
    assert!(calibrated.unmet.is_none() && luts(&calibrated.report) <= 20000.0);
}

#[test]
fn what_cannot_be_reached_is_said() {
    let d = digits();
    let points = |r: &Value, field: &str| -> Vec<f64> {
        r["pareto"].as_array().unwrap().iter().map(|p| p[field].as_f64().unwrap()).collect()
    };
    let done = d.convert(r#"{"epochs": 2, "threads": 1, "target_ebops": 20}"#).unwrap();
    assert!(done.unmet.as_ref().is_some_and(|why| why.contains("target_ebops 20")), "{:?}", done.unmet);
    assert_eq!(done.report["target"], serde_json::json!({"met": false, "reason": done.unmet}));
    assert_eq!(done.ebops as f64, points(&done.report, "ebops")[0]);
    let done =
        d.convert(r#"{"epochs": 2, "threads": 1, "max_metric_drop": 0, "init_bits": {"weights": 0, "activations": 0}}"#).unwrap();
    assert!(done.unmet.as_ref().is_some_and(|why| why.contains("max_metric_drop")), "{:?}", done.unmet);
    let best = points(&done.report, "metric").into_iter().fold(0.0, f64::max);
    assert_eq!(done.report["proxy"]["metric"], best);
}

/// Without training, too: a gate over a model whose bits are fixed is such a job.
#[test]
fn goals_are_checked_without_epochs() {
    let d = digits();
    let unmet = |json: &str| {
        let done = d.convert(json).unwrap();
        assert_eq!(done.report["target"], serde_json::json!({"met": done.unmet.is_none(), "reason": done.unmet}), "{json}");
        done.unmet.clone()
    };
    let start = d.convert(r#"{"epochs": 0, "threads": 1}"#).unwrap();
    assert_eq!((start.unmet.as_deref(), &start.report["target"]["met"]), (None, &true.into()));
    let at = |target: u64, more: &str| unmet(&format!(r#"{{"epochs": 0, "threads": 1, "target_ebops": {target}{more}}}"#));
    assert_eq!(at(start.ebops, ""), None);
    let why = at(start.ebops - 1, "").unwrap();
    assert!(why.contains(&format!("the smallest candidate has {} EBOPs; train", start.ebops)), "{why}");
    let low = r#", "init_bits": {"weights": 1, "activations": 2}"#;
    let why = unmet(&format!(r#"{{"epochs": 0, "threads": 1, "max_metric_drop": 0{low}}}"#)).unwrap();
    assert!(why.contains("max_metric_drop"), "{why}");
    assert!(at(100_000, &format!(r#", "max_metric_drop": 0{low}"#)).unwrap().contains("max_metric_drop"));
    assert_eq!(unmet(r#"{"epochs": 0, "threads": 1, "max_metric_drop": 1}"#), None);
    // one answer for everything is nothing that was asked for
    let why = unmet(r#"{"epochs": 0, "threads": 1, "init_bits": {"weights": -8, "activations": -8}}"#).unwrap();
    assert!(why.contains("one answer for everything"), "{why}");
}

#[test]
fn goals_are_checked_in_mode_calibrate() {
    let d = digits();
    let data = Samples { width: 64, x: &d.x[..300 * 64], y: None };
    let job = |goal: &str| {
        convert(&d.model, &data, None, config(&format!(r#"{{"mode": "calibrate", "threads": 1, {goal}}}"#))).unwrap()
    };
    let done = job(r#""target_ebops": 1"#);
    assert!(done.unmet.as_ref().is_some_and(|why| why.contains("target_ebops 1 was not reached")), "{:?}", done.unmet);
    let answers = |proxy: &[u8]| {
        let out = outputs(proxy, data.x).1;
        out.chunks(10).map(hgq_onnx::convert::task::metric::predicted).collect::<std::collections::BTreeSet<_>>().len()
    };
    assert!(answers(&done.proxy) > 1 && done.ebops > 1, "a constant network");
    // worse than a constant may be: the smallest is still none
    let done = job(r#""max_output_error": 5"#);
    assert!(done.unmet.is_none() && answers(&done.proxy) > 1, "{} EBOPs, {:?}", done.ebops, done.unmet);
    let done = job(r#""max_output_error": 0"#);
    assert!(done.unmet.as_ref().is_some_and(|why| why.contains("max_output_error 0")), "{:?}", done.unmet);
    let done = job(r#""max_metric_drop": 0.02, "metric": "agreement""#);
    assert!(done.unmet.is_none() && done.report["proxy"]["metric"].as_f64().unwrap() >= 0.98);
}

/// Where nearly nothing fits, models are given up, and the search ends.
#[test]
fn polishing_near_no_ebops_ends() {
    let train = DataFile::new("train.npz", read("polish_endless/train.npz"));
    let job = Job {
        model: read("polish_endless/model.onnx"),
        calibration: train.clone(),
        train: Some(train),
        validation: None,
        config: config(r#"{"threads": 1, "epochs": 60, "batch_size": 64}"#),
    };
    let (ended, cancel) = (AtomicBool::new(false), AtomicBool::new(false));
    let done = std::thread::scope(|scope| {
        scope.spawn(|| {
            let since = std::time::Instant::now();
            while !ended.load(Ordering::Relaxed) && since.elapsed().as_secs() < 120 {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            cancel.store(true, Ordering::Relaxed);
        });
        let done = run(&job, &mut |_| {}, &cancel);
        ended.store(true, Ordering::Relaxed);
        done
    });
    assert!(done.is_ok(), "{:?}", done.err());
}

/// The sentence names figures that the table beside it has, and by them no smaller model would do.
#[test]
fn the_choice_is_explained_by_its_table() {
    let d = digits();
    let done = d.convert(r#"{"epochs": 40, "threads": 1}"#).unwrap();
    let why = done.report["choice"]["why"].as_str().unwrap();
    let bound: f64 =
        why.strip_prefix("the smallest model whose accuracy is ").unwrap().split(' ').next().unwrap().parse().unwrap();
    let points = done.report["pareto"].as_array().unwrap();
    let (metric, ebops) = (|p: &Value| p["metric"].as_f64().unwrap(), |p: &Value| p["ebops"].as_u64().unwrap());
    let chosen = points.iter().find(|p| p["chosen"] == true).unwrap();
    assert!(metric(chosen) >= bound - 5e-5, "{why}: {chosen}");
    assert!(points.iter().filter(|p| ebops(p) < ebops(chosen)).all(|p| metric(p) < bound), "{why}: {points:#?}");
    let inner = d.convert(r#"{"epochs": 40, "threads": 1, "target_ebops": 6000}"#).unwrap();
    let why = inner.report["choice"]["why"].as_str().unwrap();
    let points = inner.report["pareto"].as_array().unwrap();
    let inside = || points.iter().filter(|p| ebops(p) <= 6000);
    let best = inside().map(metric).fold(0.0, f64::max);
    assert!(why.starts_with(&format!("of the models of at most 6000 EBOPs the best accuracy is {best:.4} (")), "{why}");
    let chosen = points.iter().find(|p| p["chosen"] == true).unwrap();
    assert!(why.contains(&format!("{:.4} ({} EBOPs)", metric(chosen), ebops(chosen))), "{why}: {chosen}");
    // what is off the front is not drawn on it
    for p in points {
        let beaten = points.iter().any(|q| ebops(q) <= ebops(p) && metric(q) >= metric(p) && q["number"] != p["number"]);
        assert_eq!(p["on_front"], !beaten, "{p}");
        let error = p["metric_error"].as_f64().unwrap();
        assert!(error > 0.0 && error < 0.1, "{p}");
    }
}

#[test]
fn shared_widths_and_frozen_layers() {
    let d = digits();
    let done = d
        .convert(r#"{"epochs": 20, "threads": 1, "granularity": {"weights": "tensor", "activations": "tensor"}, "target_ebops": 20000}"#)
        .unwrap();
    for layer in done.report["layers"].as_array().unwrap().iter().filter(|l| l["op"] == "Quant") {
        // removed channels aside, one format per layer
        let formats = layer["activation"]["formats"].as_array().unwrap();
        let live = formats.iter().filter(|f| f["bits"] != 0).count();
        assert!(live <= 1, "{layer}");
    }
    let bits = |r: &Value| r["layers"].as_array().unwrap().iter().find(|l| l["name"] == "/0/Gemm").unwrap()["weights"].clone();
    // one start for all: without epochs another one is the default
    let job = |settings: &str| {
        d.convert(&format!(r#"{{"threads": 1, "init_bits": {{"weights": 4, "activations": 4}}, {settings}}}"#)).unwrap()
    };
    let start = job(r#""epochs": 0"#);
    let frozen = job(r#""epochs": 10, "layers": [{"match": "/0/*", "freeze": true}], "target_ebops": 12000"#);
    let free = job(r#""epochs": 10, "target_ebops": 12000"#);
    // what a pruned reader drops aside, frozen weights are those of the start
    let of_the_start = |r: &Value| {
        let (now, then) = (bits(r)["bits_histogram"].clone(), bits(&start.report)["bits_histogram"].clone());
        let count = |h: &Value, width: &str| h[width].as_u64().unwrap_or(0);
        now.as_object().unwrap().keys().filter(|w| *w != "0").all(|w| count(&now, w) <= count(&then, w))
    };
    assert!(of_the_start(&frozen.report) && !of_the_start(&free.report));
}

/// A job that is run with its events looked at.
fn of_digits(epochs: usize) -> Job {
    let d = digits();
    let file = |name: &str| DataFile::new(name, npz(64, &d.x, Some(&d.y)));
    Job {
        model: d.model.clone(),
        calibration: file("calibration.npz"),
        train: Some(file("train.npz")),
        validation: None,
        config: JobConfig { epochs, threads: Some(1), ..JobConfig::default() },
    }
}

#[test]
fn polishing_tells_its_steps() {
    let job = of_digits(20);
    let mut stages = Vec::new();
    let none = AtomicBool::new(false);
    run(&job, &mut |event| stages.push(serde_json::to_value(event).unwrap()), &none).unwrap();
    stages.retain(|e| e["event"] == "stage" && e["stage"] == "polish");
    assert_eq!(stages[0].as_object().unwrap().len(), 2, "the stage itself: {stages:#?}");
    let steps: Vec<u64> = stages[1..].iter().map(|e| e["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, (1..=steps.len() as u64).collect::<Vec<u64>>());
    assert!(!steps.is_empty() && stages[1..].iter().all(|e| e["steps"].as_u64() >= steps.last().copied()));
}

#[test]
fn a_canceled_job_ends_within_a_batch() {
    let job = of_digits(100_000);
    let cancel = AtomicBool::new(false);
    let mut epochs = 0;
    let result = run(
        &job,
        &mut |event| {
            if matches!(event, hgq_onnx::convert::Event::Epoch { .. }) {
                epochs += 1;
                cancel.store(true, Ordering::Relaxed);
            }
        },
        &cancel,
    );
    assert!(matches!(result, Err(Error::Canceled)));
    assert_eq!(epochs, 1);
}

/// A single bit of difference between the trained model and the proxy on the calibration data fails
/// the job.
#[test]
fn hgq2_quantizers_reach_a_target_with_an_exact_proxy() {
    let d = digits();
    for (quantizers, more) in [
        ("hgq2_kif", r#""overflow": "sat_sym""#),
        ("hgq2_kif", r#""overflow": "sat", "granularity": {"weights": "channel"}"#),
        ("hgq2_kbi", r#""activation_overflow": "wrap""#),
    ] {
        let json = format!(r#"{{"epochs": 40, "threads": 1, "target_ebops": 8000, "quantizers": "{quantizers}", {more}}}"#);
        let done = d.convert(&json).unwrap();
        assert_eq!(done.report["verification"]["mismatches"], 0, "{json}");
        assert_eq!(done.report["config"]["quantizers"], quantizers);
        let (source, proxy) = (&done.report["source"]["metric"], &done.report["proxy"]["metric"]);
        let drop = source.as_f64().unwrap() - proxy.as_f64().unwrap();
        assert!(done.ebops <= 8000 && drop < 0.04, "{json}: {} EBOPs, {source} became {proxy}", done.ebops);
    }
}

#[test]
fn overflow_belongs_to_hgq2() {
    let faults = JobConfig::from_json(br#"{"overflow": "sat", "activation_overflow": "wrap"}"#).unwrap_err();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].starts_with("config: overflow: ") && faults[1].starts_with("config: activation_overflow: "), "{faults:?}");
    assert!(JobConfig::from_json(br#"{"quantizers": "hgq3"}"#).is_err());
}
