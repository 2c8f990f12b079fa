//! Accuracy against EBOPs, as `docs/training.md` shows it: trains a classifier over several seeds
//! and prints, for every budget, the median of the accuracy on the test data within it.
//!
//! * `test`: chosen on the test data among all candidates, trained on all training data, as the
//!   peers' fronts were. An upper bound.
//! * `validation`: chosen on a tenth of the training data that was not trained on, then measured on
//!   the test data.
//!
//! ```sh
//! cargo run --release --example fronts -- MODEL.onnx TRAIN.npz TEST.npz 700,1000,2000 [--seeds 3] [--first-seed 0] [--config JSON] \
//!     [--chosen-on test|validation] [--hgq2] [--luts] [--random] [--unlabelled N] [--name NAME]
//! ```
//!
//! The data hold `x_train`, `y_train`, `x_test`, `y_test`, or `x` and `y`; bytes are divided by
//! 255. `--chosen-on` leaves the other half of the runs out, `--hgq2` counts as HGQ2 does, `--luts` in
//! LUTs,
//! `--random` starts from Glorot-uniform weights without teacher, `--unlabelled` has only the
//! inputs of the first N training samples. One JSON line per run goes to stdout, with the metric
//! that each model was chosen by and its size in both counts; the tables go to stderr.

use hgq_onnx::convert::documents::ParetoPoint;
use hgq_onnx::convert::task::metric::predicted;
use hgq_onnx::convert::{Artifacts, DataFile, Job, JobConfig, run};
use hgq_onnx::data::{Arrays, DataLimits, Rng, Values};
use hgq_onnx::onnx::{Tensor, codec, limits::Limits};
use hgq_onnx::verify::fixed::Program;
use serde_json::{Value, json};
use std::sync::atomic::AtomicBool;

// of it only the writer of archives
#[allow(dead_code)]
#[path = "../tests/support/files.rs"]
mod files;

/// Inputs (rows of `width`) and labels.
struct Split {
    width: usize,
    x: Vec<f32>,
    y: Vec<i64>,
}

struct Settings {
    name: String,
    model: Vec<u8>,
    train: Split,
    test: Split,
    budgets: Vec<f64>,
    seeds: std::ops::Range<u64>,
    /// Which of the two runs: true is chosen on the test data.
    chosen_on: Vec<bool>,
    config: serde_json::Map<String, Value>,
    count: &'static str,
    random: bool,
    unlabelled: Option<usize>,
}

fn main() {
    let s = settings();
    let (mut test, mut validation) = (Vec::new(), Vec::new());
    for seed in s.seeds.clone() {
        for &on_test in &s.chosen_on {
            let started = std::time::Instant::now();
            let done = convert(&s, seed, on_test);
            let points = points(&s, &done, on_test);
            let found: Vec<Option<&Point>> = s.budgets.iter().map(|&b| within(&points, b, on_test)).collect();
            let best: Vec<f64> = found.iter().map(|p| p.map_or(0.0, |p| p.test)).collect();
            let chosen_on = if on_test { "test" } else { "validation" };
            let seconds = started.elapsed().as_secs_f64();
            println!(
                "{}",
                json!({"name": s.name, "seed": seed, "chosen_on": chosen_on, "seconds": seconds, "accuracy": best,
                    "chosen": found, "timing": done.report.timing})
            );
            if on_test { &mut test } else { &mut validation }.push(best);
        }
    }
    let line = |cells: Vec<String>| eprintln!("| {} |", cells.join(" | "));
    line(std::iter::once(s.name.clone()).chain(s.budgets.iter().map(|b| format!("{b}"))).collect());
    for (name, rows) in [("test", &test), ("validation", &validation)].into_iter().filter(|(_, rows)| !rows.is_empty()) {
        let median = |n: usize| {
            let mut column: Vec<f64> = rows.iter().map(|r| r[n]).collect();
            column.sort_by(f64::total_cmp);
            format!("{:.3}", column[column.len() / 2])
        };
        line(std::iter::once(name.to_string()).chain((0..s.budgets.len()).map(median)).collect());
    }
}

fn settings() -> Settings {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let mut flag = |name: &str, values: usize| {
        let at = args.iter().position(|a| a == name)?;
        Some(args.drain(at..=at + values).nth(values).expect("a value"))
    };
    let seeds = flag("--seeds", 1).map_or(3, |v| v.parse().expect("a number of seeds"));
    let first = flag("--first-seed", 1).map_or(0, |v| v.parse().expect("a seed"));
    let chosen_on = match flag("--chosen-on", 1).as_deref() {
        None => vec![true, false],
        Some("test") => vec![true],
        Some("validation") => vec![false],
        Some(other) => panic!("--chosen-on test or validation, not {other}"),
    };
    let config = flag("--config", 1).map_or_else(Default::default, |v| serde_json::from_str(&v).expect("a JSON object"));
    let name = flag("--name", 1);
    let count = if flag("--hgq2", 0).is_some() { "ebops_hgq2" } else { "ebops" };
    let count = if flag("--luts", 0).is_some() { "luts" } else { count };
    let random = flag("--random", 0).is_some();
    let unlabelled = flag("--unlabelled", 1).map(|n| n.parse().expect("a number of samples"));
    let [model, train, test, budgets] = &args[..] else { panic!("MODEL.onnx TRAIN.npz TEST.npz BUDGETS") };
    Settings {
        name: name.unwrap_or_else(|| model.clone()),
        model: std::fs::read(model).expect("the model"),
        train: split(train, "train"),
        test: split(test, "test"),
        budgets: budgets.split(',').map(|b| b.parse().expect("a budget")).collect(),
        seeds: first..first + seeds,
        chosen_on,
        config,
        count,
        random,
        unlabelled,
    }
}

