//! Many small jobs of every kind and goal: all of them end, what is called reached is reached when
//! it is computed again from the proxy's integers, and no model with one answer for everything is
//! chosen while the front has another.

use crate::support::files::npz_of;
use crate::support::made::{Made, run};
use crate::support::onnx::Net;
use hgq_onnx::convert::task::metric::predicted;
use hgq_onnx::convert::{DataFile, Error, Job, JobConfig};
use hgq_onnx::data::Rng;
use hgq_onnx::verify::fixed::Program;
use prost::Message;
use serde_json::Value;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const JOBS: usize = 500;
/// A job of these takes a fraction of a second; one that takes so long on a busy machine has no
/// end.
const LIMIT: Duration = Duration::from_secs(60);
/// Rows below which training rows decide, too.
const FEW: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Task {
    /// A single logit.
    Binary,
    Classes(usize),
    Values(usize),
}

impl Task {
    fn width(self) -> usize {
        match self {
            Task::Binary => 1,
            Task::Classes(n) | Task::Values(n) => n,
        }
    }
}

/// Rows with their targets: one class, or as many values as there are outputs.
struct Rows {
    x: Vec<f32>,
    classes: Vec<i64>,
    values: Vec<f32>,
    samples: usize,
}

struct Small {
    seed: usize,
    task: Task,
    inputs: usize,
    source: Layers,
    train: Rows,
    held: Rows,
    config: Value,
}

/// `x → hidden (Relu) → outputs` with random weights, and what they compute.
struct Layers {
    inputs: usize,
    hidden: usize,
    outputs: usize,
    parts: [Vec<f32>; 4],
}

impl Layers {
    fn new(inputs: usize, hidden: usize, outputs: usize, rng: &mut Rng) -> Layers {
        let mut values = |n: usize| (0..n).map(|_| (2.0 * rng.unit() - 1.0) as f32).collect();
        Layers {
            inputs,
            hidden,
            outputs,
            parts: [values(inputs * hidden), values(hidden), values(hidden * outputs), values(outputs)],
        }
    }

    fn file(&self) -> Vec<u8> {
        let mut net = Net::new(17, &[-1, self.inputs as i64]);
        let shapes = [vec![self.inputs, self.hidden], vec![self.hidden], vec![self.hidden, self.outputs], vec![self.outputs]];
        for ((name, shape), values) in ["w1", "b1", "w2", "b2"].into_iter().zip(shapes).zip(&self.parts) {
            net.constant(name, hgq_onnx::onnx::Tensor::f32(shape, values.clone()));
        }
        net.node("Gemm", &["@", "w1", "b1"], "h", &[]).node("Relu", &["@"], "a", &[]).node("Gemm", &["@", "w2", "b2"], "y", &[]);
        net.model().encode_to_vec()
    }

    fn run(&self, x: &[f32]) -> Vec<f64> {
        let [w1, b1, w2, b2] = &self.parts;
        let layer = |x: &[f64], w: &[f32], b: &[f32]| -> Vec<f64> {
            let of = |o: usize| x.iter().enumerate().map(|(i, v)| v * f64::from(w[i * b.len() + o])).sum::<f64>();
            (0..b.len()).map(|o| of(o) + f64::from(b[o])).collect()
        };
        x.chunks(self.inputs)
            .flat_map(|row| {
                let row: Vec<f64> = row.iter().map(|&v| f64::from(v)).collect();
                let hidden: Vec<f64> = layer(&row, w1, b1).into_iter().map(|v| v.max(0.0)).collect();
                layer(&hidden, w2, b2)
            })
            .collect()
    }
}

/// Samples whose targets are the answers of `truth`, some of them wrong; class 0 has about the
/// share `bias` more than it would.
fn rows(samples: usize, task: Task, truth: &Layers, bias: f64, rng: &mut Rng) -> Rows {
    let x: Vec<f32> = (0..samples * truth.inputs).map(|_| ((2.0 * rng.unit() - 1.0) * 256.0).round() as f32 / 256.0).collect();
    let out = truth.run(&x);
    let mut found = Rows { x, classes: Vec::new(), values: Vec::new(), samples };
    for row in out.chunks(task.width()) {
        match task {
            Task::Binary => found.classes.push(i64::from(row[0] - bias > 0.0)),
            Task::Classes(n) => {
                let mut row = row.to_vec();
                row[0] += bias;
                let noisy = rng.unit() < 0.03;
                found.classes.push(if noisy { rng.below(n as u64) as i64 } else { predicted(&row) as i64 });
            }
            Task::Values(_) => found.values.extend(row.iter().map(|&v| (v + 0.1 * (rng.unit() - 0.5)) as f32)),
        }
    }
    found
}

fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.below(from.len() as u64) as usize]
}

/// The goal and settings of a job.
fn config(rng: &mut Rng, seed: usize) -> Value {
    let epochs = pick(rng, &[0, 5, 8, 12, 20, 30]);
    let mut config =
        serde_json::json!({ "threads": 1, "seed": seed % 7, "epochs": epochs, "batch_size": pick(rng, &[16, 32, 64]) });
    // from a single EBOP up
    let ebops = (rng.unit() * 2500f64.ln()).exp().round().max(1.0);
    let drop = pick(rng, &[0.0, 0.01, 0.1, 0.5]);
    match rng.below(7) {
        0 => {}
        1 | 2 => config["target_ebops"] = ebops.into(),
        3 => config["budgets"] = serde_json::json!([ebops, (ebops / 3.0).max(1.0)]),
        4 => config["max_metric_drop"] = drop.into(),
        5 => {
            config["target_ebops"] = ebops.into();
            config["max_metric_drop"] = drop.into();
        }
        _ => {
            config = serde_json::json!({ "threads": 1, "mode": "calibrate" });
            match rng.below(4) {
                0 => config["max_output_error"] = pick(rng, &[1e-4, 0.01, 0.3, 3.0]).into(),
                1 => config["target_ebops"] = ebops.into(),
                2 => config["max_metric_drop"] = drop.into(),
                _ => {}
            }
        }
    }
    if config["mode"].is_null() && rng.below(6) == 0 {
        config["quantizers"] = pick(rng, &["hgq2_kif", "hgq2_kbi"]).into();
    }
    if rng.below(5) == 0 {
        config["init_bits"] = serde_json::json!({ "weights": pick(rng, &[-1, 0, 2]), "activations": pick(rng, &[-1, 1, 4]) });
    }
    config
}

fn small(seed: usize) -> Small {
    let mut rng = Rng::new(1000 + seed as u64);
    let task = match rng.below(4) {
        0 => Task::Binary,
        1 => Task::Classes(2),
        2 => Task::Classes(3 + rng.below(2) as usize),
        _ => Task::Values(1 + rng.below(2) as usize),
    };
    let (inputs, hidden) = (2 + rng.below(7) as usize, 2 + rng.below(11) as usize);
    let source = Layers::new(inputs, hidden, task.width(), &mut rng);
    // most sources know the answers, some are as yet untrained
    let other = Layers::new(inputs, hidden, task.width(), &mut rng);
    let truth = if rng.below(4) == 0 { &other } else { &source };
    let bias = pick(&mut rng, &[0.0, 0.0, 0.5, 1.5]);
    let (samples, held) = (100 + rng.below(200) as usize, if rng.below(3) == 0 { 24 } else { FEW + rng.below(100) as usize });
    let train = rows(samples, task, truth, bias, &mut rng);
    let held = rows(held, task, truth, bias, &mut rng);
    Small { seed, task, inputs, source, train, held, config: config(&mut rng, seed) }
}

impl Small {
    fn file(&self, rows: &Rows) -> DataFile {
        let x = ("x", self.inputs, &rows.x[..]);
        let bytes = match self.task {
            Task::Values(width) => npz_of(&[x, ("y", width, &rows.values)], &[]),
            Task::Binary | Task::Classes(_) => npz_of(&[x], &[("y", &rows.classes)]),
        };
        DataFile::new("data.npz", bytes)
    }

    fn calibrates(&self) -> bool {
        !self.config["mode"].is_null()
    }

    fn job(&self) -> Job {
        Job {
            model: self.source.file(),
            calibration: DataFile::new("calibration.npz", npz_of(&[("x", self.inputs, &self.train.x)], &[])),
            train: (!self.calibrates()).then(|| self.file(&self.train)),
            validation: Some(self.file(&self.held)),
            config: JobConfig::from_json(self.config.to_string().as_bytes()).unwrap(),
        }
    }

