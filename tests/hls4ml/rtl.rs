//! Proxies as RTL by alkaid: the package's own tests, and proxies of this program on what its
//! executor and the exact model give.

use crate::elementwise;
use crate::python::{install_beside, run, unittest_at};
use crate::support::files::{fixture, npz_of};
use crate::support::hls4ml;
use crate::support::nets::{Rng, all_samples, reference_of};
use hgq_onnx::proxy::{self, Form};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const SAMPLES: usize = 200;

/// The interpreter with alkaid; `None` where python3 or Icarus Verilog is missing (an error when `CI`
/// is set).
fn python() -> Option<PathBuf> {
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/rtl.txt");
    hls4ml::with_tools("rtl-env", &requirements, &["python3", "iverilog"], "no RTL was written")
}

/// A case of `python/tests/test_rtl.py`: the proxy, its inputs and what it gives for them.
fn case(folder: &Path, proxy: &[u8], inputs: &[u8], outputs: &[f64]) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("proxy_elementwise.onnx"), proxy).unwrap();
    fs::write(folder.join("x.npz"), inputs).unwrap();
    fs::write(folder.join("y.f64"), outputs.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
}

/// Random networks with everything that the form holds.
fn random(into: &Path) {
    for (at, (name, model)) in elementwise::models().into_iter().enumerate() {
        let emitted = proxy::emit(&model, Form::Elementwise).unwrap_or_else(|e| panic!("{name}: {e}"));
        let x = all_samples(&model, &mut Rng::new(5), SAMPLES);
        let rows: Vec<&[f32]> = x.iter().map(|x| &x[..]).collect();
        let want = reference_of(&model, &rows, SAMPLES, emitted.input_port.fractional);
        let graph = emitted.model.graph.as_ref().unwrap();
        let named: Vec<(&str, usize, &[f32])> =
            graph.input.iter().zip(&x).map(|(input, x)| (input.name(), x.len() / SAMPLES, &x[..])).collect();
        assert_eq!(want.len(), 1, "{name}: one output");
        case(&into.join(format!("{at} {name}")), &emitted.bytes, &npz_of(&named, &[]), &want[0]);
    }
}

fn hgq() -> Command {
    Command::new(env!("CARGO_BIN_EXE_hgq-onnx"))
}

fn file(name: &str) -> PathBuf {
    fixture(&format!("digits/{name}"))
}

/// A fixture as the program converts it.
fn convert(model: &str, target: [&str; 2], out: &Path) {
    let mut convert = hgq();
    convert.arg("convert").arg(file(&format!("{model}.onnx"))).arg("--calibration").arg(file("calibration.npz"));
    convert.args(["--train"]).arg(file("train.npz")).args(target);
    convert.args(["--epochs", "20", "--threads", "2", "--elementwise", "sat", "--out"]).arg(out);
    run(&mut convert);
}

/// The digits fixtures as the program converts them, with its executor's outputs on inputs within
/// and far beyond every range.
fn converted(python: &Path, into: &Path) {
    for model in ["digits_mlp", "digits_cnn"] {
        let out = into.join(model);
        convert(model, ["--target-ebops", "5000"], &out);
        let inputs = format!(
            "import numpy as np; x = np.load({:?})['x'][:150]; np.savez('x.npz', image=np.concatenate([x, 4 * x, x - 0.37]))",
            file("test.npz")
        );
        run(Command::new(python).current_dir(&out).args(["-c", &inputs]));
        let files = ["proxy_elementwise.onnx", "--inputs", "x.npz", "--outputs", "y.npz"];
        run(hgq().current_dir(&out).arg("verify").args(files));
        let outputs = "import numpy as np; y = np.load('y.npz'); y[y.files[0]].astype(float).tofile('y.f64')";
        run(Command::new(python).current_dir(&out).args(["-c", outputs]));
    }
}

#[test]
#[ignore = "needs Python, alkaid and iverilog"]
fn rtl_computes_what_the_executor_computes() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let cases = dir.path().join("cases");
    random(&cases);
    converted(&python, &cases);
    let beside = install_beside(&python, dir.path());
    unittest_at(&python, "test_rtl.py", &[("HGQ_ONNX_CASES", cases.to_str().unwrap())], 0, &beside);
}

/// Largest relative difference of an estimate from synthesis.
const MAX_ERROR: f64 = 0.15;

#[test]
#[ignore = "needs Python, alkaid, yosys and iverilog"]
fn estimates_are_near_synthesis() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let targets = [("digits_mlp", "1500"), ("digits_mlp", "5000"), ("digits_cnn", "6000")];
    let outs = targets.map(|(model, luts)| {
        let out = dir.path().join(format!("{model}_{luts}"));
        convert(model, ["--target-luts", luts], &out);
        out
    });
    let rows = dir.path().join("rows.json");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/luts.py");
    run(Command::new(&python).env("PYTHONPATH", hls4ml::package()).arg(script).args(&outs).arg("--json").arg(&rows));
    let rows: serde_json::Value = serde_json::from_slice(&fs::read(rows).unwrap()).unwrap();
    let figures = |name: &str| rows.as_array().unwrap().iter().map(|r| r[name].as_f64().unwrap()).collect::<Vec<f64>>();
    let (estimates, synthesis) = (figures("luts"), figures("lut"));
    assert_eq!(estimates.len(), targets.len());
    for ((estimate, found), (model, _)) in estimates.iter().zip(&synthesis).zip(targets) {
        assert!((estimate / found - 1.0).abs() <= MAX_ERROR, "{model}: {estimate} estimated, {found} by yosys");
    }
}
