//! The service as a process of its own, and curl as its client.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

pub struct Server {
    pub child: Child,
    pub url: String,
    _data: Option<tempfile::TempDir>,
    // Kept open: the service logs to it.
    _log: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Server {
    /// With a folder and a port of its own.
    pub fn start(options: &[&str]) -> Server {
        let data = tempfile::tempdir().unwrap();
        let mut server = Server::start_at("127.0.0.1:0", data.path(), options);
        server._data = Some(data);
        server
    }

    pub fn start_at(listen: &str, data: &Path, options: &[&str]) -> Server {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hgq-onnx"))
            .args(["serve", "--listen", listen, "--data"])
            .arg(data)
            .args(options)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let line = lines.find(|l| l.contains("listening")).expect("the service says where it listens");
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let url = format!("http://{}", line["fields"]["address"].as_str().unwrap());
        Server { child, url, _data: None, _log: std::thread::spawn(move || lines.for_each(drop)) }
    }

    /// SIGKILL: it gets no time for anything.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and waits for its end.
    pub fn stop(mut self) -> Option<i32> {
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.url["http://".len()..]
    }

    /// The most memory it has held, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

/// Runs curl; status and body of the answer, `None` if there was none.
pub fn curl(args: &[&str]) -> Option<(u16, Vec<u8>)> {
    let output = Command::new("curl").args(["-sS", "-w", "%{http_code}"]).args(args).output().expect("curl is installed");
    let (body, status) = output.stdout.split_at_checked(output.stdout.len().saturating_sub(3))?;
    let status = std::str::from_utf8(status).ok()?.parse().ok()?;
    (output.status.success() && status != 0).then(|| (status, body.to_vec()))
}