    /// The rows that the job was judged on, as its report says.
    fn judged(&self, report: &Value) -> Rows {
        let mut rows = Rows { x: Vec::new(), classes: Vec::new(), values: Vec::new(), samples: 0 };
        let pooled = report["choice"]["judged_on"] == "validation and training samples";
        assert!(!pooled || !self.calibrates());
        for part in [&self.held].into_iter().chain(pooled.then_some(&self.train)) {
            rows.x.extend(&part.x);
            rows.classes.extend(&part.classes);
            rows.values.extend(&part.values);
            rows.samples += part.samples;
        }
        assert_eq!(report["choice"]["samples"], rows.samples);
        rows
    }

    /// The metric of these outputs, larger is better.
    fn metric(&self, name: &str, out: &[f64], rows: &Rows) -> f64 {
        let answers = || out.chunks(self.task.width()).map(|row| predicted(row) as i64);
        let share = |class: Option<i64>| {
            let of = || answers().zip(&rows.classes).filter(|(_, y)| class.is_none_or(|c| c == **y));
            of().filter(|(a, y)| a == *y).count() as f64 / of().count() as f64
        };
        match name {
            "accuracy" => share(None),
            "balanced_accuracy" => {
                let classes: Vec<i64> = (0..9).filter(|c| rows.classes.contains(c)).collect();
                classes.iter().map(|&c| share(Some(c))).sum::<f64>() / classes.len() as f64
            }
            "mse" => -out.iter().zip(&rows.values).map(|(a, &b)| (a - f64::from(b)).powi(2)).sum::<f64>() / out.len() as f64,
            other => panic!("metric {other}"),
        }
    }

    /// Whether all samples get one answer where the source has several: one class, or the same
    /// values.
    fn is_constant(&self, name: &str, out: &[f64], source: &[f64]) -> bool {
        let width = self.task.width();
        let class = |row: &[f64]| vec![predicted(row) as f64];
        let values = |row: &[f64]| row.to_vec();
        let same = |key: &dyn Fn(&[f64]) -> Vec<f64>, out: &[f64]| out.chunks(width).all(|row| key(row) == key(&out[..width]));
        let lost = |key: &dyn Fn(&[f64]) -> Vec<f64>| same(key, out) && !same(key, source);
        (name != "mse" && lost(&class)) || lost(&values)
    }
}

fn outputs(proxy: &[u8], rows: &Rows) -> Vec<f64> {
    let ran = Program::from_bytes(proxy).unwrap().run(&[&rows.x], rows.samples).unwrap();
    ran.outputs[0].to_f64()
}

/// What is wrong with the outcome of a job.
fn faults(small: &Small, done: &Made) -> Vec<String> {
    let report = &done.report;
    let rows = small.judged(report);
    let name = report["metric"].as_str().unwrap();
    let (out, from) = (outputs(&done.proxy, &rows), small.source.run(&rows.x));
    let (metric, was) = (small.metric(name, &out, &rows), small.metric(name, &from, &rows));
    let mut faults = Vec::new();
    let mut need = |ok: bool, what: String| {
        if !ok {
            faults.push(what);
        }
    };
    let shown = if name == "mse" { -metric } else { metric };
    let told = report["proxy"]["metric"].as_f64().unwrap();
    need((told - shown).abs() < 1e-9 * shown.abs().max(1.0), format!("the report says {name} {told}, it is {shown}"));
    let by_layer: f64 = report["layers"].as_array().unwrap().iter().filter_map(|l| l["ebops"].as_f64()).sum();
    need(by_layer == done.ebops as f64, format!("{} EBOPs, by layer {by_layer}", done.ebops));
    need(report["target"]["met"] == done.unmet.is_none(), "met or not met".into());
    let constant = small.is_constant(name, &out, &from);
    let others = || done.pareto.iter().filter(|p| !small.is_constant(name, &outputs(&p.proxy, &rows), &from));
    need(!constant || done.unmet.is_some(), "one answer for everything, and called met".into());
    need(!constant || others().next().is_none(), "one answer for everything, and the front has another".into());
    let goal = |field: &str| small.config[field].as_f64();
    let reached = |ebops: f64, metric: f64| {
        let drop = goal("max_metric_drop").is_none_or(|drop| metric >= was - drop - 1e-6 * was.abs().max(1.0));
        goal("target_ebops").is_none_or(|target| ebops <= target) && drop
    };
    match &done.unmet {
        None => {
            need(reached(done.ebops as f64, metric), format!("{} EBOPs, {name} {metric} of {was}: not met", done.ebops));
            if let Some(bound) = goal("max_output_error") {
                let error = output_error(&out, &from, small.task.width());
                need(error <= bound * (1.0 + 1e-5), format!("output error {error}"));
            }
        }
        Some(why) => {
            let asked = ["target_ebops", "max_metric_drop", "max_output_error"].iter().any(|f| goal(f).is_some());
            need(asked || constant, format!("nothing was asked for, and it is not met: {why}"));
            if goal("max_output_error").is_none() && asked {
                for p in others() {
                    let entry = &report["pareto"][p.number];
                    let metric = small.metric(name, &outputs(&p.proxy, &rows), &rows);
                    let ebops = entry["ebops"].as_f64().unwrap();
                    // what the search allows for rounding is not counted here
                    let clearly = goal("max_metric_drop").is_none_or(|drop| metric >= was - drop + 1e-6 * was.abs().max(1.0));
                    need(!(reached(ebops, metric) && clearly), format!("{why}: but {entry} does"));
                }
            }
        }
    }
    faults
}

