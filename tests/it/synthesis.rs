//! `hgq-onnx report --hls`: reports of the vendors' tools on the front of a job.

use crate::support::files::{fixture, read};
use crate::support::program::{hgq, text, workplace};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A folder with a job's `out`.
fn job() -> tempfile::TempDir {
    let dir = workplace();
    let job = ["convert", "digits_mlp.onnx", "--calibration", "calibration.npz", "--train", "train.npz", "--out", "out"];
    let made = hgq(dir.path(), &[&job[..], &["--target-ebops", "20000", "--epochs", "3", "--threads", "1"]].concat());
    assert!(made.status.success(), "{}", text(&made.stderr));
    dir
}

/// What hls4ml leaves of a project made of `model`, after synthesis.
fn project(folder: &Path, model: &[u8]) {
    let reports = folder.join("net_prj/solution1/syn/report");
    fs::create_dir_all(&reports).unwrap();
    fs::write(folder.join("project.tcl"), "set project_name \"net\"\nset backend \"vitis\"\nset part \"xcvu13p-flga2577-2-e\"\n")
        .unwrap();
    fs::copy(fixture("synthesis").join("proxy_csynth.xml"), reports.join("net_csynth.xml")).unwrap();
    fs::copy(fixture("synthesis").join("vivado_synth.rpt"), folder.join("vivado_synth.rpt")).unwrap();
    let block: String = STANDARD.encode(model).as_bytes().chunks(76).map(|l| format!("      {}\n", text(l))).collect();
    let config = format!(
        "Backend: Vitis\nOnnxModel: !!python/object/apply:onnx.onnx_ml_pb2.ModelProto\n  state:\n    serialized: !!binary |\n{block}OutputDir: x\n"
    );
    fs::write(folder.join("hls4ml_config.yml"), config).unwrap();
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn reports_are_read_beside_the_estimates() {
    let dir = job();
    let out = dir.path().join("out");
    let before = json(&out.join("report.json"));
    let point = before["pareto"].as_array().unwrap().iter().find(|p| p["chosen"] == true).unwrap()["number"].clone();
    project(&dir.path().join("prj"), &fs::read(out.join("proxy.onnx")).unwrap());
    let said = hgq(dir.path(), &["report", "out", "--hls", "prj", "--json"]);
    assert!(said.status.success(), "{}", text(&said.stderr));
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    let expected = serde_json::json!([{
        "project": "prj", "point": point, "file": "proxy.onnx", "compared": true, "part": "xcvu13p-flga2577-2-e",
        "csynth": {
            "luts": 7012, "ff": 1893, "dsp": 0, "bram_18k": 2, "uram": 0, "target_clock_ns": 5.0, "estimated_clock_ns": 3.641,
            "latency_min": 12, "latency_max": 13, "interval_min": 1,
        },
        "vsynth": { "luts": 5120, "ff": 1650, "dsp": 0, "bram_18k": 3, "uram": 0 },
    }]);
    assert_eq!(said["synthesis"], expected);
    let mut after = json(&out.join("report.json"));
    assert_eq!(after["synthesis"], expected);
    after.as_object_mut().unwrap().remove("synthesis");
    assert_eq!(after, before, "nothing else changes");
    let page = || fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page().contains("5,120") && page().contains("7,012"));
    // the same once more, as a table: nothing is doubled
    let again = hgq(dir.path(), &["report", "out", "--hls", "prj"]);
    assert!(text(&again.stdout).contains("5120"), "{}", text(&again.stdout));
    assert_eq!(json(&out.join("report.json"))["synthesis"], expected);
    assert_eq!(page().matches("5,120").count(), 1);
}

#[test]
fn a_project_of_another_model_is_refused_unless_its_point_is_said() {
    let dir = job();
    project(&dir.path().join("prj"), &read("digits/digits_mlp.onnx"));
    fs::create_dir_all(dir.path().join("empty")).unwrap();
    let before = fs::read(dir.path().join("out/report.json")).unwrap();
    let refused = hgq(dir.path(), &["report", "out", "--hls", "prj", "--hls", "empty", "--hls", "99=prj", "--hls", "absent"]);
    assert_eq!(refused.status.code(), Some(3));
    for words in ["prj: made of another model", "empty: no project of hls4ml", "the front has no point 99", "absent: no project"]
    {
        assert!(text(&refused.stderr).contains(words), "`{words}` is not in: {}", text(&refused.stderr));
    }
    assert_eq!(fs::read(dir.path().join("out/report.json")).unwrap(), before, "nothing is written");
    let said = hgq(dir.path(), &["report", "out", "--hls", "0=prj", "--json"]);
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((&said["synthesis"][0]["compared"], &said["synthesis"][0]["point"]), (&Value::Bool(false), &0.into()));
}

#[test]
fn what_is_no_report_is_named() {
    let dir = job();
    let prj = dir.path().join("prj");
    project(&prj, &fs::read(dir.path().join("out/proxy.onnx")).unwrap());
    fs::write(prj.join("net_prj/solution1/syn/report/net_csynth.xml"), "<profile><AreaEst").unwrap();
    fs::write(prj.join("vivado_synth.rpt"), "| LUTs | many |\n1. x\n|||").unwrap();
    let refused = hgq(dir.path(), &["report", "out", "--hls", "prj"]);
    let said = text(&refused.stderr);
    assert!(
        refused.status.code() == Some(3) && said.contains("csynth.xml: not XML") && said.contains("vivado_synth.rpt: no row"),
        "{said}"
    );
    fs::remove_file(prj.join("net_prj/solution1/syn/report/net_csynth.xml")).unwrap();
    fs::remove_file(prj.join("vivado_synth.rpt")).unwrap();
    assert!(text(&hgq(dir.path(), &["report", "out", "--hls", "prj"]).stderr).contains("no report of synthesis"));
    fs::write(dir.path().join("out/report.json"), "{}").unwrap();
    assert!(text(&hgq(dir.path(), &["report", "out"]).stderr).contains("not a report of hgq-onnx"));
}
