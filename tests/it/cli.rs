//! The command line as its users meet it: exit status, messages, and the files that it leaves.

use crate::support::faults::faults;
use crate::support::files::{images, npz};
use crate::support::program::{hgq, workplace};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Names of everything in a directory, with hidden files.
fn listing(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn wrong_usage_is_status_3_and_leaves_nothing() {
    let dir = workplace();
    let before = listing(dir.path());
    let job = ["convert", "digits_mlp.onnx", "--calibration", "calibration.npz"];
    let rows: &[(&[&str], &[&str])] = &[
        (&["convert"], &["--calibration", "MODEL.onnx"]),
        (&["nonsense"], &["nonsense"]),
        (&[&job[..], &["--epoch", "3"]].concat(), &["--epoch"]),
        (&[&job[..], &["--epochs", "three"]].concat(), &["--epochs", "three"]),
        (&[&job[..], &["--form", "sum"]].concat(), &["--form", "sums"]),
        (&[&job[..], &["--target-ebops", "10", "--beta-start", "1"]].concat(), &["--target-ebops", "--beta-start"]),
        (&[&job[..], &["--beta-start", "1"]].concat(), &["--beta-end"]),
        (&[&job[..], &["--target-ebops", "0", "--threads", "0"]].concat(), &["target_ebops", "threads"]),
        (&[&job[..], &["--out", "digits_mlp.onnx"]].concat(), &["--out digits_mlp.onnx", "not a directory"]),
        (&[&job[..], &["--out", "digits_mlp.onnx/x"]].concat(), &["--out digits_mlp.onnx/x"]),
        (&["convert", "no.onnx", "--calibration", "no.npz", "--train", "also-no.npz"], &["no.onnx", "no.npz", "also-no.npz"]),
        (&["inspect", "no.onnx"], &["no.onnx"]),
        (&["inspect", "."], &["."]),
        (&["verify", "digits_mlp.onnx", "--inputs", "no.npz"], &["no.npz"]),
        (&["trace", "digits_mlp.onnx", "--calibration", "no.npz"], &["no.npz"]),
    ];
    for (args, says) in rows {
        let output = hgq(dir.path(), args);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(3), "{args:?}: {message}");
        for word in *says {
            assert!(message.contains(word), "{args:?}: `{word}` is not in: {message}");
        }
        assert!(output.stdout.is_empty(), "{args:?}");
        assert_eq!(listing(dir.path()), before, "{args:?}");
    }
}

