//! A disk that is full: jobs are refused or fail with a clear code, nothing is damaged, and it goes
//! on when there is room again.

use super::client::{ended, part, submit};
use crate::support::server::{Server, curl};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// A small file system of its own, if this user may mount one.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(size: &str) -> Option<Small> {
        let dir = tempfile::tempdir().unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(dir.path()).output();
        mounted.is_ok_and(|m| m.status.success()).then_some(Small(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[test]
fn a_full_disk_is_told_and_survived() {
    let Some(disk) = Small::mount("8m") else {
        eprintln!("SKIPPED: no file system can be mounted here, a full disk was not tried");
        return;
    };
    let server = Server::start_at("127.0.0.1:0", &disk.path().join("data"), &[]);
    let first = submit(&server.url, 1);
    assert_eq!(ended(&server.url, &first)["state"], "succeeded");
    // all room is taken, but for some of what an upload or a job's files need
    let ballast = disk.path().join("ballast");
    for left in [0u64, 32 << 10, 100 << 10, 400 << 10] {
        let _ = std::fs::remove_file(&ballast);
        let free = free_bytes(disk.path());
        std::fs::write(&ballast, vec![1; free.saturating_sub(left) as usize]).unwrap();
        let (model, calibration) = (part("model", "digits_mlp.onnx"), part("calibration", "calibration.npz"));
        let config = format!("config={{\"epochs\": 2, \"polish\": false, \"threads\": 1, \"seed\": {}}}", 100 + left);
        let url = format!("{}/v1/convert", server.url);
        let (status, body) = curl(&["-F", &model, "-F", &calibration, "-F", &config, &url]).unwrap();
        let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
        assert!(status == 200 || (status == 503 && problem["code"] == "storage_full"), "{left}: {status} {problem}");
        if left == 0 {
            assert_eq!(status, 503);
            let (ready, _) = curl(&[&format!("{}/readyz", server.url)]).unwrap();
            assert_eq!(ready, 503);
        }
    }
    std::fs::remove_file(&ballast).unwrap();
    assert_eq!(curl(&[&format!("{}/readyz", server.url)]).unwrap().0, 200);
    let second = submit(&server.url, 2);
    assert_eq!(ended(&server.url, &second)["state"], "succeeded");
    assert_eq!(ended(&server.url, &first)["state"], "succeeded");
}

fn free_bytes(dir: &Path) -> u64 {
    let output = Command::new("df").args(["--output=avail", "-B1"]).arg(dir).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().nth(1).unwrap().trim().parse().unwrap()
}
