//! A client that does not give up: it sends a job under a key until it is taken, and asks until it
//! is done.

use crate::support::files::fixture;
use crate::support::server::curl;
use hgq_onnx::convert::{DataFile, Job, JobConfig, run};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub fn digits(name: &str) -> PathBuf {
    fixture("digits").join(name)
}

/// A part of curl's `-F` that sends a file of digits.
pub fn part(name: &str, file: &str) -> String {
    format!("{name}=@{}", digits(file).display())
}

/// A job that takes a fraction of a second.
pub fn config(seed: u64) -> String {
    format!("{{\"epochs\": 3, \"polish\": false, \"threads\": 1, \"target_ebops\": 9000, \"seed\": {seed}}}")
}

/// What the command line writes for it.
pub fn expected(seed: u64) -> Vec<u8> {
    expected_of(&config(seed))
}

/// What the command line writes for a configuration.
pub fn expected_of(config: &str) -> Vec<u8> {
    let read = |name: &str| std::fs::read(digits(name)).unwrap();
    let data = |name: &str| DataFile::new(name, read(name));
    let job = Job {
        model: read("digits_mlp.onnx"),
        calibration: data("calibration.npz"),
        train: Some(data("train.npz")),
        validation: None,
        config: JobConfig::from_json(config.as_bytes()).unwrap(),
    };
    run(&job, &mut |_| {}, &AtomicBool::new(false)).unwrap().proxy
}

/// Sends the job of `seed` until it is taken; returns its path.
pub fn submit(url: &str, seed: u64) -> String {
    submit_as(url, &format!("seed-{seed}"), &config(seed))
}

/// Sends a job under a key until it is taken; returns its path.
pub fn submit_as(url: &str, key: &str, config: &str) -> String {
    let key = format!("Idempotency-Key: {key}");
    let (config, jobs) = (format!("config={config}"), format!("{url}/v1/jobs"));
    loop {
        let answer = curl(&[
            "-H",
            &key,
            "-F",
            &part("model", "digits_mlp.onnx"),
            "-F",
            &part("calibration", "calibration.npz"),
            "-F",
            &part("train", "train.npz"),
            "-F",
            &config,
            &jobs,
        ]);
        match answer {
            Some((202, body)) => {
                let job: Value = serde_json::from_slice(&body).unwrap();
                return format!("/v1/jobs/{}", job["id"].as_str().unwrap());
            }
            // not there, or about to go
            None | Some((503 | 429, _)) => std::thread::sleep(Duration::from_millis(20)),
            Some((status, body)) => panic!("{status}: {}", String::from_utf8_lossy(&body)),
        }
    }
}

/// Asks until there is an answer.
pub fn get(url: &str, path: &str) -> Vec<u8> {
    loop {
        match curl(&[&format!("{url}{path}")]) {
            Some((200, body)) => return body,
            None | Some((503 | 429, _)) => std::thread::sleep(Duration::from_millis(20)),
            Some((status, body)) => panic!("{path}: {status}: {}", String::from_utf8_lossy(&body)),
        }
    }
}

/// Waits for a job to end.
pub fn ended(url: &str, path: &str) -> Value {
    loop {
        let job: Value = serde_json::from_slice(&get(url, &format!("{path}?wait=20s"))).unwrap();
        if !matches!(job["state"].as_str(), Some("queued" | "running")) {
            return job;
        }
    }
}

/// `work` of each seed below `jobs`, by `clients` at the same time.
pub fn by_many(clients: u64, jobs: u64, work: impl Fn(u64) + Sync) {
    std::thread::scope(|scope| {
        for client in 0..clients {
            let work = &work;
            scope.spawn(move || (client..jobs).step_by(clients as usize).for_each(work));
        }
    });
}
