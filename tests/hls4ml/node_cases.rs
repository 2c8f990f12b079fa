//! ONNX's own tests of single operators: each that is imported gives the stored outputs.

use crate::support::eval::evaluate;
use crate::support::hls4ml;
use crate::support::reference::Arrays;
use hgq_onnx::diagnostic::Code;
use hgq_onnx::graph::import;
use hgq_onnx::onnx::codec::decode;
use hgq_onnx::onnx::limits::Limits;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Tests of functions that a table takes the place of, with a warning: how far they may be off.
const APPROXIMATED: [(&str, f64); 2] = [("test_gelu", 0.021), ("test_erf", 0.05)];
/// Tests that pass, by name.
const PASSING: usize = 150;

/// What became of one file.
enum Verdict {
    Refused,
    /// Nothing to compare: class labels, or the batch of the file was reduced.
    Labels,
    Right,
    Wrong(String),
}

fn verdict(path: &Path) -> Verdict {
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let bytes = std::fs::read(path).unwrap();
    let Ok(model) = decode(&bytes, &Limits::default()) else { return Verdict::Refused };
    let Ok(imported) = import(&model) else { return Verdict::Refused };
    if imported.decoded.contains(&true) || imported.notes.iter().any(|n| n.code == Code::BatchReduced) {
        return Verdict::Labels;
    }
    let arrays = Arrays::load(&path.with_extension("npz"));
    let inputs: Vec<Vec<f32>> = (0..imported.graph.inputs.len()).map(|n| arrays.f32(&format!("x{n}"))).collect();
    let slices: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let samples = inputs[0].len() / imported.graph.len_of(imported.graph.inputs[0]);
    let outputs = evaluate(&imported, &slices, samples);
    let file: Vec<String> = model.graph.as_ref().unwrap().output.iter().map(|o| o.name().to_string()).collect();
    let allowed = APPROXIMATED.iter().find(|(test, _)| name.starts_with(test)).map_or(1e-4, |(_, off)| *off);
    for (&value, found) in imported.graph.outputs.iter().zip(&outputs) {
        let Some(at) = file.iter().position(|o| *o == imported.graph.values[value].name) else { continue };
        let expected = arrays.get(&format!("y{at}"));
        if expected.len() != found.len() {
            return Verdict::Wrong(format!("{name}: {} elements, not {}", found.len(), expected.len()));
        }
        let differs = |(a, b): (&f64, &f64)| (a - b).abs() > allowed * (1.0 + b.abs());
        if let Some(e) = found.iter().zip(expected).position(differs) {
            return Verdict::Wrong(format!("{name}: element {e} of {samples} samples is {}, not {}", found[e], expected[e]));
        }
    }
    Verdict::Right
}

#[test]
#[ignore = "needs python3 and packages"]
fn operators_give_what_onnx_says() {
    let Some(python) = hls4ml::python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/hls4ml/node_cases.py");
    let done = Command::new(python).arg(script).arg(dir.path()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "onnx"));
    files.sort();
    let (mut right, mut wrong) = (BTreeSet::new(), Vec::new());
    for file in &files {
        match verdict(file) {
            Verdict::Right => {
                let name = file.file_stem().unwrap().to_string_lossy().into_owned();
                right.insert(name.trim_end_matches("__all").to_string());
            }
            Verdict::Wrong(what) => wrong.push(what),
            Verdict::Refused | Verdict::Labels => {}
        }
    }
    println!("{} of {} files pass", right.len(), files.len());
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(right.len() >= PASSING, "{} pass: {right:?}", right.len());
}
