//! The script of docs/ci.md when something is wrong: it says what, and ends.

use super::pages::{blocks, root};
use crate::support::files::fixture;
use crate::support::server::Server;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

/// What a reader waits for at most.
const SECONDS: u64 = 60;

fn script() -> String {
    let page = fs::read_to_string(root().join("docs/ci.md")).unwrap();
    let found = blocks(&page).into_iter().find(|b| b.file() == Some("hgq.sh"));
    found.expect("the page has the script").text
}

fn run(dir: &Path, url: &str, token: &str, config: &str) -> (Output, String) {
    let since = Instant::now();
    let output = Command::new("sh")
        .arg("hgq.sh")
        .current_dir(dir)
        .envs([("HGQ_URL", url), ("HGQ_TOKEN", token), ("HGQ_CONFIG", config)])
        .output()
        .unwrap();
    assert!(since.elapsed().as_secs() < SECONDS, "it took {:?}", since.elapsed());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, said)
}

#[test]
fn the_script_says_why_and_stops() {
    let dir = tempfile::tempdir().unwrap();
    for (from, to) in [("digits_mlp.onnx", "model.onnx"), ("calibration.npz", "calibration.npz"), ("train.npz", "train.npz")] {
        fs::copy(fixture("digits").join(from), dir.path().join(to)).unwrap();
    }
    fs::write(dir.path().join("hgq.sh"), script()).unwrap();
    let made = Command::new(env!("CARGO_BIN_EXE_hgq-onnx")).args(["token", "ci"]).output().unwrap();
    let tokens = dir.path().join("tokens");
    fs::write(&tokens, &made.stderr).unwrap();
    let token = String::from_utf8(made.stdout).unwrap();
    let server = Server::start(&["--tokens", tokens.to_str().unwrap()]);
    let refused = |url: &str, token: &str, config: &str, words: &[&str]| {
        let (output, said) = run(dir.path(), url, token.trim(), config);
        assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
        for word in words {
            assert!(said.contains(word), "{word}: {said}");
        }
        assert!(!dir.path().join("proxy.onnx").exists() && !dir.path().join("hgq.answer").exists());
    };
    let short = r#"{"epochs": 1}"#;
    let wrong = r#"{"epochz": 1, "proxy": {"form": "foo"}}"#;
    refused(&server.url, &token, wrong, &["did you mean `epochs`?", "proxy.form", "`sums`"]);
    refused(&server.url, "nobody", short, &["token"]);
    fs::rename(dir.path().join("model.onnx"), dir.path().join("kept")).unwrap();
    fs::write(dir.path().join("model.onnx"), "no model").unwrap();
    refused(&server.url, &token, short, &["model", "begin like an ONNX file"]);
    // what begins like one is read by the job
    let whole = fs::read(dir.path().join("kept")).unwrap();
    fs::write(dir.path().join("model.onnx"), &whole[..whole.len() / 2]).unwrap();
    let (output, said) = run(dir.path(), &server.url, token.trim(), short);
    assert!(output.status.code() == Some(1) && said.contains("failed: model"), "{said}");
    fs::rename(dir.path().join("kept"), dir.path().join("model.onnx")).unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    refused(&format!("http://127.0.0.1:{closed}"), &token, short, &["curl"]);
    refused("http://no-such-host.invalid", &token, short, &["curl"]);
    // and a target that is missed
    let (output, said) = run(dir.path(), &server.url, token.trim(), r#"{"epochs": 1, "target_ebops": 1}"#);
    assert!(output.status.code() == Some(1) && said.contains("target was missed") && said.contains("target_ebops 1"), "{said}");
    assert!(dir.path().join("proxy.onnx").exists() && dir.path().join("report.json").exists());
    let (output, said) = run(dir.path(), &server.url, token.trim(), short);
    assert!(output.status.success(), "{said}");
}
