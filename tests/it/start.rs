//! A conversion without training: outputs within a hundredth of the source's spread, in no more
//! EBOPs than eight bits everywhere.

use crate::support::jobs::{Samples, config, convert};
use crate::support::made::Made;
use crate::support::onnx::Net;
use hgq_onnx::data::Rng;
use hgq_onnx::onnx::Tensor;
use prost::Message;

const WIDTH: usize = 8;

/// Converts `net` on uniform data without training.
fn made(net: &Net, settings: &str) -> Made {
    made_of(net, settings, 400)
}

/// The same on so many samples.
fn made_of(net: &Net, settings: &str, samples: usize) -> Made {
    let mut rng = Rng::new(3);
    let x: Vec<f32> = (0..samples * WIDTH).map(|_| 2.0 * rng.unit() as f32 - 1.0).collect();
    let data = Samples { width: WIDTH, x: &x, y: None };
    convert(&net.model().encode_to_vec(), &data, None, config(&format!(r#"{{"epochs": 0, "threads": 1{settings}}}"#))).unwrap()
}

fn error(made: &Made) -> f64 {
    made.report["proxy"]["relative_error"].as_f64().unwrap()
}

fn has(made: &Made, code: &str) -> bool {
    made.report["warnings"].as_array().unwrap().iter().any(|w| w["code"] == code)
}

/// Sums of what is quantized already, twice.
fn residual() -> Net {
    let mut net = Net::new(13, &[1, WIDTH as i64]);
    net.dense("a", WIDTH, 24).node("Relu", &["@"], "ar", &[]);
    net.dense("b", 24, 24).node("Add", &["@", "ar"], "s", &[]).node("Relu", &["@"], "sr", &[]);
    net.dense("c", 24, 24).node("Add", &["@", "sr"], "t", &[]).node("Relu", &["@"], "tr", &[]);
    net.dense("d", 24, 5);
    net
}

#[test]
fn sums_are_followed_in_less_than_eight_bits() {
    let made = made(&residual(), "");
    assert!(error(&made) <= 0.01 && !has(&made, "start_differs"), "{}", error(&made));
    let products = WIDTH * 24 + 2 * 24 * 24 + 24 * 5;
    assert!(made.ebops < 64 * products as u64, "{} of {}", made.ebops, 64 * products);
}

#[test]
fn means_are_right_without_bits() {
    // three bits everywhere move the outputs; what they move them by on average is in the biases of
    // the start alone
    let made = made(&residual(), r#", "init_bits": {"weights": 3, "activations": 3}"#);
    assert!(error(&made) > 0.05 && has(&made, "start_differs"), "{}", error(&made));
}

#[test]
fn one_sample_is_not_learned_by_heart() {
    // its error could go into the biases whole, and no bits would be left
    let made = made_of(&residual(), "", 1);
    assert!(made.ebops > 1000, "{}", made.ebops);
}

#[test]
fn weights_alone_may_be_annotated() {
    for hidden in ["Relu", "Sigmoid"] {
        let mut net = Net::new(13, &[1, WIDTH as i64]);
        for (name, from, to) in [("a", WIDTH, 16), ("b", 16, 16), ("c", 16, 3)] {
            let (w, q, b) = (format!("{name}_w"), format!("{name}_q"), format!("{name}_b"));
            net.random(&w, &[from, to]).random(&b, &[to]);
            let before = net.last.clone();
            net.quant(&w, &q, Tensor::f32(vec![], vec![0.013]), Tensor::f32(vec![], vec![8.0]), &[]);
            net.node("Gemm", &[&before, &q, &b], name, &[]);
            if name != "c" {
                net.node(hidden, &["@"], &format!("{name}_r"), &[]);
            }
        }
        let made = made(&net, "");
        assert!(has(&made, "activations_not_annotated"));
        // tables have a step of their own
        let most = if hidden == "Relu" { 0.01 } else { 0.03 };
        assert!(error(&made) <= most, "{hidden}: {}", error(&made));
        assert_eq!(made.report["verification"]["mismatches"], 0);
    }
}

#[test]
fn a_channel_that_hardly_moves_costs_nothing() {
    let with = |tiny: f32| {
        let mut net = Net::new(13, &[1, WIDTH as i64]);
        let mut rng = Rng::new(17);
        let mut random = |n: usize| (0..n).map(|_| 2.0 * rng.unit() as f32 - 1.0).collect::<Vec<f32>>();
        let (mut a, mut b) = (random(WIDTH * 12), random(12));
        // the first channel is 3 and hardly more
        a.iter_mut().step_by(12).for_each(|w| *w *= tiny);
        b[0] = 3.0;
        net.constant("a_w", Tensor::f32(vec![WIDTH, 12], a)).constant("a_b", Tensor::f32(vec![12], b));
        net.node("Gemm", &["@", "a_w", "a_b"], "a", &[]).node("Relu", &["@"], "r", &[]);
        net.dense("b", 12, 12).node("Relu", &["@"], "br", &[]);
        net.dense("c", 12, 3);
        made(&net, "")
    };
    let constant = with(0.0);
    for tiny in [1e-3, 1e-5, 1e-9, 1e-15] {
        let made = with(tiny);
        assert!(error(&made) <= 0.01, "{tiny}: {}", error(&made));
        assert!(made.ebops <= constant.ebops + constant.ebops / 10, "{tiny}: {} of {}", made.ebops, constant.ebops);
    }
}