#[test]
fn a_wrong_configuration_names_file_and_fields() {
    let dir = workplace();
    let job = ["convert", "digits_mlp.onnx", "--calibration", "calibration.npz", "--config", "job.json"];
    let rows: &[(&str, &[&str], &[&str])] = &[
        (r#"{"epoch": 3}"#, &[], &["job.json", "epoch"]),
        (r#"{"beta": {"start": 1, "end": 2, "slope": 1}}"#, &[], &["job.json", "slope"]),
        ("{", &[], &["job.json", "line 1"]),
        (r#"{"seed": "x"}"#, &[], &["job.json", "expected u64"]),
        (r#"{"batch_size": 0, "gamma": -1, "cover_factor": 0}"#, &[], &["batch_size", "gamma", "cover_factor"]),
        (r#"{"batch_size": 0}"#, &["--threads", "1000"], &["batch_size", "threads"]),
    ];
    for (config, flags, says) in rows {
        std::fs::write(dir.path().join("job.json"), config).unwrap();
        let output = hgq(dir.path(), &[&job[..], flags].concat());
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(3), "{config}: {message}");
        for word in *says {
            assert!(message.contains(word), "{config}: `{word}` is not in: {message}");
        }
    }
}

/// With --json a failure is a document on stdout too.
#[test]
fn a_failure_is_json_when_asked() {
    let dir = workplace();
    let output = hgq(dir.path(), &["convert", "no.onnx", "--calibration", "no.npz", "--json"]);
    assert_eq!(output.status.code(), Some(3));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["error"]["code"], "bad_data");
    assert_eq!(document["error"]["faults"].as_array().unwrap().len(), 2);
    assert!(stderr(&output).starts_with("error: "));
}

#[test]
#[cfg(feature = "serve")]
fn serving_to_others_must_be_asked_for() {
    let output = hgq(Path::new("."), &["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("--tokens"), "{}", stderr(&output));
}

#[test]
fn faulty_files_are_named_and_leave_nothing() {
    for fault in faults() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
        put("model.onnx", &fault.model);
        put("calibration.npz", &fault.calibration);
        let mut args =
            vec!["convert", "model.onnx", "--calibration", "calibration.npz", "--epochs", "2", "--json", "--out", "a/b"];
        if let Some(train) = &fault.train {
            put("train.npz", train);
            args.extend(["--train", "train.npz"]);
        }
        let before = listing(dir.path());
        let output = hgq(dir.path(), &args);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(fault.exit), "{}: {message}", fault.what);
        for word in fault.says {
            assert!(message.contains(word), "{}: `{word}` is not in: {message}", fault.what);
        }
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(document["error"]["code"], fault.http.1, "{}", fault.what);
        assert_eq!(listing(dir.path()), before, "{}", fault.what);
    }
}

/// All files of a run, events on stderr, the same bytes again, and the proxy's own outputs
/// verified.
#[test]
fn a_conversion_leaves_all_its_files() {
    let dir = workplace();
    let job = ["convert", "digits_mlp.onnx", "--calibration", "calibration.npz", "--train", "train.npz", "--epochs", "8"];
    let settings = ["--target-ebops", "20000", "--threads", "1", "--seed", "3", "--json"];
    let output = hgq(dir.path(), &[&job[..], &settings, &["--out", "deep/out"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let events: Vec<Value> = stderr(&output).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(events.iter().filter(|e| e["event"] == "epoch").count(), 8);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let out = dir.path().join("deep/out");
    assert_eq!(listing(&out), ["hls4ml_config.json", "pareto", "proxy.onnx", "report.html", "report.json"]);
    assert_eq!(listing(&dir.path().join("deep")), ["out"]);
    assert_eq!(serde_json::from_slice::<Value>(&std::fs::read(out.join("report.json")).unwrap()).unwrap(), report);
    let pareto: Value = serde_json::from_slice(&std::fs::read(out.join("pareto/pareto.json")).unwrap()).unwrap();
    let front = pareto.as_array().unwrap().len();
    assert!(front > 0);
    for n in 0..front {
        assert!(out.join(format!("pareto/{n}/proxy.onnx")).is_file(), "{n} of {front}");
    }

    let again = hgq(dir.path(), &[&job[..], &settings, &["--out", "again"]].concat());
    assert_eq!(again.status.code(), Some(0));
    let proxy = std::fs::read(out.join("proxy.onnx")).unwrap();
    assert!(proxy == std::fs::read(dir.path().join("again/proxy.onnx")).unwrap(), "same seed and threads, other bytes");

    let verify = ["verify", "deep/out/proxy.onnx", "--inputs", "test.npz", "--json"];
    let output = hgq(dir.path(), &[&verify[..], &["--outputs", "y.npz"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let output = hgq(dir.path(), &[&verify[..], &["--expected", "y.npz"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["samples"], 360);
    assert_eq!(document["mismatches"], 0);
    // The calibration images are others: some of their outputs must differ from y.
    std::fs::write(dir.path().join("other.npz"), npz(64, &images(360), None)).unwrap();
    let output = hgq(dir.path(), &["verify", "deep/out/proxy.onnx", "--inputs", "other.npz", "--expected", "y.npz"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("differ"), "{}", stderr(&output));
}

#[test]
fn inspect_and_trace_answer_people_and_programs() {
    let dir = workplace();
    for args in [&["inspect", "digits_mlp.onnx"][..], &["trace", "digits_mlp.onnx", "--calibration", "calibration.npz"]] {
        let text = hgq(dir.path(), args);
        assert_eq!(text.status.code(), Some(0), "{}", stderr(&text));
        assert!(text.stdout.len() > 100 && serde_json::from_slice::<Value>(&text.stdout).is_err());
        let json = hgq(dir.path(), &[args, &["--json"]].concat());
        assert!(serde_json::from_slice::<Value>(&json.stdout).unwrap().is_object());
    }
}

/// Ctrl-C in the middle of the training ends it; of files only what it can go on from is left.
#[test]
fn an_interrupt_cancels_and_leaves_nothing_but_a_checkpoint() {
    let dir = workplace();
    let before = listing(dir.path());
    let mut child = Command::new(env!("CARGO_BIN_EXE_hgq-onnx"))
        .args(["convert", "digits_mlp.onnx", "--calibration", "calibration.npz", "--train", "train.npz"])
        .args(["--epochs", "100000", "--out", "out"])
        .current_dir(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let first = lines.by_ref().map_while(Result::ok).find(|l| l.contains("\"epoch\""));
    assert!(first.is_some(), "no epoch was seen");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(child.wait().unwrap().code(), Some(4));
    assert!(rest.iter().any(|l| l.contains("canceled")), "{rest:?}");
    let mut after = listing(dir.path());
    after.retain(|name| name != "out.checkpoint");
    assert_eq!(after, before);
}

fn convert(dir: &Path, extra: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hgq-onnx"));
    command.args(["convert", "digits_mlp.onnx", "--calibration", "calibration.npz", "--train", "train.npz"]);
    command.args(["--config", "job.json"]).args(extra).current_dir(dir).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// A run that is killed in the middle goes on from its checkpoint, and the files are those of a run
/// that was not.
#[test]
fn a_killed_run_goes_on_to_the_same_bytes() {
    let dir = workplace();
    let job = r#"{"epochs": 400, "threads": 2, "target_ebops": 3000, "checkpoint_epochs": 10}"#;
    std::fs::write(dir.path().join("job.json"), job).unwrap();
    let whole = convert(dir.path(), &["--out", "whole"]).output().unwrap();
    assert_eq!(whole.status.code(), Some(0), "{}", stderr(&whole));
    // once in the trunk, once in a branch
    let mut seen = 0;
    for epoch in [60, 280] {
        let mut child = convert(dir.path(), &["--out", "out"]).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let reached = |l: &String| {
            let event: Value = serde_json::from_str(l).unwrap_or_default();
            event["event"] == "epoch" && event["epoch"].as_u64() >= Some(epoch)
        };
        let at: Value = serde_json::from_str(&lines.find(reached).expect("the epoch")).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(dir.path().join("out.checkpoint").is_file() && !dir.path().join("out").exists());
        assert!(at["epoch"].as_u64().unwrap() > seen);
        seen = at["epoch"].as_u64().unwrap();
    }
    let rest = convert(dir.path(), &["--out", "out"]).output().unwrap();
    let told = stderr(&rest);
    assert_eq!(rest.status.code(), Some(0), "{told}");
    assert!(told.contains("\"resumed\"") && !told.contains("\"epoch\":10,"), "{told}");
    // the page has the course of the whole training
    for file in ["proxy.onnx", "report.html"] {
        let bytes = |name: &str| std::fs::read(dir.path().join(name).join(file)).unwrap();
        assert!(bytes("out") == bytes("whole"), "{file}");
    }
    assert!(!dir.path().join("out.checkpoint").exists());
}

/// The checkpoint of another job is not taken up.
#[test]
fn another_jobs_checkpoint_is_ignored() {
    let dir = workplace();
    std::fs::write(dir.path().join("job.json"), r#"{"epochs": 3, "threads": 1}"#).unwrap();
    std::fs::write(dir.path().join("out.checkpoint"), b"something else").unwrap();
    let done = convert(dir.path(), &["--out", "out"]).output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    assert!(stderr(&done).contains("checkpoint_ignored"));
}

/// A target that cannot be reached: status 1, and the nearest model all the same.
#[test]
fn a_missed_target_still_leaves_the_nearest_model() {
    let dir = workplace();
    for epochs in [2, 0] {
        let job = format!(r#"{{"epochs": {epochs}, "threads": 1, "target_ebops": 20}}"#);
        std::fs::write(dir.path().join("job.json"), job).unwrap();
        let out = format!("out{epochs}");
        let done = convert(dir.path(), &["--out", &out]).output().unwrap();
        assert_eq!(done.status.code(), Some(1));
        assert!(stderr(&done).contains("error: target_ebops 20 was not reached"), "{}", stderr(&done));
        let report: Value = serde_json::from_slice(&std::fs::read(dir.path().join(&out).join("report.json")).unwrap()).unwrap();
        assert_eq!(report["target"]["met"], false);
        assert!(dir.path().join(&out).join("proxy.onnx").is_file());
    }
}
