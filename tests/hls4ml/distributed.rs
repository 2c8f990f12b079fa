//! Distributed arithmetic in stock hls4ml: exact in every form, and every layer with a constant
//! matrix really holds its code (the judge counts them).

use super::elementwise;
use crate::support::files::fixture;
use crate::support::hls4ml;
use crate::support::jobs::{Samples, config, convert, outputs};
use crate::support::judge::{self, Case};
use crate::support::nets::{Net, Rng, all_samples};
use crate::support::reference::Arrays;
use hgq_onnx::convert::JobConfig;
use hgq_onnx::ops::Merge;
use hgq_onnx::proxy::Form;
use hgq_onnx::proxy::target::{Backend, Io, Strategy, Target};
use hgq_onnx::quant::{FixedModel, Rounding::*};

const SAMPLES: usize = 100;

const HERE: Target = Target { backend: Backend::Vitis, io: Io::Parallel, strategy: Strategy::DistributedArithmetic };

/// All that takes longer, as in `.ci/long`.
fn all() -> bool {
    std::env::var_os("HGQ_ALL").is_some()
}

/// Dense layers; the second output is read by another layer, and written by a quantizer that hls4ml
/// does not merge into a layer.
fn dense() -> FixedModel {
    let mut r = Rng::new(3);
    let r = &mut r;
    let net = Net::new(&[6]).random_quantize(r, true, HalfUp).dense(r, 8).relu().random_quantize(r, false, HalfUp);
    let left = net.last;
    let mut net = net.dense(r, 8).random_quantize(r, true, HalfEven).merge(Merge::Add, left).one_format(true, 3, 2, HalfUp);
    let sum = net.last;
    net.model.outputs.push(sum);
    net.dense(r, 5).affine(r, 5, 3).relu().random_quantize(r, false, Floor).dense(r, 3).done()
}

/// Convolutions of both kinds, one of them depthwise, around a branch.
fn residual() -> FixedModel {
    let mut r = Rng::new(5);
    let r = &mut r;
    let net = Net::new(&[6, 6, 2]).channel_quantize(r, true, HalfUp);
    let window = net.window([3, 3], [1, 1], [1; 4], 1);
    let net = net.conv(r, 3, window).relu().channel_quantize(r, false, HalfUp);
    let before = net.last;
    let window = net.window([3, 3], [1, 1], [1; 4], 3);
    let net = net.conv(r, 3, window).channel_quantize(r, true, Floor);
    let window = net.window([1, 1], [1, 1], [0; 4], 1);
    let net = net.conv(r, 3, window).channel_quantize(r, true, HalfUp).merge(Merge::Add, before).one_format(true, 3, 3, HalfUp);
    let net = net.max_pool([2, 2], [2, 2], [0; 4]);
    let len = net.len();
    let image = net.reshape(&[len]);
    let vector = image.last;
    let net = image.another_input(&[7, 2]).channel_quantize(r, true, HalfUp);
    let window = net.window([1, 3], [1, 2], [0; 4], 1);
    let net = net.conv(r, 3, window).relu().channel_quantize(r, false, HalfUp);
    let len = net.len();
    net.reshape(&[len]).concat(&[vector], 0).dense(r, 3).random_quantize(r, true, HalfUp).done()
}

#[test]
#[ignore = "needs hls4ml"]
fn every_form_is_exact_and_every_layer_is_distributed() {
    let (dense, residual) = (dense(), residual());
    let case = |label, model, form, target| Case { label, model, form, target };
    let mut cases: Vec<Case> =
        [Form::Sums, Form::Concat, Form::Uniform].map(|form| case("dense", &dense, form, HERE)).into_iter().collect();
    cases.push(case("residual", &residual, Form::Sums, HERE));
    if all() {
        for form in [Form::Concat, Form::Uniform] {
            cases.push(case("residual", &residual, form, HERE));
        }
        for (backend, io) in [(Backend::Vivado, Io::Parallel), (Backend::Vitis, Io::Stream), (Backend::Vivado, Io::Stream)] {
            let target = Target { backend, io, ..HERE };
            cases.push(case("dense", &dense, Form::Sums, target));
            cases.push(case("residual", &residual, Form::Sums, target));
        }
    }
    judge::judge(&cases, SAMPLES, |model| all_samples(model, &mut Rng::new(9), SAMPLES));
}

