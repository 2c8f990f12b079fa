//! Services and workers as processes that share NATS: what happens to jobs when any of them is
//! killed.
#![cfg(feature = "farm")]

use crate::support::files::fixture;
use crate::support::nats;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest wait for anything; everything takes seconds at most, on a busy machine some more.
const LONG: Duration = Duration::from_secs(300);
/// Longest time for what is to be done at once.
const SOON: Duration = Duration::from_secs(30);

/// A process of the program.
struct Process {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    _data: TempDir,
}

impl Process {
    fn start(command: &[&str], nats: &str, options: &[&str]) -> Process {
        let data = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_hgq-onnx"))
            .args(command)
            .args(["--nats", nats, "--ack-wait", "3", "--data"])
            .arg(data.path())
            .args(options)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (lines, kept) = (BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok), log.clone());
        std::thread::spawn(move || lines.for_each(|line| kept.lock().unwrap().push(line)));
        Process { child, log, _data: data }
    }

    fn worker(nats: &str, options: &[&str]) -> Process {
        let worker = Process::start(&["worker"], nats, options);
        worker.logged("working");
        worker
    }

    /// The first line of its log with this text.
    fn logged(&self, text: &str) -> String {
        until(text, || self.log.lock().unwrap().iter().find(|l| l.contains(text)).cloned())
    }

    fn has_logged(&self, text: &str) -> bool {
        self.log.lock().unwrap().iter().any(|l| l.contains(text))
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM: it ends well, and soon.
    fn stop(mut self) {
        let began = Instant::now();
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{:#?}", self.log.lock().unwrap());
        assert!(began.elapsed() < SOON);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("{}", self.log.lock().unwrap().join("\n"));
        }
    }
}

/// Waits for something.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LONG;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited for: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A service without workers of its own.
struct Service {
    process: Process,
    url: String,
}

impl Service {
    fn start(nats: &str, options: &[&str]) -> Service {
        let process = Process::start(&["serve", "--listen", "127.0.0.1:0", "--jobs", "0"], nats, options);
        let line: Value = serde_json::from_str(&process.logged("listening")).unwrap();
        let url = format!("http://{}", line["fields"]["address"].as_str().unwrap());
        Service { process, url }
    }

    /// Status and body of an answer.
    fn ask(&self, path: &str, options: &[&str]) -> (u16, Vec<u8>) {
        let url = format!("{}{path}", self.url);
        let output = Command::new("curl").args(["-sS", "-w", "%{http_code}"]).args(options).arg(url).output().unwrap();
        let (body, status) = output.stdout.split_at(output.stdout.len() - 3);
        (std::str::from_utf8(status).unwrap().parse().unwrap(), body.to_vec())
    }

    /// The same of what is asked again as long as the answer is to come later: NATS is away, or a
    /// cluster elects leaders.
    fn get(&self, path: &str) -> (u16, Vec<u8>) {
        until(path, || Some(self.ask(path, &[])).filter(|(status, _)| *status != 503))
    }

    /// Queues a job; its address.
    fn submit(&self, config: &Value) -> String {
        let parts = parts().map(|(name, path)| format!("{name}=@{path}")).into_iter().chain([format!("config={config}")]);
        let options: Vec<String> = parts.flat_map(|p| ["-F".into(), p]).collect();
        let body = until("a place in the queue", || {
            let (status, body) = self.ask("/v1/jobs", &options.iter().map(String::as_str).collect::<Vec<&str>>());
            // 503: a cluster elects leaders
            assert!(matches!(status, 202 | 503), "{status}: {}", String::from_utf8_lossy(&body));
            (status == 202).then_some(body)
        });
        let job: Value = serde_json::from_slice(&body).unwrap();
        format!("/v1/jobs/{}", job["id"].as_str().unwrap())
    }

    fn job(&self, job: &str) -> Value {
        let (status, body) = self.get(job);
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }

    /// Waits until the job has trained for so many epochs.
    fn trained(&self, job: &str, epochs: u64) {
        until("epochs", || (self.job(job)["progress"]["epoch"].as_u64()? >= epochs).then_some(()));
    }

    /// Waits for the end of a job, which is a good one; its proxy.
    fn done(&self, job: &str) -> Vec<u8> {
        let ended = until("the end of a job", || {
            let (status, body) = self.get(&format!("{job}?wait=10s"));
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
            let found: Value = serde_json::from_slice(&body).unwrap();
            (!matches!(found["state"].as_str(), Some("queued" | "running"))).then_some(found)
        });
        assert_eq!(ended["state"], "succeeded", "{ended:#}");
        let (status, proxy) = self.get(&format!("{job}/artifacts/proxy.onnx"));
        assert_eq!(status, 200);
        proxy
    }

    /// Kinds and data of the events of a job that is over; their numbers have no gaps.
    fn events(&self, job: &str) -> Vec<(String, Value)> {
        let (status, body) = self.get(&format!("{job}/events"));
        assert_eq!(status, 200);
        let text = String::from_utf8(body).unwrap();
        let field = |name: &str| -> Vec<String> {
            text.lines().filter_map(|l| l.strip_prefix(name)?.strip_prefix(':')).map(|v| v.trim().to_string()).collect()
        };
        let ids: Vec<u64> = field("id").iter().map(|i| i.parse().unwrap()).collect();
        assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<u64>>());
        field("event").into_iter().zip(field("data").iter().map(|d| serde_json::from_str(d).unwrap())).collect()
    }
}

