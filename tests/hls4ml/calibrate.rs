//! Calibration-only conversion: a float network and unlabelled inputs go in, a small proxy comes
//! out in seconds, without training.

use crate::support::cases::{self, Case};
use crate::support::files::npz_of;
use crate::support::files::{fixture, images};
use crate::support::jobs::normal;
use crate::support::jobs::{Samples, accuracy, config, convert, outputs};
use crate::support::made::{Made, run};
use crate::support::onnx::{Attr, Net, info};
use crate::support::reference::{Arrays, shared};
use hgq_onnx::convert::{DataFile, Error, Job, JobConfig};
use hgq_onnx::data::Rng;
use hgq_onnx::onnx::{Tensor, codec};
use hgq_onnx::verify::fixed::Program;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// EBOPs of the reported front, in its order.
fn front(done: &Made) -> Vec<(u64, f64)> {
    let points = done.report["pareto"].as_array().unwrap();
    points.iter().map(|p| (p["ebops"].as_u64().unwrap(), p["metric"].as_f64().unwrap())).collect()
}

#[test]
#[ignore = "needs ../shared"]
fn a_thousand_unlabelled_digits_are_enough() {
    let (Some(model), Some(data)) = (shared("models/float/digits_mlp_64-32-32-10.onnx"), shared("data/digits.npz")) else {
        return;
    };
    let (model, data) = (std::fs::read(model).unwrap(), Arrays::load(&data));
    let x = data.f32("x_train");
    let calibration = Samples { width: 64, x: &x[..1000 * 64], y: None };
    let since = Instant::now();
    let done =
        convert(&model, &calibration, None, config(r#"{"mode": "calibrate", "target_ebops": 8000, "metric": "agreement"}"#))
            .unwrap();
    let seconds = since.elapsed().as_secs_f64();
    let reached = accuracy(&outputs(&done.proxy, &data.f32("x_test")).1, &data.labels("y_test"));
    assert!(done.ebops <= 8000 && reached >= 0.94, "test accuracy {reached} at {} EBOPs", done.ebops);
    // other tests share the machine; the promise is for the release build
    assert!(cfg!(debug_assertions) || seconds < 5.0, "{seconds} s");
}

#[test]
#[ignore = "needs hls4ml"]
fn the_front_holds_its_accuracy_and_hls4ml_computes_it() {
    let model = std::fs::read(fixture("digits/digits_mlp.onnx")).unwrap();
    let (train, test) = (Arrays::load(&fixture("digits/train.npz")), Arrays::load(&fixture("digits/test.npz")));
    let (x, x_test, y_test) = (train.f32("x"), test.f32("x"), test.labels("y"));
    let calibration = Samples { width: 64, x: &x[..800 * 64], y: None };
    let job = r#"{"mode": "calibrate", "target_ebops": 6500, "threads": 1, "metric": "agreement"}"#;
    let done = convert(&model, &calibration, None, config(job)).unwrap();
    let reached = accuracy(&outputs(&done.proxy, &x_test).1, &y_test);
    assert!((5500..=6500).contains(&done.ebops) && reached >= 0.93, "test accuracy {reached} at {} EBOPs", done.ebops);
    assert_eq!(done.report["verification"]["mismatches"], 0);
    assert_eq!(done.report["data"]["validation"], "calibration samples");
    let points = front(&done);
    assert!(points.len() >= 6 && points.windows(2).all(|p| p[0].0 < p[1].0 && p[0].1 < p[1].1), "{points:?}");
    assert!(points[0].0 < 2000 && points.last().unwrap().1 > 0.98, "{points:?}");
    // any of the front is emitted, and is what the report says
    let (ebops, metric) = points[points.len() / 2];
    let source = accuracy(&outputs(&done.pareto[points.len() / 2].proxy, &x_test).1, &y_test);
    assert!((source - metric).abs() < 0.05, "{source} on the test data, {metric} agreement at {ebops} EBOPs");
    assert_eq!(convert(&model, &calibration, None, config(job)).unwrap().proxy, done.proxy, "the same job, other bytes");
    cases::judge(&[Case::new("calibrated digits", &done.proxy, &x_test, 64)]);
}

#[test]
#[ignore = "needs hls4ml"]
fn a_convolutional_network_is_calibrated_too() {
    let model = std::fs::read(fixture("digits/digits_cnn.onnx")).unwrap();
    let (train, test) = (Arrays::load(&fixture("digits/train.npz")), Arrays::load(&fixture("digits/test.npz")));
    let (x, x_test, y_test) = (train.f32("x"), test.f32("x"), test.labels("y"));
    let calibration = Samples { width: 64, x: &x[..500 * 64], y: None };
    let eight = config(r#"{"epochs": 0, "init_bits": {"weights": 8, "activations": 8}}"#);
    let target = convert(&model, &calibration, None, eight).unwrap().ebops / 4;
    let job = format!(r#"{{"mode": "calibrate", "target_ebops": {target}, "threads": 2, "metric": "agreement"}}"#);
    let done = convert(&model, &calibration, None, config(&job)).unwrap();
    let reached = accuracy(&outputs(&done.proxy, &x_test).1, &y_test);
    assert!(done.ebops <= target && reached >= 0.94, "test accuracy {reached} at {} EBOPs of {target}", done.ebops);
    cases::judge(&[Case::new("calibrated cnn", &done.proxy, &x_test[..100 * 64], 64)]);
}

/// Two inputs of 6, concatenated; 16 hidden units; two outputs of 2 and 1, the second scaled by 3.
fn regression() -> Vec<u8> {
    let mut net = Net::new(13, &[1, 6]);
    net.graph.input.push(info("other", &[1, 6]));
    let mut rng = Rng::new(3);
    let mut tensor = |shape: Vec<usize>, scale: f64| {
        let n = shape.iter().product();
        Tensor::f32(shape, (0..n).map(|_| (normal(&mut rng) * scale) as f32).collect())
    };
    net.constant("w1", tensor(vec![12, 16], 0.3)).constant("b1", tensor(vec![16], 0.2));
    net.constant("w2", tensor(vec![16, 2], 0.25)).constant("b2", tensor(vec![2], 0.1));
    net.constant("w3", tensor(vec![16, 1], 0.75)).constant("b3", tensor(vec![1], 0.1));
    net.node("Concat", &["x", "other"], "both", &[("axis", Attr::I(1))]);
    net.node("Gemm", &["both", "w1", "b1"], "h", &[]).node("Relu", &["h"], "r", &[]);
    net.node("Gemm", &["r", "w2", "b2"], "first", &[]).node("Gemm", &["r", "w3", "b3"], "second", &[]);
    let mut model = net.model();
    let output = model.graph.as_ref().unwrap().output[0].clone();
    let graph = model.graph.as_mut().unwrap();
    graph.output = ["first", "second"]
        .map(|name| hgq_onnx::onnx::proto::ValueInfoProto { name: Some(name.into()), ..output.clone() })
        .to_vec();
    codec::encode(&model)
}

/// Calibration inputs by name.
fn two_inputs(x: &[f32], other: &[f32]) -> DataFile {
    DataFile::new("calibration.npz", npz_of(&[("x", 6, x), ("other", 6, other)], &[]))
}

/// Relative output error as the configuration defines it, from the proxy's integers and the
/// imported graph's floats.
fn output_error(model: &[u8], proxy: &[u8], inputs: &[&[f32]], samples: usize) -> f64 {
    let graph = hgq_onnx::graph::import::import(&codec::decode(model, &Default::default()).unwrap()).unwrap().graph;
    let want = hgq_onnx::graph::eval::run(&graph, inputs, samples, &graph.outputs).unwrap();
    let program = Program::from_bytes(proxy).unwrap();
    // the proxy may have inputs and outputs in another order
    let named = |name: &str| graph.inputs.iter().position(|&i| graph.values[i].name == name).map(|at| inputs[at]);
    let ordered: Vec<&[f32]> = program.inputs().iter().map(|i| named(&i.name).expect("an input of the source")).collect();
    let ran = program.run(&ordered, samples).unwrap();
    let (mut squares, mut variance, mut count) = (0.0, 0.0, 0);
    for want in &want {
        let width = want.len() / samples;
        let got = ran.outputs.iter().find(|o| o.to_f64().len() == want.len()).expect("an output as wide");
        squares += want.iter().zip(got.to_f64()).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        for c in 0..width {
            let column = || want.iter().skip(c).step_by(width);
            let mean = column().sum::<f64>() / samples as f64;
            variance += column().map(|v| (v - mean).powi(2)).sum::<f64>();
        }
        count += width;
    }
    assert_eq!(count, 3);
    squares / variance
}

#[test]
fn regression_with_several_inputs_and_outputs_keeps_the_error_asked_for() {
    let model = regression();
    let mut rng = Rng::new(5);
    let mut features = || (0..400 * 6).map(|_| normal(&mut rng) as f32).collect::<Vec<f32>>();
    let (x, other) = (features(), features());
    let job = |json: &str| Job {
        model: model.clone(),
        calibration: two_inputs(&x, &other),
        train: None,
        validation: None,
        config: config(json),
    };
    let go = |json: &str| run(&job(json), &mut |_| {}, &AtomicBool::new(false));
    let mut sizes = Vec::new();
    for bound in [1e-1, 1e-2, 1e-3] {
        let done = go(&format!(r#"{{"mode": "calibrate", "max_output_error": {bound}}}"#)).unwrap();
        let error = output_error(&model, &done.proxy, &[&x, &other], 400);
        // close to the bound: nothing much smaller would do
        assert!(error <= bound && error > 0.3 * bound, "{error} for {bound} at {} EBOPs", done.ebops);
        assert_eq!(done.ebops, front(&done)[0].0, "not the smallest within the bound");
        sizes.push(done.ebops);
    }
    assert!(sizes[0] < sizes[1] && sizes[1] < sizes[2], "{sizes:?}");
    // out of reach: said, and the nearest is there all the same
    let done = go(r#"{"mode": "calibrate", "max_output_error": 0}"#).unwrap();
    assert!(done.unmet.as_ref().is_some_and(|why| why.contains("max_output_error 0")), "{:?}", done.unmet);
    assert!(output_error(&model, &done.proxy, &[&x, &other], 400) < 1e-3);
    let done = go(r#"{"mode": "calibrate", "max_output_error": 1e-3, "target_ebops": 1}"#).unwrap();
    assert!(done.unmet.as_ref().is_some_and(|why| why.contains("target_ebops 1")), "{:?}", done.unmet);
}

#[test]
fn annotations_are_upper_limits() {
    let model = std::fs::read(fixture("import/jet_mlp_w4a6_int32bias_qonnx.onnx")).unwrap();
    let mut rng = Rng::new(7);
    let x: Vec<f32> = (0..500 * 16).map(|_| normal(&mut rng) as f32).collect();
    let calibration = Samples { width: 16, x: &x, y: None };
    let whole = convert(&model, &calibration, None, config(r#"{"epochs": 0}"#)).unwrap().ebops;
    let done =
        convert(&model, &calibration, None, config(r#"{"mode": "calibrate", "max_metric_drop": 0.05, "metric": "agreement"}"#))
            .unwrap();
    assert!(done.ebops < whole, "{} EBOPs of {whole}", done.ebops);
    // with all prices the largest candidate is not a larger than the file itself
    let points = front(&done);
    assert!(points.iter().all(|p| p.0 <= whole), "{points:?} of {whole}");
    assert!(points.last().unwrap().1 > 0.97, "{points:?}");
}

#[test]
fn what_has_no_meaning_without_training_is_an_error() {
    let json = br#"{"mode": "calibrate", "epochs": 10, "loss": "mse", "batch_size": 4, "beta": {"start": 1e-6, "end": 1e-3}}"#;
    let faults = JobConfig::from_json(json).unwrap_err();
    for field in ["epochs", "loss", "batch_size", "beta"] {
        assert!(faults.iter().any(|f| f.contains(&format!("{field}: mode calibrate"))), "{field} in {faults:?}");
    }
    assert_eq!(faults.len(), 4, "{faults:?}");
    let faults = JobConfig::from_json(br#"{"max_output_error": 0.1}"#).unwrap_err();
    assert!(faults[0].contains("max_output_error") && faults[0].contains("mode calibrate"), "{faults:?}");
    let faults = JobConfig::from_json(br#"{"mode": "calibrate", "max_output_error": -1}"#).unwrap_err();
    assert!(faults[0].contains("max_output_error: not negative"), "{faults:?}");
    assert!(JobConfig::from_json(br#"{"mode": "guess"}"#).unwrap_err()[0].contains("guess"));

    // training data and a setting: both are named
    let model = std::fs::read(fixture("digits/digits_mlp.onnx")).unwrap();
    let x = images(40);
    let data = Samples { width: 64, x: &x, y: None };
    let wrong = JobConfig { epochs: 7, ..config(r#"{"mode": "calibrate"}"#) };
    let error = convert(&model, &data, Some(&data), wrong).unwrap_err();
    assert!(matches!(&error, Error::Config(faults) if faults.len() == 2), "{error}");
    assert!(error.to_string().contains("training data") && error.to_string().contains("epochs"), "{error}");
}
