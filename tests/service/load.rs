//! Many jobs of many clients: none lost, none done twice, all with the command line's bytes, also
//! where the service is killed again and again.

use super::client::{by_many, ended, expected, expected_of, get, submit, submit_as};
use crate::support::server::Server;
use serde_json::Value;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const JOBS: u64 = 300;
const CLIENTS: u64 = 20;
const KILLS: usize = 30;

/// All jobs that the service has, over all pages.
fn all_jobs(url: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut next = Some("/v1/jobs".to_string());
    while let Some(page) = next {
        let page: Value = serde_json::from_slice(&get(url, &page)).unwrap();
        found.extend(page["jobs"].as_array().unwrap().iter().cloned());
        next = page["next"].as_str().map(str::to_string);
    }
    found
}

#[test]
fn many_jobs_of_many_clients() {
    let server = Server::start(&["--jobs", "2", "--max-rate", "0"]);
    by_many(CLIENTS, JOBS, |seed| {
        let path = submit(&server.url, seed);
        let job = ended(&server.url, &path);
        assert_eq!((job["state"].as_str(), job["attempts"].as_u64()), (Some("succeeded"), Some(1)), "{job}");
        assert!(get(&server.url, &format!("{path}/artifacts/proxy.onnx")) == expected(seed), "seed {seed}: other bytes");
    });
    let jobs = all_jobs(&server.url);
    assert_eq!(jobs.len() as u64, JOBS);
    let mut seeds: Vec<u64> = jobs.iter().map(|j| j["config"]["seed"].as_u64().unwrap()).collect();
    seeds.sort_unstable();
    assert_eq!(seeds, (0..JOBS).collect::<Vec<u64>>());
    assert!(jobs.iter().all(|j| j["state"] == "succeeded" && j["attempts"] == 1 && j["cached"] == false));
}

#[test]
fn jobs_survive_kills() {
    let data = tempfile::tempdir().unwrap();
    let server = Mutex::new(Server::start_at("127.0.0.1:0", data.path(), &["--jobs", "2", "--max-rate", "0"]));
    let url = server.lock().unwrap().url.clone();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // xorshift: moments that differ from run to run are not needed, only ones that have no
            // pattern
            let mut state = 0x2545_f491_4f6c_dd1du64;
            for _ in 0..KILLS {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                std::thread::sleep(Duration::from_millis(100 + state % 900));
                let mut running = server.lock().unwrap();
                running.kill();
                let address = running.address().to_string();
                *running = Server::start_at(&address, data.path(), &["--jobs", "2", "--max-rate", "0"]);
                if done.load(Ordering::SeqCst) {
                    break;
                }
            }
        });
        by_many(CLIENTS, JOBS, |seed| {
            let path = submit(&url, seed);
            let job = ended(&url, &path);
            assert_eq!(job["state"], "succeeded", "{job}");
            assert!(get(&url, &format!("{path}/artifacts/proxy.onnx")) == expected(seed), "seed {seed}: other bytes");
        });
        done.store(true, Ordering::SeqCst);
    });
    let jobs = all_jobs(&url);
    assert_eq!(jobs.len() as u64, JOBS, "a key is one job, however often it was sent");
    let attempts: u64 = jobs.iter().map(|j| j["attempts"].as_u64().unwrap()).sum();
    assert!(attempts > JOBS, "no job was hit");
    let stopped = server.into_inner().unwrap().stop();
    assert_eq!(stopped, Some(0));
    // what nobody needs any more goes: nothing is left behind
    let _server = Server::start_at("127.0.0.1:0", data.path(), &["--keep", "0"]);
    for folder in ["files", "staging", "checkpoints"] {
        for _ in 0..1000 {
            if files_in(&data.path().join(folder)).is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(files_in(&data.path().join(folder)), Vec::<String>::new(), "{folder}");
    }
}

/// Killed or stopped in the middle of its training, a job goes on from its checkpoint and ends as
/// if nothing had happened.
#[test]
fn a_job_goes_on_from_its_checkpoint() {
    let config = "{\"epochs\": 600, \"polish\": false, \"threads\": 1, \"target_ebops\": 5000, \"checkpoint_epochs\": 20}";
    let expected = expected_of(config);
    for killed in [true, false] {
        let data = tempfile::tempdir().unwrap();
        let mut server = Server::start_at("127.0.0.1:0", data.path(), &["--grace", "0"]);
        let path = submit_as(&server.url, "k", config);
        let epoch = || {
            let job: Value = serde_json::from_slice(&get(&server.url, &path)).unwrap();
            assert_eq!(job["outcome"], Value::Null, "{job}");
            job["progress"]["epoch"].as_u64().unwrap_or(0)
        };
        while epoch() < 100 {
            std::thread::sleep(Duration::from_millis(5));
        }
        if killed {
            server.kill();
        } else {
            assert_eq!(server.stop(), Some(0));
        }
        let server = Server::start_at("127.0.0.1:0", data.path(), &[]);
        let job = ended(&server.url, &path);
        assert_eq!((job["state"].as_str(), job["attempts"].as_u64()), (Some("succeeded"), Some(2)), "{job}");
        assert!(get(&server.url, &format!("{path}/artifacts/proxy.onnx")) == expected, "killed: {killed}: other bytes");
        let events = String::from_utf8(get(&server.url, &format!("{path}/events"))).unwrap();
        assert!(events.contains("\"code\":\"resumed\""), "killed: {killed}: it began anew");
    }
}

fn files_in(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_in(&path)) } else { found.push(path.display().to_string()) }
    }
    found
}