fn parts() -> [(&'static str, String); 3] {
    let path = |name: &str| fixture("digits").join(name).to_str().unwrap().to_string();
    [("model", path("digits_mlp.onnx")), ("calibration", path("calibration.npz")), ("train", path("train.npz"))]
}

/// A job of some milliseconds per epoch, with many checkpoints.
fn config(seed: u64, epochs: u64) -> Value {
    json!({"epochs": epochs, "seed": seed, "threads": 1, "polish": false, "checkpoint_epochs": 50})
}

/// What the command line makes of the same.
fn command_line(config: &Value) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("job.json");
    std::fs::write(&file, config.to_string()).unwrap();
    let [(_, model), (_, calibration), (_, train)] = parts();
    let output = Command::new(env!("CARGO_BIN_EXE_hgq-onnx"))
        .args(["convert", &model, "--calibration", &calibration, "--train", &train, "--config"])
        .arg(file)
        .arg("--out")
        .arg(dir.path().join("out"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(dir.path().join("out/proxy.onnx")).unwrap()
}

fn is_left_out() -> bool {
    !nats::is_installed()
}

#[test]
#[ignore = "needs nats-server"]
fn the_job_of_a_killed_worker_goes_on_at_another() {
    if is_left_out() {
        return;
    }
    let server = nats::Server::start();
    let service = Service::start(&server.url(), &[]);
    let mut workers = [Process::worker(&server.url(), &[]), Process::worker(&server.url(), &[])];
    let config = config(3, 1500);
    let job = service.submit(&config);
    service.trained(&job, 200);
    let holder = workers.iter().position(|w| w.has_logged("job begins")).unwrap();
    workers[holder].kill();
    assert!(service.done(&job) == command_line(&config), "the farm and the command line give different proxies");
    assert_eq!(service.job(&job)["attempts"], 2);
    let events = service.events(&job);
    assert!(events.iter().any(|(_, data)| data["code"] == "resumed"), "it goes on from its checkpoint");
    let states: Vec<&str> = events.iter().filter_map(|(kind, data)| (kind == "state").then(|| data["state"].as_str())?).collect();
    assert_eq!(states, ["queued", "running", "queued", "running", "succeeded"]);
    // what was done is not done again, wherever it is asked for
    let again = service.submit(&config);
    assert_eq!(service.job(&again)["state"], "succeeded");
    for (i, worker) in workers.into_iter().enumerate() {
        if i != holder {
            worker.stop();
        }
    }
    service.process.stop();
}

#[test]
#[ignore = "needs nats-server"]
fn a_worker_that_is_told_to_stop_gives_its_job_back() {
    if is_left_out() {
        return;
    }
    let server = nats::Server::start();
    let service = Service::start(&server.url(), &[]);
    let first = Process::worker(&server.url(), &["--grace", "0"]);
    let config = config(4, 1500);
    let job = service.submit(&config);
    service.trained(&job, 30);
    let second = Process::worker(&server.url(), &[]);
    first.stop();
    second.logged("job begins");
    assert!(service.done(&job) == command_line(&config));
    // the one of a running job ends within a batch
    let job = service.submit(&self::config(5, 10_000));
    service.trained(&job, 1);
    service.ask(&job, &["-X", "DELETE"]);
    until("the cancellation", || (service.job(&job)["state"] == "canceled").then_some(()));
}

#[test]
#[ignore = "needs nats-server"]
fn jobs_wait_for_nats() {
    if is_left_out() {
        return;
    }
    let mut server = nats::Server::start();
    let service = Service::start(&server.url(), &[]);
    let _worker = Process::worker(&server.url(), &[]);
    let config = config(6, 2000);
    let (running, waiting) = (service.submit(&config), service.submit(&self::config(7, 5)));
    service.trained(&running, 30);
    server.kill();
    let began = Instant::now();
    let (status, body) = service.ask(&running, &[]);
    assert_eq!(status, 503);
    assert!(String::from_utf8_lossy(&body).contains("storage_unavailable"));
    assert_eq!(service.ask("/readyz", &[]).0, 503);
    assert_eq!(service.ask("/healthz", &[]).0, 200);
    assert!(began.elapsed() < SOON, "a request does not hang");
    server.begin();
    assert!(service.done(&running) == command_line(&config));
    assert!(service.done(&waiting) == command_line(&self::config(7, 5)));
    until("readiness", || (service.ask("/readyz", &[]).0 == 200).then_some(()));
    service.events(&running);
}

#[test]
#[ignore = "needs nats-server"]
fn one_of_three_nats_servers_may_go() {
    if is_left_out() {
        return;
    }
    let mut servers = nats::Server::cluster();
    let urls = servers.iter().map(nats::Server::url).collect::<Vec<String>>().join(",");
    let options = ["--nats-replicas", "3"];
    let service = Service::start(&urls, &options);
    let _workers = [Process::worker(&urls, &options), Process::worker(&urls, &options)];
    let configs: Vec<Value> = (10..14).map(|seed| config(seed, 400)).collect();
    let jobs: Vec<String> = configs.iter().map(|c| service.submit(c)).collect();
    service.trained(&jobs[0], 20);
    servers[0].kill();
    for (job, config) in jobs.iter().zip(&configs) {
        assert!(service.done(job) == command_line(config));
        service.events(job);
    }
    // two of three are enough for new ones, and the third takes part again
    let more = config(14, 5);
    let job = until("a new job", || {
        let (status, _) = service.ask("/readyz", &[]);
        (status == 200).then(|| service.submit(&more))
    });
    servers[0].begin();
    assert!(service.done(&job) == command_line(&more));
}
