//! `hgq-onnx serve`: the HTTP service in this process.

use crate::convert::Error;
use crate::service::{self, App, Library, Limits, LocalStore, Tokens};
use anyhow::Context;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Serve conversions over HTTP
///
/// POST /v1/jobs queues a conversion, POST /v1/convert waits for it; GET /openapi.json describes all resources (see docs/http.md).
/// Requests and jobs are logged as JSON on stderr.
///
/// Jobs and files are kept in --data: what was queued or running when the service stopped goes on when it starts again. SIGTERM and
/// SIGINT stop it gracefully: running jobs may finish within --grace and are given back to the queue then, or at a second signal.
#[derive(clap::Args)]
#[command(after_help = super::EXIT_STATUS)]
pub struct Args {
    /// Address to listen on; port 0 takes a free one (see the log)
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Folder for jobs and files; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "hgq-onnx-data")]
    pub data: PathBuf,
    /// File of tokens, of which every request must send one; `hgq-onnx token NAME` makes its lines
    #[arg(long, value_name = "FILE")]
    pub tokens: Option<PathBuf>,
    /// Listen on an address that other machines can reach without tokens: everybody can call
    #[arg(long)]
    pub allow_anybody: bool,
    /// Conversions at the same time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: u16,
    /// Jobs that may wait; more are refused with 429
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub queue: u16,
    /// Time for which ended jobs and unused files are kept, in hours
    #[arg(long, value_name = "HOURS", default_value_t = 168.0, value_parser = hours)]
    pub keep: f64,
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
    /// Longest run of a job, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    pub max_time: u32,
    /// Time for the head of a request, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub header_timeout: u32,
    /// Longest pause while a request arrives, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub read_timeout: u32,
    /// Time for a whole request to arrive, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub body_timeout: u32,
    /// Time that running jobs get to finish after SIGTERM, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub grace: u32,
}

impl Args {
    fn limits(&self) -> Limits {
        let mib = |n: u32| (n as usize).saturating_mul(1 << 20);
        let seconds = |n: u32| Duration::from_secs(n.into());
        let defaults = Limits::default();
        Limits {
            body: mib(self.max_body),
            model: mib(self.max_model),
            data: mib(self.max_body),
            jobs: self.jobs.into(),
            queue: self.queue.into(),
            waiting_checks: defaults.waiting_checks,
            memory: u64::from(self.max_memory) << 20,
            keep: Duration::from_secs_f64(self.keep * 3600.0),
            rate: self.max_rate,
            epochs: self.max_epochs,
            threads: self.max_threads.map_or(defaults.threads, usize::from),
            job_time: seconds(self.max_time),
            header_time: seconds(self.header_timeout),
            read_time: seconds(self.read_timeout),
            body_time: seconds(self.body_timeout),
            grace: seconds(self.grace),
        }
    }
}

/// Time for work that does not notice its cancellation before the process ends anyway.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Longest time for which things can be kept: ten years.
const MOST_HOURS: f64 = 87_660.0;

fn hours(text: &str) -> Result<f64, String> {
    let hours = text.parse().ok().filter(|h| (0.0..=MOST_HOURS).contains(h));
    hours.ok_or_else(|| format!("a number of hours from 0 to {MOST_HOURS} is expected"))
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
    tracing_subscriber::fmt().json().with_writer(std::io::stderr).with_max_level(tracing::Level::INFO).init();
    // A panic ends one request, not the service: the log is where its cause is found.
    std::panic::set_hook(Box::new(|info| tracing::error!(panic = %info, "panic")));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    let result = runtime.block_on(async {
        let store = LocalStore::open(&args.data).map_err(|e| config(format!("--data {e}")))?;
        let listener = TcpListener::bind(args.listen).await;
        let listener = listener.map_err(|e| config(format!("--listen {}: {e}", args.listen)))?;
        let stop = stop_signals()?;
        let app = App::start(args.limits(), Arc::new(Library), Arc::new(store), tokens);
        service::serve(listener, app, stop).await.context("service")
    });
    runtime.shutdown_timeout(LAST_WAIT);
    result.map(|()| 0)
}

/// One message for each SIGTERM or SIGINT.
fn stop_signals() -> anyhow::Result<mpsc::Receiver<()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
    let (send, receive) = mpsc::channel(2);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if send.send(()).await.is_err() {
                return;
            }
        }
    });
    Ok(receive)
}
