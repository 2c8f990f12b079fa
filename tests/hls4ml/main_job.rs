//! The main job: a float MLP and data go in, a small proxy comes out that stock hls4ml computes to
//! the bit.

use crate::support::cases::{self, Case};
use crate::support::files::fixture;
use crate::support::jobs::{Samples, accuracy, config, convert, outputs};
use crate::support::made::Made;
use crate::support::reference::{Arrays, shared};

/// The digits fixture: network, training and test data.
struct Digits {
    model: Vec<u8>,
    x: Vec<f32>,
    y: Vec<i64>,
    x_test: Vec<f32>,
    y_test: Vec<i64>,
}

fn digits() -> Digits {
    let (train, test) = (Arrays::load(&fixture("digits/train.npz")), Arrays::load(&fixture("digits/test.npz")));
    Digits {
        model: std::fs::read(fixture("digits/digits_mlp.onnx")).unwrap(),
        x: train.f32("x"),
        y: train.labels("y"),
        x_test: test.f32("x"),
        y_test: test.labels("y"),
    }
}

/// Test data, the same four times as large (saturating) and normal floats off every grid, one after
/// another.
fn hard_inputs(x: &[f32], width: usize) -> Vec<f32> {
    let mut rng = hgq_onnx::data::Rng::new(11);
    let mut normal = || ((-2.0 * (1.0 - rng.unit()).ln()).sqrt() * (std::f64::consts::TAU * rng.unit()).cos()) as f32;
    let random: Vec<f32> = (0..500 * width).map(|_| normal()).collect();
    x.iter().copied().chain(x.iter().map(|v| v * 4.0)).chain(random).collect()
}

fn exact_in_hls4ml(name: &str, done: &Made, x: &[f32], width: usize) {
    assert_eq!(done.report["verification"]["mismatches"], 0);
    let x = hard_inputs(x, width);
    cases::judge(&[Case::new(name, &done.proxy, &x, width)]);
}

#[test]
#[ignore = "needs hls4ml"]
fn digits_reach_their_accuracy_at_their_budget() {
    let Digits { model, x, y, x_test, y_test } = digits();
    let data = Samples { width: 64, x: &x, y: Some(&y) };
    let done =
        convert(&model, &data, Some(&data), config(r#"{"epochs": 300, "batch_size": 128, "target_ebops": 5000, "threads": 2}"#))
            .unwrap();
    assert!(done.ebops <= 5000, "{} EBOPs", done.ebops);
    // each with its time
    let stages: Vec<&String> = done.report["timing"].as_object().unwrap().keys().collect();
    assert_eq!(stages, ["import", "polish", "proxy", "quantize", "report", "train"]);
    let reached = accuracy(&outputs(&done.proxy, &x_test).1, &y_test);
    assert!(reached >= 0.955, "test accuracy {reached} at {} EBOPs", done.ebops);
    let front = done.report["pareto"].as_array().unwrap();
    let small: Vec<f64> = done
        .pareto
        .iter()
        .filter(|p| front[p.number]["ebops"].as_u64().unwrap() <= 2000)
        .map(|p| accuracy(&outputs(&p.proxy, &x_test).1, &y_test))
        .collect();
    assert!(small.iter().any(|&a| a >= 0.93), "test accuracies at up to 2000 EBOPs: {small:?}");
    exact_in_hls4ml("digits", &done, &x_test, 64);
}

/// Far below what gradients reach in so few epochs: polishing takes the larger model down.
#[test]
#[ignore = "needs hls4ml"]
fn small_budgets_keep_their_accuracy() {
    let Digits { model, x, y, x_test, y_test } = digits();
    let data = Samples { width: 64, x: &x, y: Some(&y) };
    let done =
        convert(&model, &data, Some(&data), config(r#"{"epochs": 200, "batch_size": 32, "budgets": [700, 420], "threads": 2}"#))
            .unwrap();
    let front = done.report["pareto"].as_array().unwrap();
    for (budget, wanted) in [(420.0, 0.86), (700.0, 0.89)] {
        let within = |p: &serde_json::Value| p["chosen_within"].as_array().unwrap().iter().any(|b| b == budget);
        let point = front.iter().find(|p| within(p)).unwrap();
        assert!(point["ebops"].as_f64().unwrap() <= budget);
        let number = point["number"].as_u64().unwrap() as usize;
        let proxy = &done.pareto.iter().find(|p| p.number == number).unwrap().proxy;
        let reached = accuracy(&outputs(proxy, &x_test).1, &y_test);
        assert!(reached >= wanted, "test accuracy {reached} within {budget} EBOPs");
        cases::judge(&[Case::new("polished", proxy, &hard_inputs(&x_test, 64), 64)]);
    }
}

#[test]
#[ignore = "needs hls4ml and ../shared"]
fn batch_normalization_takes_the_same_path() {
    let Some(path) = shared("models/float/digits_mlp_bn.onnx") else { return };
    let model = std::fs::read(path).unwrap();
    let (train, test) = (Arrays::load(&fixture("digits/train.npz")), Arrays::load(&fixture("digits/test.npz")));
    let (x, y) = (train.f32("x"), train.labels("y"));
    let data = Samples { width: 64, x: &x, y: Some(&y) };
    let done = convert(&model, &data, Some(&data), config(r#"{"epochs": 100, "target_ebops": 5000, "threads": 2}"#)).unwrap();
    let moved = done.report["import"]["max_abs_diff_vs_source"].as_f64().unwrap();
    assert!(moved < 1e-5, "import moved the outputs by {moved}");
    let reached = accuracy(&outputs(&done.proxy, &test.f32("x")).1, &test.labels("y"));
    assert!(done.ebops <= 5000 && reached >= 0.95, "test accuracy {reached} at {} EBOPs", done.ebops);
    exact_in_hls4ml("digits with BatchNormalization", &done, &test.f32("x"), 64);
}

#[test]
#[ignore = "needs hls4ml and ../shared"]
fn jets_reach_their_accuracy_at_their_budget() {
    let Some(path) = shared("data/jets.npz") else { return };
    let model = std::fs::read(shared("models/jet_float/jsc_openml_mlp_16-64-32-32-5_float.onnx").unwrap()).unwrap();
    let jets = Arrays::load(&path);
    let (x, y) = (jets.f32("x_train"), jets.labels("y_train"));
    let data = Samples { width: 16, x: &x, y: Some(&y) };
    let done =
        convert(&model, &data, Some(&data), config(r#"{"epochs": 300, "batch_size": 4096, "target_ebops": 5000, "threads": 2}"#))
            .unwrap();
    let reached = accuracy(&outputs(&done.proxy, &jets.f32("x_test")).1, &jets.labels("y_test"));
    assert!(done.ebops <= 5000 && reached >= 0.75, "test accuracy {reached} at {} EBOPs", done.ebops);
    exact_in_hls4ml("jets", &done, &jets.f32("x_test"), 16);
}

#[test]
fn the_same_seed_and_threads_give_the_same_bytes() {
    let model = std::fs::read(fixture("digits/digits_mlp.onnx")).unwrap();
    let train = Arrays::load(&fixture("digits/train.npz"));
    let (x, y) = (train.f32("x"), train.labels("y"));
    let data = Samples { width: 64, x: &x, y: Some(&y) };
    let run = |seed: u64| {
        convert(&model, &data, Some(&data), config(&format!(r#"{{"epochs": 20, "seed": {seed}, "threads": 2}}"#))).unwrap()
    };
    let (a, b, c) = (run(3), run(3), run(4));
    assert_eq!(a.proxy, b.proxy);
    assert_ne!(a.proxy, c.proxy);
}
