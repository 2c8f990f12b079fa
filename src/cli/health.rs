//! `hgq-onnx health`: asks a running service whether it is well. For a container's HEALTHCHECK,
//! which has no curl.

use crate::convert::error::Error;
use anyhow::{Context, ensure};
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// A service that needs longer than this for a constant answer is not well.
const PATIENCE: Duration = Duration::from_secs(3);

/// Ask a running service whether it is well
#[derive(clap::Args)]
#[command(hide = true)]
pub struct Args {
    /// Address of the service
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub url: String,
}

pub fn run(args: &Args) -> anyhow::Result<u8> {
    let host =
        args.url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/')).filter(|h| !h.is_empty() && !h.contains('/'));
    let host = host.ok_or_else(|| Error::Config(vec![format!("--url {}: expected http://HOST:PORT", args.url)]))?;
    let asked = || format!("{}/healthz", args.url);
    let address = host.to_socket_addrs().with_context(asked)?.next().context("no address").with_context(asked)?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).with_context(asked)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").with_context(asked)?;
    let mut head = [0u8; 12];
    stream.read_exact(&mut head).with_context(asked)?;
    ensure!(&head == b"HTTP/1.1 200", "{}: {}", asked(), String::from_utf8_lossy(&head));
    Ok(0)
}
