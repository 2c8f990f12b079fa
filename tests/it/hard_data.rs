//! Data and models that are legal but unusual: outliers, tiny and huge numbers, regression, a
//! single logit.

use crate::support::jobs::normal;
use crate::support::jobs::{Samples, accuracy, config, convert, outputs};
use crate::support::onnx::Net;
use hgq_onnx::data::Rng;
use hgq_onnx::onnx::{Tensor, codec};

/// `inputs → 12 (Relu) → outputs` with random weights; the first layer divides by `input_scale`,
/// the last multiplies by `output_scale`.
fn mlp(inputs: usize, outputs: usize, input_scale: f64, output_scale: f64) -> Vec<u8> {
    const HIDDEN: usize = 12;
    let mut net = Net::new(13, &[1, inputs as i64]);
    let mut rng = Rng::new(3);
    let mut tensor = |shape: Vec<usize>, scale: f64| {
        let n = shape.iter().product();
        Tensor::f32(shape, (0..n).map(|_| (normal(&mut rng) * scale) as f32).collect())
    };
    net.constant("w1", tensor(vec![inputs, HIDDEN], 1.0 / (input_scale * (inputs as f64).sqrt())));
    net.constant("b1", tensor(vec![HIDDEN], 0.2));
    net.constant("w2", tensor(vec![HIDDEN, outputs], output_scale / (HIDDEN as f64).sqrt()));
    net.constant("b2", tensor(vec![outputs], 0.1 * output_scale));
    net.node("Gemm", &["@", "w1", "b1"], "h", &[]).node("Relu", &["@"], "r", &[]).node("Gemm", &["@", "w2", "b2"], "y", &[]);
    codec::encode(&net.model())
}

fn features(samples: usize, width: usize, scale: f64) -> Vec<f32> {
    let mut rng = Rng::new(17);
    (0..samples * width).map(|_| (normal(&mut rng) * scale) as f32).collect()
}

/// Outputs of the source itself.
fn source_outputs(model: &[u8], x: &[f32], width: usize) -> Vec<f64> {
    let graph = hgq_onnx::graph::import::import(&codec::decode(model, &Default::default()).unwrap()).unwrap().graph;
    hgq_onnx::graph::eval::run(&graph, &[x], x.len() / width, &graph.outputs).unwrap().remove(0)
}

#[test]
fn one_outlier_widens_the_input_port() {
    let model = mlp(4, 3, 1.0, 1.0);
    let mut x = features(400, 4, 1.0);
    x[41] = 1e6;
    let data = Samples { width: 4, x: &x, y: None };
    let done = convert(&model, &data, None, config(r#"{"epochs": 20, "threads": 1}"#)).unwrap();
    assert_eq!(done.report["verification"]["mismatches"], 0);
    assert!(done.ebops > 0);
    let port = done.report["hls4ml"]["input_port"].as_str().unwrap();
    let integer: i32 = port.trim_start_matches("fixed<").trim_end_matches('>').split_once(',').unwrap().1.parse().unwrap();
    assert!(integer >= 21, "{port} holds no 1e6");
    assert!(done.report["warnings"].as_array().unwrap().iter().any(|w| w["code"] == "input_port"));
    // who verifies the file reads the port from it
    assert_eq!(outputs(&done.proxy, &x).1.len(), 1200);
}

#[test]
fn inputs_too_large_for_any_port_are_refused() {
    let mut x = features(50, 4, 1.0);
    x[7] = 1e30;
    let error =
        convert(&mlp(4, 3, 1.0, 1.0), &Samples { width: 4, x: &x, y: None }, None, config(r#"{"epochs": 0}"#)).unwrap_err();
    assert_eq!((error.exit_status(), error.to_string().contains("index 7")), (3, true), "{error}");
}

#[test]
fn tiny_inputs_keep_their_information() {
    for scale in [1e-3, 1e-2, 1e3] {
        let model = mlp(6, 3, scale, 3.0);
        let x = features(600, 6, scale);
        let data = Samples { width: 6, x: &x, y: None };
        let done =
            convert(&model, &data, None, config(r#"{"epochs": 40, "target_ebops": 3000, "threads": 1, "metric": "agreement"}"#))
                .unwrap();
        assert!(done.ebops > 300, "{scale}: {} EBOPs", done.ebops);
        let agreement = done.report["proxy"]["metric"].as_f64().unwrap();
        assert!(agreement > 0.9, "{scale}: agreement {agreement}");
    }
}

#[test]
fn regression_reaches_its_target_at_any_magnitude() {
    for scale in [1e-3, 1.0, 100.0] {
        let model = mlp(6, 1, 1.0, scale);
        let x = features(600, 6, 1.0);
        let data = Samples { width: 6, x: &x, y: None };
        let done = convert(&model, &data, None, config(r#"{"epochs": 150, "target_ebops": 700, "threads": 1}"#)).unwrap();
        assert_eq!(done.report["metric"], "relative_error");
        let unexplained = done.report["proxy"]["metric"].as_f64().unwrap().powi(2);
        assert!(
            done.ebops <= 700 && done.ebops > 50 && unexplained < 0.1,
            "{scale}: {} EBOPs, {unexplained} unexplained",
            done.ebops
        );
    }
}

#[test]
fn zeros_and_ones_for_one_logit_are_classes() {
    let model = mlp(6, 1, 1.0, 4.0);
    let x = features(600, 6, 1.0);
    let y: Vec<i64> = source_outputs(&model, &x, 6).iter().map(|&v| i64::from(v > 0.0)).collect();
    let data = Samples { width: 6, x: &x, y: Some(&y) };
    let done = convert(&model, &data, Some(&data), config(r#"{"epochs": 60, "target_ebops": 1000, "threads": 1}"#)).unwrap();
    assert_eq!(done.report["metric"], "accuracy");
    assert_eq!(done.report["source"]["metric"], 1.0);
    let accuracy = accuracy(&outputs(&done.proxy, &x).1, &y);
    assert!(accuracy > 0.93, "{accuracy}");
}

#[test]
fn an_entry_of_layers_that_matches_nothing_is_reported() {
    let x = features(50, 4, 1.0);
    let done = convert(
        &mlp(4, 3, 1.0, 1.0),
        &Samples { width: 4, x: &x, y: None },
        None,
        config(r#"{"epochs": 2, "layers": [{"match": "h", "freeze": true}, {"match": "nope", "freeze": true}]}"#),
    )
    .unwrap();
    let told: Vec<&str> = done.report["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|w| w["code"] == "layers_unmatched")
        .filter_map(|w| w["message"].as_str())
        .collect();
    assert!(told.len() == 1 && told[0].contains("nope"), "{told:?}");
}
