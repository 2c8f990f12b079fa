//! The processes of the Kubernetes manifests, started with their arguments: NATS takes its
//! configuration, probes are answered, and the metric that workers are scaled by is there. Nothing
//! but `--data` can be written to by name: home and temporary folder do not exist.

use super::containers::{IMAGE, instruction};
use super::kubernetes::{Objects, Part};
use super::manifests;
use crate::support::nats;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for a process to be ready, on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// Ended with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The arguments with other values for some options.
fn with(args: &Value, others: &[(&str, &str)]) -> Vec<String> {
    let args = args.as_array().unwrap().iter().map(|a| a.as_str().unwrap());
    args.map(|arg| match others.iter().find(|(option, _)| arg.split('=').next() == Some(option)) {
        Some((option, value)) => format!("{option}={value}"),
        None => arg.to_string(),
    })
    .collect()
}

/// Starts the program; its first line of the log with `text`.
fn start(args: &[String], text: &str) -> (Process, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hgq-onnx"));
    command.args(args).env("HOME", "/nonexistent").env("TMPDIR", "/nonexistent").current_dir("/").stderr(Stdio::piped());
    let mut process = Process(command.spawn().unwrap());
    let mut lines = BufReader::new(process.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find(|l| l.contains(text)).unwrap_or_else(|| panic!("{args:?} ends without saying {text}"));
    // kept open: the process goes on to log
    std::thread::spawn(move || lines.for_each(drop));
    (process, line)
}

/// Status line and all that follows.
fn get(address: &str, path: &str, token: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(LONG)).ok()?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn part<'a>(objects: &Objects<'a>, container: &str) -> Part<'a> {
    objects.parts().into_iter().find(|p| p.container["name"] == container).unwrap_or_else(|| panic!("no container {container}"))
}

/// NATS with a monitor, as the probes of its manifest ask it.
fn nats_is_probed(objects: &Objects) {
    let dir = tempfile::tempdir().unwrap();
    let config = objects.0.iter().find(|o| o["kind"] == "ConfigMap").unwrap();
    let file = dir.path().join("nats.conf");
    fs::write(&file, config["data"]["nats.conf"].as_str().unwrap()).unwrap();
    let tried = Command::new("nats-server").arg("-t").arg("-c").arg(&file).env("POD_NAME", "hgq-nats-0").output().unwrap();
    assert!(tried.status.success(), "{}", String::from_utf8_lossy(&tried.stderr));
    let [port, monitor] = [(); 2].map(|()| nats::free_port().to_string());
    let mut command = Command::new("nats-server");
    command.args(["-js", "-a", "127.0.0.1", "-p", &port, "-m", &monitor, "-sd"]).arg(dir.path().join("data"));
    let _server = Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let probes = objects.probes();
    let of_nats: Vec<_> = probes.iter().filter(|p| p.image != IMAGE).collect();
    assert_eq!(of_nats.len(), 3, "{of_nats:?}");
    for probe in of_nats {
        answered(&format!("127.0.0.1:{monitor}"), probe.path, probe.kind);
    }
}

/// Waits for 200.
fn answered(address: &str, path: &str, kind: &str) {
    let until = Instant::now() + LONG;
    loop {
        let answer = get(address, path, "").unwrap_or_default();
        if answer.starts_with("HTTP/1.1 200") {
            return;
        }
        assert!(Instant::now() < until, "{kind}: {path}: {answer}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A token, which goes to stdout, and the file with its line, which goes to stderr.
fn token(dir: &Path) -> (String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_hgq-onnx")).args(["token", "ci"]).output().unwrap();
    assert!(output.status.success());
    let file = dir.join("tokens");
    fs::write(&file, output.stderr).unwrap();
    (String::from_utf8(output.stdout).unwrap().trim().to_string(), file.to_str().unwrap().to_string())
}

#[test]
#[ignore = "needs nats-server"]
fn probes_are_answered_by_the_processes_of_the_manifests() {
    if !nats::is_installed() {
        return;
    }
    let Some(read) = manifests::read("kubernetes", &manifests::kubernetes_files()) else { return };
    let objects = Objects(read.documents.iter().collect());
    nats_is_probed(&objects);

    let nats = nats::Server::start();
    let dir = tempfile::tempdir().unwrap();
    let data = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let (token, tokens) = token(dir.path());
    let (serve_data, worker_data, url) = (data("serve"), data("worker"), nats.url());
    let common = [("--nats", url.as_str()), ("--nats-replicas", "1")];
    let own = [("--listen", "127.0.0.1:0"), ("--tokens", &tokens), ("--data", &serve_data)];
    let (_serve, line) = start(&with(&part(&objects, "serve").container["args"], &[&common[..], &own].concat()), "listening");
    let line: Value = serde_json::from_str(&line).unwrap();
    let address = line["fields"]["address"].as_str().unwrap();
    let probes = objects.probes();
    let of_ours: Vec<_> = probes.iter().filter(|p| p.image == IMAGE).collect();
    assert_eq!(of_ours.len(), 3, "{of_ours:?}");
    for probe in of_ours {
        answered(address, probe.path, probe.kind);
    }
    // the image's own check
    let health = instruction("HEALTHCHECK").words();
    let url = format!("http://{address}");
    let asked = health[1..].iter().map(|w| if w.starts_with("http://") { &url } else { w });
    assert!(Command::new(env!("CARGO_BIN_EXE_hgq-onnx")).args(asked).status().unwrap().success());
    let args = with(&part(&objects, "worker").container["args"], &[&common[..], &[("--data", &worker_data)]].concat());
    let (_worker, _) = start(&args, "working");
    let scaler = objects.0.iter().find(|o| o["kind"] == "HorizontalPodAutoscaler").unwrap();
    let metrics = get(address, "/metrics", &token).unwrap();
    assert!(metrics.starts_with("HTTP/1.1 200"), "{metrics}");
    for metric in scaler["spec"]["metrics"].as_array().unwrap() {
        let name = metric["external"]["metric"]["name"].as_str().unwrap();
        assert!(metrics.lines().any(|l| l.starts_with(name)), "{name}: {metrics}");
    }
}
