//! The Python package: it builds, installs and is found by hls4ml; its own tests pass, those of the
//! client against a running service and those of `convert_proxy` and the plug-in with hls4ml.

use crate::support::files::fixture;
use crate::support::hls4ml;
use crate::support::server::Server;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs and must succeed.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    text(&output)
}

/// The tests of one file of `python/tests`, none of them left out but those named by `skipped`.
fn unittest(python: &Path, file: &str, environment: &[(&str, &str)], skipped: usize) {
    unittest_at(python, file, environment, skipped, &hls4ml::package());
}

/// The same with the package in another folder.
pub fn unittest_at(python: &Path, file: &str, environment: &[(&str, &str)], skipped: usize, package: &Path) {
    let mut command = Command::new(python);
    command.args(["-B", "-m", "unittest", "-v"]).arg(hls4ml::package().join("tests").join(file));
    command.current_dir(hls4ml::package().join("tests")).env("PYTHONPATH", package).envs(environment.iter().copied());
    let said = run(&mut command);
    assert!(!said.contains("Ran 0 tests"), "{said}");
    assert_eq!(said.matches("... skipped").count(), skipped, "{said}");
}

fn fixtures() -> PathBuf {
    fixture("")
}

/// A copy of the package, so that building it leaves nothing in the sources.
fn package_copy(to: &Path) -> PathBuf {
    let (from, to) = (hls4ml::package(), to.join("package"));
    fs::create_dir_all(to.join("hgq_onnx/rtl")).unwrap();
    for folder in ["", "hgq_onnx", "hgq_onnx/rtl"] {
        for entry in fs::read_dir(from.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::copy(&path, to.join(folder).join(path.file_name().unwrap())).unwrap();
            }
        }
    }
    to
}

fn pip(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", "pip", "--quiet", "--disable-pip-version-check"]);
    command
}

/// The package installed in a folder below `to`, without touching the interpreter's environment.
pub fn install_beside(python: &Path, to: &Path) -> PathBuf {
    let (source, beside) = (package_copy(to), to.join("beside"));
    run(pip(python).args(["install", "--no-deps", "--target"]).arg(&beside).arg(&source));
    beside
}

/// What is installed in a fresh environment: the client works, the entry point is there, and hls4ml
/// is asked for by name.
const INSTALLED: &str = r#"
import importlib.metadata as metadata, hgq_onnx
[entry] = metadata.entry_points().select(group="hls4ml.backends")
assert entry.load() is __import__("hgq_onnx.plugin").plugin.register
found = metadata.metadata("hgq-onnx")
assert found["License-Expression"] == "Apache-2.0", found
assert any("hls4ml" in need and "extra" in need for need in found.get_all("Requires-Dist")), found
assert hgq_onnx.__version__ == found["Version"]
hgq_onnx.Client("http://127.0.0.1:1")
try:
    hgq_onnx.convert_proxy("proxy.onnx")
except hgq_onnx.HgqError as error:
    assert "pip install" in str(error), error
else:
    raise AssertionError("there is no hls4ml here")
assert any("alkaid" in need and "extra" in need for need in found.get_all("Requires-Dist")), found
assert [e.value for e in metadata.entry_points().select(group="alir_tracer.plugins")] == ["hgq_onnx.rtl.tracer:OnnxTracer"]
try:
    hgq_onnx.to_rtl("proxy_elementwise.onnx", "rtl")
except hgq_onnx.HgqError as error:
    assert "hgq-onnx[rtl]" in str(error), error
else:
    raise AssertionError("there is no alkaid here")
"#;

/// hls4ml finds the plug-in of an installed package by itself.
const FOUND_BY_HLS4ML: &str = r#"
import os, hls4ml
from hls4ml.model.optimizer import get_available_passes
assert "HLS4ML_BACKEND_PLUGINS" not in os.environ
assert "hgq_onnx_quant_to_fixed_point_quantizer" in get_available_passes()
"#;