#[test]
#[ignore = "needs hls4ml"]
fn the_plug_in_is_exact_and_every_layer_is_distributed() {
    let models = elementwise::models();
    let wanted = |name: &str| all() || ["grid", "line"].contains(&name);
    let cases: Vec<Case> = models
        .iter()
        .filter(|(name, _)| wanted(name))
        .map(|(label, model)| Case { label, model, form: Form::Elementwise, target: HERE })
        .collect();
    judge::judge(&cases, SAMPLES, |model| all_samples(model, &mut Rng::new(9), SAMPLES));
}

/// Whole jobs, with the settings that lie beside their proxies.
#[test]
#[ignore = "needs hls4ml"]
fn jets_are_exact_with_the_settings_beside_the_proxy() {
    let model = std::fs::read(fixture("import/jet_mlp_bn_w4a6_fixedpoint_qonnx.onnx")).unwrap();
    let x = jets();
    let forms = if all() { &["sums", "concat", "uniform"][..] } else { &["uniform"] };
    let made: Vec<_> = forms
        .iter()
        .map(|form| {
            let asked =
                format!(r#"{{"epochs": 0, "proxy": {{"form": "{form}"}}, "hls4ml": {{"strategy": "distributed_arithmetic"}}}}"#);
            convert(&model, &Samples { width: 16, x: &x, y: None }, None, config(&asked)).unwrap()
        })
        .collect();
    let wanted: Vec<_> = made.iter().map(|done| outputs(&done.proxy, &x)).collect();
    let jobs: Vec<hls4ml::Job> = made
        .iter()
        .zip(&wanted)
        .map(|(done, (name, values))| {
            let (_, settings) = done.extra_files.iter().find(|b| b.0 == "hls4ml_config.json").unwrap();
            let settings: serde_json::Value = serde_json::from_slice(settings).unwrap();
            assert_eq!(settings["hls_config"]["Model"]["Strategy"], "distributed_arithmetic");
            let expected = vec![(name.as_str(), values.clone())];
            hls4ml::Job { proxy: &done.proxy, inputs: vec![&x], samples: x.len() / 16, expected, port: None, settings }
        })
        .collect();
    for (form, v) in forms.iter().zip(hls4ml::check(&jobs).unwrap_or_default()) {
        assert_eq!(v.mismatches, 0, "{form}: {}", v.note);
        assert!(v.layers > 2 && v.layers == v.distributed, "{form}: {} of {} layers hold its code", v.distributed, v.layers);
    }
}

fn jets() -> Vec<f32> {
    let recorded = Arrays::load(&fixture("import/jet_mlp_bn_w4a6_fixedpoint_qonnx.io.npz"));
    let x = recorded.f32("x");
    // beyond the ranges and off the grids, too
    [1.0, 4.0, -1.0, 0.3].iter().flat_map(|factor| x.iter().map(move |v| v * factor)).collect()
}

#[test]
fn settings_that_hls4ml_has_not_are_refused() {
    let faults = |more: &str| {
        let asked = format!(r#"{{"hls4ml": {{"strategy": "distributed_arithmetic", {more}}}}}"#);
        JobConfig::from_json(asked.as_bytes()).unwrap_err().join("\n")
    };
    assert!(faults(r#""backend": "Quartus""#).contains("hls4ml.strategy: no distributed_arithmetic with backend Quartus"));
    assert!(faults(r#""reuse_factor": 4"#).contains("hls4ml.reuse_factor: 1 with strategy distributed_arithmetic"));
}
