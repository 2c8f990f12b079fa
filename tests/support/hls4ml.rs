//! Stock hls4ml as the judge: a Python environment of pinned versions under `target/hls4ml-env`,
//! made on first use. `HGQ_HLS4ML_PYTHON` names a ready interpreter instead.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the metadata of the element-wise form begin with.
const ELEMENTWISE: &[u8] = b"hgq_onnx.form";

/// One proxy to judge.
pub struct Job<'a> {
    pub proxy: &'a [u8],
    /// Of each graph input, in order.
    pub inputs: Vec<&'a [f32]>,
    pub samples: usize,
    /// Output name and values, sample after sample.
    pub expected: Vec<(&'a str, Vec<f64>)>,
    /// `fixed<W,I>` where the proxy needs a wider input port than the default.
    pub port: Option<String>,
    /// As `hls4ml_config.json` has them; null for Vitis, io_parallel and hls4ml's defaults.
    pub settings: serde_json::Value,
}

/// What hls4ml said.
#[derive(Debug, PartialEq)]
pub struct Verdict {
    pub elements: u64,
    pub mismatches: u64,
    /// The first mismatch, or why the proxy was refused.
    pub note: String,
    /// Dense layers and convolutions that are not depthwise, as compiled.
    pub layers: u64,
    /// Those of them that hold code of distributed arithmetic.
    pub distributed: u64,
}

/// Converts, compiles and runs every job; `None` where there is no python3 or g++ (an error when
/// `CI` is set). Where a proxy is of the element-wise form hls4ml loads the plug-in, by its
/// environment variable; the calls are the same.
pub fn check(jobs: &[Job]) -> Option<Vec<Verdict>> {
    let python = python()?;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut command = Command::new(python);
    command.arg(support("check.py"));
    let is_elementwise = |j: &Job| j.proxy.windows(ELEMENTWISE.len()).any(|w| w == ELEMENTWISE);
    if jobs.iter().any(is_elementwise) {
        command.env("HLS4ML_BACKEND_PLUGINS", "hgq_onnx.plugin").env("PYTHONPATH", package());
    }
    for (at, job) in jobs.iter().enumerate() {
        let file = |name: &str| dir.path().join(format!("{at}_{name}"));
        fs::write(file("proxy.onnx"), job.proxy).expect("write");
        let mut inputs = Vec::new();
        for (n, values) in job.inputs.iter().enumerate() {
            let path = file(&format!("input{n}"));
            fs::write(&path, values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()).expect("write");
            inputs.push(path);
        }
        let mut expected = serde_json::Map::new();
        for (name, values) in &job.expected {
            fs::write(file(name), values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()).expect("write");
            expected.insert(name.to_string(), file(name).to_string_lossy().into());
        }
        let job = serde_json::json!({
            "proxy": file("proxy.onnx"), "inputs": inputs, "samples": job.samples, "expected": expected, "port": job.port,
            "settings": job.settings,
        });
        fs::write(file("job.json"), job.to_string()).expect("write");
        command.arg(file("job.json"));
    }
    let output = command.output().expect("python runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let verdicts: Vec<Verdict> = text.lines().filter(|l| l.starts_with('{')).map(verdict).collect();
    assert_eq!(verdicts.len(), jobs.len(), "check.py: {text}\n{}", String::from_utf8_lossy(&output.stderr));
    Some(verdicts)
}

/// Outputs of a QONNX file as qonnx computes them, before any Softmax; `None` as for [`check`].
pub fn qonnx(model: &[u8], inputs: &[f32]) -> Option<Vec<f32>> {
    let python = python()?;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = |name: &str| dir.path().join(name);
    fs::write(file("model.onnx"), model).expect("write");
    fs::write(file("x"), inputs.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()).expect("write");
    run(Command::new(python).arg(support("qonnx_run.py")).args([file("model.onnx"), file("x"), file("y")]));
    let bytes = fs::read(file("y")).expect("outputs");
    Some(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
}

fn verdict(line: &str) -> Verdict {
    let v: serde_json::Value = serde_json::from_str(line).expect("JSON of check.py");
    match v["error"].as_str() {
        Some(error) => Verdict { elements: 0, mismatches: u64::MAX, note: error.to_string(), layers: 0, distributed: 0 },
        None => Verdict {
            elements: v["elements"].as_u64().unwrap_or(0),
            mismatches: v["mismatches"].as_u64().unwrap_or(u64::MAX),
            note: v["first"].as_str().unwrap_or("").to_string(),
            layers: v["layers"].as_u64().unwrap_or(0),
            distributed: v["distributed"].as_u64().unwrap_or(0),
        },
    }
}

fn support(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/hls4ml").join(file)
}

/// The folder with the Python package.
pub fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python")
}

fn runs(program: &str) -> bool {
    // Icarus Verilog has the second only
    ["--version", "-V"].iter().any(|flag| Command::new(program).arg(flag).output().is_ok_and(|o| o.status.success()))
}

/// The interpreter that has hls4ml; `None` as for [`check`].
pub fn python() -> Option<PathBuf> {
    match std::env::var_os("HGQ_HLS4ML_PYTHON") {
        Some(ready) if tools() => Some(ready.into()),
        _ => environment("hls4ml-env", &support("requirements.txt")),
    }
}

fn tools() -> bool {
    has(&["python3", "g++"], "nothing was compared with hls4ml")
}

fn has(tools: &[&str], without: &str) -> bool {
    let missing = tools.iter().find(|tool| !runs(tool));
    if let Some(tool) = missing {
        assert!(std::env::var_os("CI").is_none(), "{tool} is missing: {without}");
        eprintln!("SKIPPED: {tool} is missing, {without}");
    }
    missing.is_none()
}

/// The interpreter of an environment with these packages in the folder of the build, made on first
/// use; `None` as for [`check`].
pub fn environment(name: &str, requirements: &Path) -> Option<PathBuf> {
    tools().then(|| made(name, requirements, &[]))
}

/// The same for packages that need these tools and no compiler. `requirements` lists all of them:
/// what they depend on is not looked for.
pub fn with_tools(name: &str, requirements: &Path, tools: &[&str], without: &str) -> Option<PathBuf> {
    has(tools, without).then(|| made(name, requirements, &["--no-deps"]))
}

/// The same for packages that Python is enough for.
pub fn plain_environment(name: &str, requirements: &Path, without: &str) -> Option<PathBuf> {
    with_tools(name, requirements, &["python3"], without)
}

fn made(name: &str, requirements: &Path, options: &[&str]) -> PathBuf {
    // beside the test binaries: target/debug/deps/<test> → target
    let target = std::env::current_exe().expect("the test's path").ancestors().nth(3).expect("target").to_path_buf();
    let env = target.join(name);
    let lock = fs::File::create(target.join(format!("{name}.lock"))).expect("the lock file");
    lock.lock().expect("the lock");
    let wanted = fs::read_to_string(requirements).expect("the requirements");
    let python = env.join("bin/python");
    if fs::read_to_string(env.join("installed.txt")).ok().as_ref() != Some(&wanted) {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&env));
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir", "-r"];
        run(Command::new(&python).args(install).arg(requirements).args(options));
        fs::write(env.join("installed.txt"), wanted).expect("write");
    }
    python
}

fn run(command: &mut Command) {
    let output = command.output().expect("starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