#[test]
#[ignore = "needs Python"]
fn the_wheel_builds_and_installs() {
    let Some(python) = hls4ml::python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let source = package_copy(dir.path());
    run(pip(&python).args(["wheel", "--no-deps", "--wheel-dir"]).arg(dir.path().join("wheels")).arg(&source));
    let wheel = fs::read_dir(dir.path().join("wheels")).unwrap().next().unwrap().unwrap().path();
    let name = wheel.file_name().unwrap().to_string_lossy().into_owned();
    assert_eq!(name, format!("hgq_onnx-{}-py3-none-any.whl", env!("CARGO_PKG_VERSION")));
    let fresh = dir.path().join("fresh");
    run(Command::new("python3").args(["-m", "venv"]).arg(&fresh));
    let interpreter = fresh.join("bin/python");
    run(pip(&interpreter).arg("install").arg(&wheel));
    run(Command::new(&interpreter).current_dir(dir.path()).env_remove("PYTHONPATH").args(["-c", INSTALLED]));
    // beside hls4ml, without touching its environment
    let beside = dir.path().join("beside");
    run(pip(&python).args(["install", "--no-deps", "--target"]).arg(&beside).arg(&wheel));
    let mut command = Command::new(&python);
    command.current_dir(dir.path()).env("PYTHONPATH", &beside).env_remove("HLS4ML_BACKEND_PLUGINS");
    run(command.args(["-c", FOUND_BY_HLS4ML]));
}

#[test]
#[ignore = "needs Python"]
fn its_own_tests_pass() {
    let Some(python) = hls4ml::python() else { return };
    unittest(&python, "test_units.py", &[], 0);
}

#[test]
#[ignore = "needs Python"]
fn the_client_speaks_with_the_service() {
    let Some(python) = hls4ml::python() else { return };
    let server = Server::start(&[]);
    let fixtures = fixtures();
    let fixtures = ("HGQ_ONNX_FIXTURES", fixtures.to_str().unwrap());
    unittest(&python, "test_service.py", &[("HGQ_ONNX_URL", &server.url), fixtures], 1);
}

#[test]
#[ignore = "needs Python"]
fn the_client_shows_its_token() {
    let Some(python) = hls4ml::python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let made = Command::new(env!("CARGO_BIN_EXE_hgq-onnx")).args(["token", "notebook"]).output().unwrap();
    let tokens = dir.path().join("tokens");
    fs::write(&tokens, &made.stderr).unwrap();
    let token = String::from_utf8(made.stdout).unwrap();
    let server = Server::start(&["--tokens", tokens.to_str().unwrap()]);
    let fixtures = fixtures();
    let environment =
        [("HGQ_ONNX_URL", &server.url[..]), ("HGQ_ONNX_TOKEN", token.trim()), ("HGQ_ONNX_FIXTURES", fixtures.to_str().unwrap())];
    unittest(&python, "test_service.py", &environment, 0);
}

#[test]
#[ignore = "needs hls4ml"]
fn convert_proxy_and_the_plug_in_are_exact() {
    let Some(python) = hls4ml::python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let file = |name: &str| fixture(&format!("digits/{name}"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_hgq-onnx"));
    command.arg("convert").arg(file("digits_mlp.onnx")).arg("--calibration").arg(file("calibration.npz"));
    command.arg("--train").arg(file("train.npz")).args(["--epochs", "40", "--target-ebops", "5000", "--threads", "2"]);
    run(command.args(["--elementwise", "sat", "--out"]).arg(&out));
    // far beyond every range, too: everything saturates alike
    let inputs = format!(
        "import numpy as np; x = np.load({:?})['x']; np.savez('inputs.npz', x=np.concatenate([x, 4 * x, x - 0.37])); np.save('out/x.npy', np.load('inputs.npz')['x'])",
        file("test.npz")
    );
    run(Command::new(&python).current_dir(dir.path()).args(["-c", &inputs]));
    let mut verify = Command::new(env!("CARGO_BIN_EXE_hgq-onnx"));
    verify.current_dir(dir.path()).args(["verify", "out/proxy.onnx", "--inputs", "inputs.npz", "--outputs", "outputs.npz"]);
    run(&mut verify);
    let outputs = "import numpy as np; y = np.load('outputs.npz'); np.save('out/y.npy', y[y.files[0]].astype(float))";
    run(Command::new(&python).current_dir(dir.path()).args(["-c", outputs]));
    unittest(&python, "test_hls4ml.py", &[("HGQ_ONNX_CASE", out.to_str().unwrap())], 0);
}
