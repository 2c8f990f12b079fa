//! Quantized files taken over without training: the proxy equals the file, element by element, in
//! the executor and in stock hls4ml.

use crate::support::cases::{self, Case};
use crate::support::files::fixture;
use crate::support::hls4ml;
use crate::support::jobs::{Samples, config, convert, outputs};
use crate::support::reference::{Arrays, json, shared};
use crate::support::sample::quarter;
use std::path::Path;

/// Reproducible inputs like standardised features: sums of uniform numbers, on the grid `2^-bits`
/// or off every grid.
fn features(samples: usize, width: usize, bits: Option<i32>) -> Vec<f32> {
    let mut rng = hgq_onnx::data::Rng::new(7);
    let value = |v: f64| bits.map_or(v, |b| (v * 2f64.powi(b)).round() * 2f64.powi(-b)) as f32;
    (0..samples * width).map(|_| value((0..4).map(|_| rng.unit() - 0.5).sum::<f64>() * 2.0)).collect()
}

/// Converts with 0 epochs and compares the proxy with qonnx's execution of the file; returns the
/// case for hls4ml.
fn equals_qonnx(name: &str, model: &[u8], x: &[f32], form: &str) -> Option<Case> {
    let calibration = Samples { width: 16, x, y: None };
    let done =
        convert(model, &calibration, None, config(&format!(r#"{{"epochs": 0, "proxy": {{"form": "{form}"}}}}"#))).expect(name);
    assert_eq!(done.report["verification"]["mismatches"], 0, "{name}");
    let (_, got) = outputs(&done.proxy, x);
    let want = hls4ml::qonnx(model, x)?;
    assert_eq!(got.len(), want.len(), "{name}");
    // qonnx computes in float32: equal when rounded to it
    let differ = got.iter().zip(&want).filter(|&(&a, &b)| a as f32 != b).count();
    assert_eq!(differ, 0, "{name} {form}: of {} elements", want.len());
    Some(Case::new(name, &done.proxy, x, 16))
}

#[test]
#[ignore = "needs hls4ml and ../shared"]
fn brevitas_exports_equal_qonnx_and_hls4ml() {
    let mut models: Vec<(String, Vec<u8>)> = ["jet_mlp_w4a6_int32bias_qonnx", "jet_mlp_bn_w4a6_fixedpoint_qonnx"]
        .map(|n| (n.to_string(), std::fs::read(fixture(&format!("import/{n}.onnx"))).unwrap()))
        .to_vec();
    for n in ["jet_mlp_w4a6_fixedpoint_qonnx", "jet_mlp_w4a6_dynbatch_qonnx"] {
        if let Some(path) = shared(&format!("models/brevitas/{n}.onnx")) {
            models.push((n.to_string(), std::fs::read(path).unwrap()));
        }
    }
    // off every grid as well: the input's quantizer is exact for any float
    let inputs = [features(1000, 16, Some(10)), features(1000, 16, None)];
    let mut judged = Vec::new();
    for (name, model) in &models {
        for (x, grid) in inputs.iter().zip(["on a grid", "off grid"]) {
            let Some(case) = equals_qonnx(&format!("{name}, {grid}"), model, x, "sums") else { return };
            judged.push(case);
        }
    }
    cases::judge(&judged);
}

#[test]
#[ignore = "needs hls4ml and ../shared"]
fn qkeras_jet_tagger_equals_qonnx_and_hls4ml() {
    let Some(path) = shared("models/zoo/qkeras_jettagging.onnx") else { return };
    let model = std::fs::read(path).unwrap();
    // its input has no quantizer: hls4ml's port decides, so inputs are on a grid the port holds
    let jets = Arrays::load(&shared("data/jsc_openml_test1000.npz").unwrap()).f32("x");
    let x: Vec<f32> = jets.iter().map(|v| (v * 1024.0).round() / 1024.0).collect();
    let mut judged = Vec::new();
    for form in ["sums", "concat"] {
        let Some(case) = equals_qonnx("qkeras_jettagging", &model, &x, form) else { return };
        judged.push(case);
    }
    cases::judge(&judged);
}

/// The published HGQ2 nets with their reference outputs.
fn published(root: &Path) -> Vec<(String, Vec<u8>, Vec<f64>)> {
    let mut nets = Vec::new();
    for entry in std::fs::read_dir(root.join("models/hgq_qonnx")).unwrap() {
        let path = entry.unwrap().path();
        let Some(name) = path.file_stem().and_then(|n| n.to_str()).filter(|_| path.extension().is_some_and(|e| e == "onnx"))
        else {
            continue;
        };
        let (family, ebops) = name.split_once("_ebops").unwrap();
        let reference = std::fs::read_dir(root.join("models/hgq_reference"))
            .unwrap()
            .map(|e| e.unwrap().path())
            .find(|p| p.to_string_lossy().contains(family) && p.to_string_lossy().contains(&format!("ebops{ebops}-")))
            .unwrap();
        let reference = Arrays::load(&reference);
        let columns = reference.shape("y")[1];
        let y = reference.get("y").chunks_exact(columns).flat_map(|row| row[..5].to_vec()).collect();
        nets.push((name.to_string(), std::fs::read(&path).unwrap(), y));
    }
    nets.sort_by(|a, b| a.0.cmp(&b.0));
    nets
}

#[test]
#[ignore = "needs hls4ml and ../shared"]
fn published_hgq_nets_give_their_published_outputs() {
    let Some(data) = shared("data/jsc_openml_test1000.npz") else { return };
    let root = data.parent().unwrap().parent().unwrap();
    let x = Arrays::load(&data).f32("x");
    let expected = json(&root.join("models/hgq_qonnx/expected.json"));
    let nets = published(root);
    assert_eq!(nets.len(), 5);
    let mut judged = Vec::new();
    for (name, model, y) in &nets {
        for form in ["sums", "concat"] {
            let calibration = Samples { width: 16, x: &x, y: None };
            let done = convert(model, &calibration, None, config(&format!(r#"{{"epochs": 0, "proxy": {{"form": "{form}"}}}}"#)))
                .unwrap();
            let (_, got) = outputs(&done.proxy, &x);
            assert_eq!(&got, y, "{name} {form}");
            assert_eq!(done.report["ebops_hgq2"].as_f64(), expected[format!("{name}.onnx")]["ebops_hgq2"].as_f64(), "{name}");
            judged.push(Case::new(&format!("{name} {form}"), &done.proxy, &x, 16));
        }
    }
    cases::judge(&quarter(judged));
}

#[test]
#[ignore = "needs hls4ml"]
fn scales_that_are_no_powers_of_two() {
    let model = std::fs::read(fixture("import/jet_mlp_w6pc_a4_float_qonnx.onnx")).unwrap();
    let x = features(2000, 16, None);
    let calibration = Samples { width: 16, x: &x, y: None };
    let done = convert(&model, &calibration, None, config(r#"{"epochs": 0}"#)).unwrap();
    // the thresholds stay where they are, only weights are on a finer grid: outputs move by a
    // fraction of their spread
    let moved = done.report["proxy"]["max_abs_diff_vs_source"].as_f64().unwrap();
    assert!(moved > 0.0 && moved < 0.15, "{moved}");
    let warned = done.report["warnings"].as_array().unwrap().iter().filter(|w| w["code"] == "scale_moved").count();
    assert_eq!(warned, 4, "one per activation");
    cases::judge(&[Case::new("w6pc", &done.proxy, &x, 16)]);
}

#[test]
#[ignore = "needs hls4ml and ../shared"]
fn distillation_without_labels_keeps_the_decisions() {
    let Some(path) = shared("data/jets.npz") else { return };
    let model = std::fs::read(fixture("import/jet_mlp_w6pc_a4_float_qonnx.onnx")).unwrap();
    let x = Arrays::load(&path).f32("x_train");
    let calibration = Samples { width: 16, x: &x, y: None };
    let done =
        convert(&model, &calibration, Some(&calibration), config(r#"{"epochs": 60, "threads": 2, "metric": "agreement"}"#))
            .unwrap();
    assert_eq!(done.report["metric"], "agreement");
    let (_, got) = outputs(&done.proxy, &x);
    let Some(want) = hls4ml::qonnx(&model, &x) else { return };
    let predicted = |row: &[f64]| hgq_onnx::convert::task::metric::predicted(row);
    let same = got.chunks_exact(5).zip(want.chunks_exact(5)).filter(|(a, b)| {
        let b: Vec<f64> = b.iter().map(|&v| v as f64).collect();
        predicted(a) == predicted(&b)
    });
    let share = same.count() as f64 / (x.len() / 16) as f64;
    assert!(share >= 0.97, "agreement {share}");
}
