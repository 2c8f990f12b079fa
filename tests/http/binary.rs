//! The program itself with curl.

use crate::support::files::fixture;
use crate::support::server::Server;
use std::process::Command;

/// Runs the command line in a directory of its own.
fn hgq(args: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_hgq-onnx")).args(args).output().unwrap()
}

#[test]
fn it_is_well_until_it_is_told_to_stop() {
    let server = Server::start(&[]);
    let health = |url: &str| hgq(&["health", "--url", url]).status.code();
    assert_eq!(health(&server.url), Some(0));
    let url = server.url.clone();
    assert_eq!(server.stop(), Some(0));
    assert_ne!(health(&url), Some(0));
    assert_eq!(health("https://x"), Some(3));
}

/// curl gets the bytes that the command line writes for the same seed and threads.
#[test]
fn curl_gets_what_the_command_line_writes() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("SKIPPED: curl is not installed, the service was not compared with the command line");
        return;
    }
    let server = Server::start(&[]);
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| fixture("digits").join(name).to_str().unwrap().to_string();
    let (model, calibration, train) = (path("digits_mlp.onnx"), path("calibration.npz"), path("train.npz"));
    let (got, out) = (dir.path().join("got.onnx"), dir.path().join("out"));
    let status = Command::new("curl")
        .args(["-sS", "-w", "%{http_code}", "-F", &format!("model=@{model}"), "-F", &format!("calibration=@{calibration}")])
        .args(["-F", &format!("train=@{train}"), "-F", "config={\"epochs\": 5, \"seed\": 3, \"threads\": 1}", "-o"])
        .arg(&got)
        .arg(format!("{}/v1/convert", server.url))
        .output()
        .unwrap();
    let got = std::fs::read(got).unwrap();
    assert_eq!(String::from_utf8_lossy(&status.stdout), "200", "{}", String::from_utf8_lossy(&got));
    let job = ["convert", &model, "--calibration", &calibration, "--train", &train, "--epochs", "5", "--seed", "3"];
    let output = hgq(&[&job[..], &["--threads", "1", "--out", out.to_str().unwrap()]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(got == std::fs::read(out.join("proxy.onnx")).unwrap(), "the service and the command line give different proxies");
}

/// The script of docs/ci.md: a pipeline that gets its proxy, and one that misses its target and
/// keeps the nearest.
#[test]
fn the_script_for_pipelines() {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ci.md")).unwrap();
    let script = docs.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("tokens");
    let made = hgq(&["token", "ci"]);
    std::fs::write(&tokens, &made.stderr).unwrap();
    let token = String::from_utf8(made.stdout).unwrap();
    let server = Server::start(&["--tokens", tokens.to_str().unwrap()]);
    std::fs::write(dir.path().join("hgq.sh"), script).unwrap();
    std::fs::copy(fixture("digits").join("digits_mlp.onnx"), dir.path().join("model.onnx")).unwrap();
    for name in ["calibration.npz", "train.npz"] {
        std::fs::copy(fixture("digits").join(name), dir.path().join(name)).unwrap();
    }
    let run = |config: &str, token: &str| {
        let _ = std::fs::remove_file(dir.path().join("proxy.onnx"));
        let output = Command::new("sh")
            .arg("hgq.sh")
            .current_dir(dir.path())
            .envs([("HGQ_URL", server.url.as_str()), ("HGQ_TOKEN", token.trim()), ("HGQ_CONFIG", config), ("HGQ_KEY", config)])
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned(), dir.path().join("proxy.onnx").exists())
    };
    let (status, stderr, proxy) = run("{\"target_ebops\": 5000, \"epochs\": 60}", &token);
    assert_eq!((status, proxy), (Some(0), true), "{stderr}");
    let (status, stderr, proxy) = run("{\"target_ebops\": 500, \"epochs\": 1}", &token);
    assert_eq!((status, proxy), (Some(1), true), "{stderr}");
    assert!(stderr.contains("the target was missed"), "{stderr}");
    let (status, stderr, proxy) = run("{}", "hgq_wrong");
    assert!(status != Some(0) && !proxy && stderr.contains("401"), "{stderr}");
}
