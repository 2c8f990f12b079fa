//! `nats-server` processes of a test, on free ports of the loopback device, with folders of their
//! own.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// One server; ended with the test.
pub struct Server {
    name: String,
    port: u16,
    dir: TempDir,
    cluster: Vec<String>,
    child: Option<Child>,
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Whether `nats-server` is there; without it these tests are left out, but not in CI.
pub fn is_installed() -> bool {
    let found = Command::new("nats-server").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        assert!(std::env::var_os("CI").is_none(), "nats-server is not installed");
        eprintln!("nats-server is not installed: tests of the farm are left out");
    }
    found
}

impl Server {
    /// A server alone.
    pub fn start() -> Server {
        let mut server = Server::new("alone", free_port(), Vec::new());
        server.begin();
        server.wait();
        server
    }

    /// Three servers that hold the same.
    pub fn cluster() -> Vec<Server> {
        let ports = [free_port(), free_port(), free_port()];
        let routes = ports.map(|p| format!("nats://127.0.0.1:{p}")).join(",");
        let own = |i: usize| {
            ["-cluster_name", "hgq", "-cluster", &format!("nats://127.0.0.1:{}", ports[i]), "-routes", &routes]
                .map(String::from)
                .to_vec()
        };
        let mut servers: Vec<Server> = (0..3).map(|i| Server::new(&format!("n{i}"), free_port(), own(i))).collect();
        servers.iter_mut().for_each(Server::begin);
        servers.iter().for_each(Server::wait);
        servers
    }

    fn new(name: &str, port: u16, cluster: Vec<String>) -> Server {
        Server { name: name.into(), port, dir: tempfile::tempdir().unwrap(), cluster, child: None }
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Starts it again with what it held.
    pub fn begin(&mut self) {
        let mut command = Command::new("nats-server");
        command.args(["-js", "-a", "127.0.0.1", "-p", &self.port.to_string(), "-n", &self.name, "-sd"]).arg(self.dir.path());
        command.args(&self.cluster).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().unwrap());
    }

    /// Waits until it can be connected to.
    pub fn wait(&self) {
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < until, "nats-server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
