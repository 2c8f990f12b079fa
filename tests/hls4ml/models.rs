//! Real files: what Brevitas, PyTorch and public repositories give is converted exactly, or refused
//! with a reason.

use crate::support::cases::{self, Case};
use crate::support::jobs::{Samples, config, convert, outputs};
use crate::support::onnx::Net;
use crate::support::reference::{Arrays, shared};
use crate::support::sample::quarter;
use hgq_onnx::convert::{Error, inspect};
use hgq_onnx::graph::channels;
use hgq_onnx::graph::{eval, import};
use hgq_onnx::onnx::Tensor;
use hgq_onnx::onnx::codec::decode;
use hgq_onnx::onnx::limits::Limits;
use hgq_onnx::verify::fixed::Program;
use prost::Message;
use std::path::{Path, PathBuf};

/// The ONNX files of a folder of the reference material, by name.
fn files(folder: &str) -> Vec<(String, PathBuf)> {
    let Some(folder) = shared(&format!("models/{folder}")) else { return Vec::new() };
    let mut list: Vec<(String, PathBuf)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "onnx"))
        .map(|p| (p.file_stem().unwrap().to_string_lossy().into_owned(), p))
        .collect();
    list.sort();
    list
}

/// Reference inputs and outputs of a file.
fn reference(path: &Path) -> (Vec<f32>, Vec<f32>, usize) {
    let arrays = Arrays::load(&path.with_extension("io.npz"));
    let x = arrays.f32("x");
    let width = x.len() / arrays.shape("x")[0];
    (x, arrays.f32("y"), width)
}

/// Reproducible inputs like standardised features, on the grid 2^-10.
fn features(samples: usize, width: usize) -> Vec<f32> {
    let mut rng = hgq_onnx::data::Rng::new(5);
    let mut value = || (((0..4).map(|_| rng.unit() - 0.5).sum::<f64>() * 2.0 * 1024.0).round() / 1024.0) as f32;
    (0..samples * width).map(|_| value()).collect()
}

/// Samples as the proxy takes them: channels last.
fn as_proxy(proxy: &[u8], x: &[f32]) -> Vec<f32> {
    let program = Program::from_bytes(proxy).unwrap();
    let order = channels::order(&program.inputs()[0].shape);
    x.chunks_exact(order.len()).flat_map(|row| order.iter().map(|&e| row[e])).collect()
}

