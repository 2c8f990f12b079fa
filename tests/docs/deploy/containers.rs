//! Containers of the image, from whatever kind of file, against the program and the Dockerfile.

use super::dockerfile::{Stage, stages, text};
use std::path::Path;
use std::process::Command;

/// Name of the image, without a tag.
pub const IMAGE: &str = "hgq-onnx";

/// One container that runs the image.
#[derive(Debug, Default)]
pub struct Container {
    /// For messages.
    pub name: String,
    pub args: Vec<String>,
    /// Whether its root file system is read-only.
    pub read_only: bool,
    /// Folders that it may write to.
    pub writable: Vec<String>,
    /// Other folders that are mounted.
    pub readable: Vec<String>,
    /// Ports that others can reach.
    pub ports: Vec<u64>,
    /// `host:port` of everything that it can reach by name.
    pub hosts: Vec<String>,
    /// The user and the one who owns what is writable; `None`: as the image says.
    pub users: Vec<String>,
}

/// The value after an option, as `--option value` or `--option=value`.
pub fn value<'a>(args: &'a [String], option: &str) -> Option<&'a str> {
    let of = |(n, arg): (usize, &'a String)| match arg.strip_prefix(option)? {
        "" => args.get(n + 1).map(String::as_str),
        rest => rest.strip_prefix('='),
    };
    args.iter().enumerate().find_map(of)
}

/// Whether the program takes the arguments: with `--help` after them it reads them all and does
/// nothing.
fn accepted(args: &[String]) -> Result<(), String> {
    let output = Command::new(env!("CARGO_BIN_EXE_hgq-onnx")).args(args).arg("--help").output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_string()) }
}

fn last_stage() -> Stage {
    stages(&text()).pop().unwrap()
}

/// The only instruction of the image with this word.
pub fn instruction(word: &str) -> super::dockerfile::Instruction {
    let mut found: Vec<_> = last_stage().instructions.into_iter().filter(|i| i.word == word).collect();
    assert_eq!(found.len(), 1, "{word}");
    found.remove(0)
}

/// The user of the image, without the group.
fn user() -> String {
    instruction("USER").rest.split(':').next().unwrap_or_default().to_string()
}

impl Container {
    /// What does not fit.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut need = |ok: bool, what: String| {
            if !ok {
                faults.push(format!("{}: {what}", self.name));
            }
        };
        let Container { args, writable, readable, .. } = self;
        if let Err(why) = accepted(args) {
            need(false, format!("{args:?}: {why}"));
        }
        need(self.read_only, "its root file system can be written to".into());
        let under = |folders: &[String], path: &str| folders.iter().any(|f| Path::new(path).starts_with(f));
        match value(args, "--data") {
            Some(data) => {
                need(under(writable, data), format!("--data {data} is not on a volume that can be written to: {writable:?}"))
            }
            None => need(false, "it has no --data, and the folder it would make is on the read-only root".into()),
        }
        for option in ["--tokens", "--nats-credentials"] {
            let Some(file) = value(args, option) else { continue };
            need(under(readable, file) || under(writable, file), format!("{option} {file} is on no volume"));
        }
        if let Some(listen) = value(args, "--listen") {
            let (address, port) = listen.rsplit_once(':').unwrap_or((listen, ""));
            need(address == "0.0.0.0", format!("--listen {listen}: nobody outside of the container reaches it"));
            let known = self.ports.iter().any(|p| p.to_string() == port);
            need(known, format!("--listen {listen} is not among its ports {:?}", self.ports));
        } else {
            need(self.ports.is_empty(), format!("it listens on none of its ports {:?}", self.ports));
        }
        for url in value(args, "--nats").into_iter().flat_map(|list| list.split(',')) {
            let host = url.split_once("://").map_or(url, |(_, host)| host);
            need(self.hosts.iter().any(|h| h == host), format!("--nats {url}: no such host among {:?}", self.hosts));
        }
        for user_here in &self.users {
            need(*user_here == user(), format!("user {user_here} is not {} of the image", user()));
        }
        faults
    }
}

/// The image is built with all that these tests are: commands that are tried here are in it.
#[test]
fn the_image_has_the_features_of_these_tests() {
    let stages = stages(&text());
    let builds = stages.iter().flat_map(|s| &s.instructions).filter(|i| i.word == "RUN" && i.rest.contains("cargo build"));
    let features: Vec<bool> = builds.map(|i| i.rest.contains("--locked") && i.rest.contains("--features farm")).collect();
    assert_eq!(features, [true, true]);
}

/// `CMD` and `HEALTHCHECK` are commands of the program, on the port that is exposed and with the
/// folder that is a volume.
#[test]
fn the_image_begins_as_it_says() {
    assert_eq!(instruction("ENTRYPOINT").words(), ["/usr/local/bin/hgq-onnx"]);
    let port = instruction("EXPOSE").rest;
    let image = Container {
        name: "Dockerfile".into(),
        args: instruction("CMD").words(),
        read_only: true,
        writable: vec![instruction("VOLUME").rest],
        ports: vec![port.parse().unwrap()],
        ..Container::default()
    };
    assert_eq!(image.faults(), Vec::<String>::new());
    let health = instruction("HEALTHCHECK").words();
    assert_eq!(health[..2], ["/usr/local/bin/hgq-onnx", "health"]);
    assert_eq!(value(&health, "--url"), Some(format!("http://127.0.0.1:{port}").as_str()));
    accepted(&health[1..]).unwrap();
}

#[test]
fn what_does_not_fit_is_told() {
    let args =
        ["serve", "--listen=127.0.0.1:80", "--nats", "nats://there:4222", "--data", "/data", "--tokens", "/etc/t", "--job", "1"];
    let users = vec!["0".into()];
    let c = Container { name: "c".into(), args: args.map(String::from).into(), ports: vec![8080], users, ..Container::default() };
    let faults = c.faults();
    for part in
        ["--job", "root file system", "--data /data", "--tokens /etc/t", "nobody outside", "[8080]", "nats://there", "user 0"]
    {
        assert!(faults.iter().any(|f| f.contains(part)), "{part}: {faults:#?}");
    }
    assert_eq!(faults.len(), 8, "{faults:#?}");
    let c = Container { args: vec!["worker".into()], ports: vec![1], read_only: true, ..Container::default() };
    assert_eq!(c.faults().len(), 2, "{:#?}", c.faults());
}