fn split(path: &str, part: &str) -> Split {
    let arrays = Arrays::open(path, &DataLimits::default()).expect("the data");
    let get = |name: &str| {
        let found = arrays.get(&format!("{name}_{part}")).or_else(|| arrays.get(name));
        found.expect("x and y").expect("numbers")
    };
    let (x, y) = (get("x"), get("y"));
    let samples = x.shape[0];
    let x = match &x.values {
        Values::F32(v) => v.clone(),
        Values::F64(v) => v.iter().map(|&v| v as f32).collect(),
        Values::I64(v) => v.iter().map(|&v| v as f32 / 255.0).collect(),
        Values::U64(v) => v.iter().map(|&v| v as f32 / 255.0).collect(),
    };
    let y = match &y.values {
        Values::I64(v) => v.clone(),
        Values::U64(v) => v.iter().map(|&v| v as i64).collect(),
        _ => panic!("labels are integers"),
    };
    Split { width: x.len() / samples, x, y }
}

fn file(split: &Split) -> DataFile {
    DataFile::new("data.npz", files::npz(split.width, &split.x, Some(&split.y)))
}

fn convert(s: &Settings, seed: u64, on_test: bool) -> Artifacts {
    let mut config = s.config.clone();
    config.insert("seed".into(), json!(seed));
    config.entry("budgets").or_insert_with(|| json!(s.budgets));
    if s.random {
        config.insert("teacher_weight".into(), json!(0));
    }
    let config = JobConfig::from_json(Value::Object(config).to_string().as_bytes()).expect("a configuration");
    let model = if s.random { random_weights(&s.model, seed) } else { s.model.clone() };
    let validation = on_test.then(|| file(&s.test));
    let inputs = |n: usize| DataFile::new("x.npz", files::npz(s.train.width, &s.train.x[..n * s.train.width], None));
    let calibration = s.unlabelled.map_or_else(|| file(&s.train), inputs);
    let train = s.unlabelled.is_none().then(|| file(&s.train));
    let job = Job { model, calibration, train, validation, config };
    run(&job, &mut |_| {}, &AtomicBool::new(false)).expect("a conversion")
}

/// Test accuracy and EBOPs of the members of the front.
fn points(s: &Settings, done: &Artifacts, on_test: bool) -> Vec<Point> {
    let point = |p: &ParetoPoint| {
        let metric = p.figures.metric.expect("a metric");
        let test = if on_test { metric } else { tested(s, done, p.number) };
        let (v1, hgq2, luts) = (p.ebops as f64, p.ebops_hgq2 as f64, p.hardware.luts as f64);
        let size = match s.count {
            "ebops" => v1,
            "luts" => luts,
            _ => hgq2,
        };
        Point { size, v1, hgq2, luts, metric, within: p.chosen_within.clone(), test }
    };
    done.report.pareto.iter().map(point).collect()
}

#[derive(serde::Serialize)]
struct Point {
    /// In the count of the budgets.
    #[serde(skip)]
    size: f64,
    #[serde(rename = "ebops")]
    v1: f64,
    #[serde(rename = "ebops_hgq2")]
    hgq2: f64,
    luts: f64,
    /// What it was chosen by.
    metric: f64,
    /// The budgets that the program chose it for.
    within: Vec<f64>,
    test: f64,
}

fn tested(s: &Settings, done: &Artifacts, number: usize) -> f64 {
    let Some(member) = done.pareto.iter().find(|p| p.number == number) else { return 0.0 };
    let program = Program::from_bytes(&member.proxy).expect("a proxy");
    let ran = program.run(&[&s.test.x], s.test.y.len()).expect("runs");
    let outputs = ran.outputs[0].to_f64();
    let rows = outputs.chunks_exact(outputs.len() / s.test.y.len());
    rows.zip(&s.test.y).filter(|(row, y)| predicted(row) as i64 == **y).count() as f64 / s.test.y.len() as f64
}

/// The best member within a budget, or the one that the program chose.
fn within(points: &[Point], budget: f64, on_test: bool) -> Option<&Point> {
    let best = points.iter().filter(|p| p.size <= budget).max_by(|a, b| a.metric.total_cmp(&b.metric));
    let largest = |p: &Point| p.within.iter().copied().fold(0.0, f64::max);
    let chosen =
        points.iter().filter(|p| !p.within.is_empty() && p.size <= budget).max_by(|a, b| largest(a).total_cmp(&largest(b)));
    if on_test { best } else { chosen.or(best) }
}

/// The model with Glorot-uniform weights and biases of 0.
fn random_weights(model: &[u8], seed: u64) -> Vec<u8> {
    let mut model = codec::decode(model, &Limits::default()).expect("a model");
    let mut rng = Rng::new(seed);
    for proto in model.graph.iter_mut().flat_map(|g| &mut g.initializer) {
        let tensor = Tensor::from_proto(proto).expect("a tensor");
        let taps: usize = tensor.shape.iter().skip(2).product();
        let fans = tensor.shape.iter().take(2).sum::<usize>() * taps;
        let limit = if tensor.shape.len() > 1 { (6.0 / fans as f64).sqrt() } else { 0.0 };
        let values = (0..tensor.len()).map(|_| ((2.0 * rng.unit() - 1.0) * limit) as f32).collect();
        let name = proto.name().to_string();
        *proto = Tensor::f32(tensor.shape, values).to_proto(&name);
    }
    codec::encode(&model)
}