/// Mean squared difference from the source, in units of the mean variance of the source's outputs.
fn output_error(out: &[f64], source: &[f64], width: usize) -> f64 {
    let n = (source.len() / width) as f64;
    let variance = |c: usize| {
        let column = || source.iter().skip(c).step_by(width);
        let mean = column().sum::<f64>() / n;
        column().map(|v| (v - mean).powi(2)).sum::<f64>() / n
    };
    let spread = (0..width).map(variance).sum::<f64>() / width as f64;
    out.iter().zip(source).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / out.len() as f64 / spread
}

/// Runs all jobs on the cores of the machine; a job that has no end is canceled.
fn all(jobs: usize, each: impl Fn(usize, &AtomicBool) -> Option<String> + Sync) -> Vec<String> {
    let (next, ended, found) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::new(Vec::new()));
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get()).min(8);
    let running: Vec<(Mutex<Option<Instant>>, AtomicBool)> = (0..workers).map(|_| Default::default()).collect();
    std::thread::scope(|scope| {
        let work = |(since, cancel): &(Mutex<Option<Instant>>, AtomicBool)| {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= jobs {
                    return;
                }
                *since.lock().unwrap() = Some(Instant::now());
                found.lock().unwrap().extend(each(seed, cancel));
                *since.lock().unwrap() = None;
                cancel.store(false, Ordering::Relaxed);
            }
        };
        let threads: Vec<_> = running.iter().map(|r| scope.spawn(move || work(r))).collect();
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                for (since, cancel) in &running {
                    if since.lock().unwrap().is_some_and(|s| s.elapsed() > LIMIT) {
                        cancel.store(true, Ordering::Relaxed);
                    }
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let joined: Vec<_> = threads.into_iter().map(|t| t.join()).collect();
        ended.store(true, Ordering::Relaxed);
        joined.into_iter().for_each(|j| j.unwrap());
    });
    found.into_inner().unwrap()
}

#[test]
fn small_jobs_end_and_keep_their_word() {
    let kinds = Mutex::new(std::collections::BTreeMap::<String, usize>::new());
    let wrong = all(JOBS, |seed, cancel| {
        let small = small(seed);
        let told = |what: String| Some(format!("job {} ({:?}, {}): {what}", small.seed, small.task, small.config));
        match run(&small.job(), &mut |_| {}, cancel) {
            Ok(done) => {
                let mut kinds = kinds.lock().unwrap();
                let met = if done.unmet.is_none() { "met" } else { "not met" };
                *kinds.entry(met.into()).or_default() += 1;
                *kinds.entry(done.report["metric"].to_string()).or_default() += 1;
                *kinds.entry(done.report["choice"]["judged_on"].to_string()).or_default() += 1;
                drop(kinds);
                let faults = faults(&small, &done);
                if faults.is_empty() { None } else { told(faults.join("; ")) }
            }
            Err(Error::Canceled) => told(format!("no end in {LIMIT:?}")),
            Err(e) => told(e.to_string()),
        }
    });
    assert!(wrong.is_empty(), "{} of {JOBS}:\n{}", wrong.len(), wrong.join("\n"));
    // every way of judging came up
    let kinds = kinds.into_inner().unwrap();
    for (kind, least) in [
        ("met", 100),
        ("not met", 50),
        ("\"accuracy\"", 50),
        ("\"balanced_accuracy\"", 20),
        ("\"mse\"", 50),
        ("\"validation samples\"", 100),
        ("\"validation and training samples\"", 50),
    ] {
        assert!(kinds.get(kind).copied().unwrap_or(0) >= least, "{kind}: {kinds:?}");
    }
}
