//! `hgq-onnx serve`: the HTTP service in this process.

use crate::convert::Error;
use crate::service::{self, App, Library, Limits};
use anyhow::Context;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Serve conversions over HTTP
///
/// POST /v1/convert, /v1/inspect and /v1/verify take multipart/form-data, GET /healthz answers when the service is well (see
/// docs/http.md). Requests are logged as JSON on stderr.
///
/// SIGTERM and SIGINT stop it gracefully: running jobs may finish within --grace, a second signal cancels them.
#[derive(clap::Args)]
#[command(after_help = super::EXIT_STATUS)]
pub struct Args {
    /// Address to listen on; port 0 takes a free one (see the log)
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Allow an address that other machines can reach: the service has no authentication
    #[arg(long)]
    pub allow_remote: bool,
    /// Conversions at the same time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: u16,
    /// Requests that may wait; more are refused with 429
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub queue: u16,
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
    /// Time that running jobs get after SIGTERM, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
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

pub fn run(args: &Args) -> anyhow::Result<u8> {
    service::check_address(args.listen, args.allow_remote).map_err(|e| Error::Config(vec![e]))?;
    tracing_subscriber::fmt().json().with_writer(std::io::stderr).with_max_level(tracing::Level::INFO).init();
    // A panic ends one request, not the service: the log is where its cause is found.
    std::panic::set_hook(Box::new(|info| tracing::error!(panic = %info, "panic")));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    let result = runtime.block_on(async {
        let listener = TcpListener::bind(args.listen).await;
        let listener = listener.map_err(|e| Error::Config(vec![format!("--listen {}: {e}", args.listen)]))?;
        let app = App::new(args.limits(), Arc::new(Library));
        service::serve(listener, app, stop_signals()?).await.context("service")
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