/// Converts without training; outputs for `x`, and the case for hls4ml.
fn taken_over(name: &str, model: &[u8], calibration: &[f32], x: &[f32], width: usize) -> (Vec<f64>, Case) {
    let calibration = Samples { width, x: calibration, y: None };
    let done = convert(model, &calibration, None, config(r#"{"epochs": 0}"#)).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(done.report["verification"]["mismatches"], 0, "{name}");
    let inputs = as_proxy(&done.proxy, x);
    (outputs(&done.proxy, &inputs).1, Case::new(name, &done.proxy, &inputs, width))
}

#[test]
#[ignore = "needs hls4ml and ../shared"]
fn brevitas_exports_are_taken_over_exactly() {
    let mut cases = Vec::new();
    let mut by_name = std::collections::BTreeMap::new();
    for (name, path) in files("brevitas") {
        let model = std::fs::read(&path).unwrap();
        let (x, y, width) = reference(&path);
        let calibration = [x.clone(), features(200, width)].concat();
        let (got, _) = taken_over(&name, &model, &calibration, &x, width);
        if name.contains("w6pc") || name.contains("binary") {
            // scales that are not powers of two: near, and the twins alike
            let moved = got.iter().zip(&y).map(|(&a, &b)| (a - f64::from(b)).abs()).fold(0.0, f64::max);
            assert!(moved < 0.15, "{name}: {moved}");
        } else {
            let differ = got.iter().zip(&y).filter(|&(&a, &b)| a as f32 != b).count();
            assert_eq!(differ, 0, "{name}: of {} elements", y.len());
        }
        let (wide, case) = taken_over(&name, &model, &calibration, &features(200, width), width);
        by_name.insert(name, wide);
        cases.push(case);
    }
    for (name, values) in by_name.iter().filter(|(n, _)| n.ends_with("_qcdq")) {
        let twin = name.replace("_qcdq", "_qonnx");
        assert_eq!(Some(values), by_name.get(&twin), "{name} and {twin}");
    }
    cases::judge(&quarter(cases));
}

#[test]
#[ignore = "needs hls4ml and ../shared"]
fn torch_exports_are_imported_as_they_are() {
    let mut cases = Vec::new();
    for (name, path) in files("torch") {
        let model = std::fs::read(&path).unwrap();
        let (x, y, width) = reference(&path);
        if name.contains("layernorm") {
            let Err(Error::Unsupported(nodes)) =
                convert(&model, &Samples { width, x: &x, y: None }, None, config(r#"{"epochs": 0}"#))
            else {
                panic!("{name} is converted")
            };
            let found: Vec<&str> = nodes.iter().map(|n| &n.op[..]).collect();
            assert_eq!(found, ["Sqrt", "Div"], "{name}");
            assert!(nodes.iter().all(|n| !n.reason.is_empty()));
            continue;
        }
        let imported = import(&decode(&model, &Limits::default()).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let order = imported.input_orders[0].clone().unwrap_or_else(|| (0..width).collect());
        let turned: Vec<f32> = x.chunks_exact(width).flat_map(|row| order.iter().map(|&e| row[e])).collect();
        let got = eval::run(&imported.graph, &[&turned], x.len() / width, &imported.graph.outputs).unwrap();
        let most = got[0].iter().zip(&y).map(|(&a, &b)| (a - f64::from(b)).abs()).fold(0.0, f64::max);
        // GELU has a sigmoid in its place
        let allowed = if name.contains("gelu") { 0.1 } else { 1e-5 };
        assert!(got[0].len() == y.len() && most < allowed, "{name}: {most}");
        let (_, case) = taken_over(&name, &model, &features(200, width), &features(200, width), width);
        cases.push(case);
    }
    cases::judge(&quarter(cases));
}

/// Files of public repositories that convert.
const CONVERTED: [&str; 16] = [
    "TFC_1W1A",
    "TFC_1W2A",
    "TFC_2W2A",
    "kwsmlp_w3a3",
    "qkeras_jettagging",
    "bnn_model_fc_1layer",
    "conv1d_small_keras",
    "conv2d_small_keras",
    "dense_big_keras",
    "three_layer_keras",
    "three_layer_pytorch",
    "two_layer_keras",
    "two_layer_pytorch",
    "qonnx_eltwise_chanlast_testcase",
    "qonnx_residual_block_clean",
    "skl2onnx_mlp_jet",
];

#[test]
#[ignore = "needs ../shared"]
fn public_files_convert_or_say_why_not() {
    let mut converted = Vec::new();
    let mut refused = Vec::new();
    for (name, path) in ["zoo", "example-models", "misc", "finn"].into_iter().flat_map(files) {
        let model = std::fs::read(&path).unwrap();
        let told = inspect(&model).unwrap();
        if !told.supported {
            let nodes = &told.unsupported;
            assert!(nodes.iter().all(|n| !n.reason.is_empty()), "{name}: {told:?}");
            assert!(!nodes.is_empty() || told.reason.is_some_and(|r| !r.is_empty()), "{name}");
            refused.push(name);
            continue;
        }
        let width: usize = told.inputs.unwrap().iter().map(|i| i.shape.iter().product::<usize>()).sum();
        let large = width > 1 << 14;
        // other large images take minutes each
        if large && !CONVERTED.contains(&&name[..]) {
            continue;
        }
        let samples = if large { 2 } else { 50 };
        let x = features(samples, width);
        taken_over(&name, &model, &x, &x, width);
        converted.push(name);
    }
    if converted.is_empty() && refused.is_empty() {
        return;
    }
    let missing: Vec<&&str> = CONVERTED.iter().filter(|n| !converted.iter().any(|c| c == *n)).collect();
    assert!(missing.is_empty(), "no longer converted: {missing:?}\nconverted: {converted:?}\nrefused: {refused:?}");
}

/// A sample that is one number has no axis in ONNX, and needs one in hls4ml: inside and as output.
#[test]
fn samples_without_an_axis_get_one() {
    let mut net = Net::new(13, &[1, 4]);
    net.random("w", &[4, 1]).random("v", &[1, 3]).random("u", &[3, 1]);
    net.constant("all", Tensor::i64(vec![1], vec![-1])).constant("column", Tensor::i64(vec![2], vec![-1, 1]));
    net.node("MatMul", &["@", "w"], "m", &[]).node("Reshape", &["@", "all"], "a", &[]).node("Relu", &["@"], "r", &[]);
    net.node("Reshape", &["@", "column"], "c", &[]).node("MatMul", &["@", "v"], "n", &[]);
    net.node("MatMul", &["@", "u"], "o", &[]).node("Reshape", &["@", "all"], "y", &[]);
    let x = features(40, 4);
    let (_, case) = taken_over("one number", &net.model().encode_to_vec(), &x, &x, 4);
    cases::judge(&[case]);
}
