//! `convert --server`: the same files, messages and exit status as a conversion on this machine.
#![cfg(feature = "remote")]

use crate::support::files::npz;
use crate::support::program::workplace;
use crate::support::server::{self, Server};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn command(dir: &Path, extra: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hgq-onnx"));
    command.args(["convert", "digits_mlp.onnx", "--calibration", "calibration.npz", "--train", "train.npz", "--threads", "1"]);
    command.args(extra).current_dir(dir).env_remove("HGQ_TOKEN").env_remove("HGQ_SERVER");
    command
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn error(output: &Output) -> (Option<i32>, Value) {
    let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(output)));
    (output.status.code(), document["error"]["code"].clone())
}

#[test]
fn the_same_files_as_on_this_machine() {
    let (dir, server) = (workplace(), Server::start(&[]));
    let job = ["--epochs", "20", "--target-ebops", "6000", "--seed", "5", "--json"];
    let here = command(dir.path(), &[&job[..], &["--out", "here"]].concat()).output().unwrap();
    let there = command(dir.path(), &[&job[..], &["--out", "there", "--server", &server.url]].concat()).output().unwrap();
    assert_eq!(there.status.code(), Some(0), "{}", text(&there));
    let events = |o: &Output| -> Vec<Value> {
        let lines = String::from_utf8_lossy(&o.stderr).into_owned();
        lines.lines().filter_map(|l| serde_json::from_str(l).ok()).collect()
    };
    assert_eq!(events(&here), events(&there), "the same progress");
    let files = |name: &str| {
        let output = Command::new("find").args([".", "-type", "f"]).current_dir(dir.path().join(name)).output().unwrap();
        let mut names: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(String::from).collect();
        names.sort();
        names
    };
    assert_eq!(files("here"), files("there"));
    for file in files("here").iter().filter(|f| !f.contains("report.")) {
        let read = |name: &str| std::fs::read(dir.path().join(name).join(file)).unwrap();
        assert!(read("here") == read("there"), "{file}");
    }
    let (mut a, mut b): (Value, Value) =
        (serde_json::from_slice(&here.stdout).unwrap(), serde_json::from_slice(&there.stdout).unwrap());
    for report in [&mut a, &mut b] {
        for varies in ["timing", "peak_memory_bytes"] {
            report.as_object_mut().unwrap().remove(varies);
        }
    }
    assert_eq!(a, b);
    // again: answered from the store, and nothing is sent twice
    let again = command(dir.path(), &[&job[..], &["--out", "again", "--server", &server.url]].concat()).output().unwrap();
    assert_eq!(again.status.code(), Some(0), "{}", text(&again));
    let read = |name: &str| std::fs::read(dir.path().join(name).join("proxy.onnx")).unwrap();
    assert!(read("again") == read("here"));
}

#[test]
fn the_same_exit_status_as_on_this_machine() {
    let (dir, server) = (workplace(), Server::start(&["--max-epochs", "500"]));
    let run = |extra: &[&str]| command(dir.path(), &[extra, &["--json", "--server", &server.url]].concat()).output().unwrap();
    let missed = run(&["--target-ebops", "10", "--epochs", "1", "--out", "missed"]);
    assert_eq!(missed.status.code(), Some(1), "{}", text(&missed));
    assert!(text(&missed).contains("was not reached") && dir.path().join("missed/proxy.onnx").is_file());
    // a limit of the service
    assert_eq!(error(&run(&["--epochs", "501"])), (Some(3), "bad_config".into()));
    // faults that only the job finds
    std::fs::write(dir.path().join("calibration.npz"), npz(7, &[0.5; 70], None)).unwrap();
    let refused = run(&["--epochs", "1"]);
    assert_eq!(error(&refused), (Some(3), "bad_data".into()));
    assert!(text(&refused).contains("shape"), "{}", text(&refused));
    std::fs::write(dir.path().join("digits_mlp.onnx"), b"\x08\x07 no model").unwrap();
    assert_eq!(error(&run(&["--epochs", "1"])), (Some(2), "not_onnx".into()));
    assert!(!dir.path().join("digits_mlp-hgq").exists(), "nothing is left of what failed");
}

#[test]
fn a_service_that_is_not_there_or_does_not_know_us() {
    let dir = workplace();
    let run = |extra: &[&str], token: &str| {
        let mut command = command(dir.path(), &[extra, &["--json", "--epochs", "1"]].concat());
        if !token.is_empty() {
            command.env("HGQ_TOKEN", token);
        }
        command.output().unwrap()
    };
    for (url, code, status) in [("localhost:8080", "bad_config", 3), ("http://[", "bad_config", 3)] {
        let output = run(&["--server", url], "");
        assert_eq!(error(&output), (Some(status), code.into()), "{}", text(&output));
    }
    // as good as none
    let mut command = command(dir.path(), &["--epochs", "1", "--out", "here"]);
    assert!(command.env("HGQ_SERVER", "").output().unwrap().status.success());
    let gone = run(&["--server", "http://127.0.0.1:1"], "");
    assert_eq!(error(&gone), (Some(4), "unreachable".into()), "{}", text(&gone));
    let made = Command::new(env!("CARGO_BIN_EXE_hgq-onnx")).args(["token", "ci"]).output().unwrap();
    std::fs::write(dir.path().join("tokens"), &made.stderr).unwrap();
    std::fs::write(dir.path().join("token"), &made.stdout).unwrap();
    let server = Server::start(&["--tokens", dir.path().join("tokens").to_str().unwrap()]);
    let url = server.url.as_str();
    assert_eq!(error(&run(&["--server", url], "")), (Some(3), "unauthorized".into()));
    assert_eq!(error(&run(&["--server", url], "hgq_wrong")), (Some(3), "unauthorized".into()));
    assert_eq!(error(&run(&["--server", url, "--token-file", "none"], "")), (Some(3), "bad_config".into()));
    let known = String::from_utf8(made.stdout).unwrap();
    for (flags, token) in [(&["--server", url][..], known.trim()), (&["--server", url, "--token-file", "token"], "")] {
        let output = run(&[flags, &["--dry-run"]].concat(), token);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        let output = run(flags, token);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    }
}

/// Ctrl-C ends the job there, too.
#[test]
fn an_interrupt_cancels_the_job() {
    let (dir, server) = (workplace(), Server::start(&[]));
    let mut child = command(dir.path(), &["--epochs", "9000", "--out", "out", "--server", &server.url])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.by_ref().any(|l| l.contains("\"epoch\"")), "no epoch was seen");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let rest: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(4), "{rest:?}");
    let (status, jobs) = server::curl(&[&format!("{}/v1/jobs", server.url)]).unwrap();
    let jobs: Value = serde_json::from_slice(&jobs).unwrap();
    // within a batch it has ended
    let job = &jobs["jobs"][0];
    assert!(status == 200 && (job["state"] == "canceled" || job["cancel_requested"] == true), "{jobs}");
    assert!(!dir.path().join("out").exists());
}
