//! `hgq-onnx serve`: the HTTP service in this process.

#[cfg(feature = "farm")]
use super::nats::Nats;
use super::runtime;
use super::work::Work;
use crate::convert::error::Error;
use crate::service::store::Store;
use crate::service::{self, App, Library, Limits, Tokens};
use anyhow::Context;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Serve conversions over HTTP
///
/// POST /v1/jobs queues a conversion, POST /v1/convert waits for it; GET /openapi.json describes
/// all resources (see docs/http.md). Requests and jobs are logged as JSON on stderr.
///
/// Jobs and files are kept in --data, or in NATS with --nats (a build with the feature `farm`):
/// what was queued or running when the service stopped goes on when it starts again. SIGTERM and
/// SIGINT stop it gracefully: running jobs may finish within --grace and are given back to the
/// queue then, or at a second signal.
#[derive(clap::Args)]
#[command(after_help = super::EXIT_STATUS)]
pub struct Args {
    /// Address to listen on; port 0 takes a free one (see the log)
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    #[command(flatten)]
    pub work: Work,
    #[cfg(feature = "farm")]
    #[command(flatten)]
    pub nats: Nats,
    /// File of tokens, of which every request must send one; `hgq-onnx token NAME` makes its lines
    #[arg(long, value_name = "FILE")]
    pub tokens: Option<PathBuf>,
    /// Listen on an address that other machines can reach without tokens: everybody can call
    #[arg(long)]
    pub allow_anybody: bool,
    /// Jobs that may wait; more are refused with 429
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub queue: u16,
    /// Most requests per second with one token; 0: any number
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub max_rate: u32,
    /// Most memory of a job as estimated before it starts, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 8192)]
    pub max_memory: u32,
    /// Largest request, in MiB; also the limit of each data part
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub max_body: u32,
    /// Largest model, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub max_model: u32,
    /// Most epochs of a job
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub max_epochs: usize,
    /// Most threads of a job [default: all cores, at least 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub max_threads: Option<u16>,
    /// Time for the head of a request, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub header_timeout: u32,
    /// Longest pause while a request arrives, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub read_timeout: u32,
    /// Time for a whole request to arrive, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub body_timeout: u32,
}

impl Args {
    async fn open(&self) -> Result<Arc<dyn Store>, Error> {
        #[cfg(feature = "farm")]
        if !self.nats.nats.is_empty() {
            return self.nats.open(&self.work).await;
        }
        self.work.open()
    }

    fn limits(&self) -> Limits {
        let mib = |n: u32| (n as usize).saturating_mul(1 << 20);
        let seconds = |n: u32| Duration::from_secs(n.into());
        let of_work = self.work.limits();
        Limits {
            body: mib(self.max_body),
            model: mib(self.max_model),
            data: mib(self.max_body),
            queue: self.queue.into(),
            memory: u64::from(self.max_memory) << 20,
            rate: self.max_rate,
            epochs: self.max_epochs,
            threads: self.max_threads.map_or(of_work.threads, usize::from),
            header_time: seconds(self.header_timeout),
            read_time: seconds(self.read_timeout),
            body_time: seconds(self.body_timeout),
            ..of_work
        }
    }
}

fn tokens(path: Option<&Path>) -> Result<Tokens, Error> {
    let Some(path) = path else { return Ok(Tokens::default()) };
    let fault = |what: String| format!("--tokens {}: {what}", path.display());
    let text = std::fs::read_to_string(path).map_err(|e| Error::Config(vec![fault(format!("cannot read the file: {e}"))]))?;
    Tokens::parse(&text).map_err(|faults| Error::Config(faults.into_iter().map(fault).collect()))
}

pub fn run(args: &Args) -> anyhow::Result<u8> {
    let tokens = tokens(args.tokens.as_deref())?;
    let config = |e: String| Error::Config(vec![e]);
    service::check_address(args.listen, tokens.are_needed(), args.allow_anybody).map_err(config)?;
    runtime::run(async {
        let mut stop = runtime::stop_signals()?;
        let store = tokio::select! {
            store = args.open() => store?,
            _ = stop.recv() => return Ok(0),
        };
        let listener = TcpListener::bind(args.listen).await;
        let listener = listener.map_err(|e| config(format!("--listen {}: {e}", args.listen)))?;
        let app = App::start(args.limits(), Arc::new(Library), store, tokens);
        service::serve(listener, app, stop).await.context("service")?;
        Ok(0)
    })
}
