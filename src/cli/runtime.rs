//! The surroundings of a process that runs until it is told to stop: threads, log, signals.

use anyhow::Context;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Time for work that does not notice its cancellation before the process ends anyway.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Runs `service` with logs as JSON on stderr.
pub fn run(service: impl Future<Output = anyhow::Result<u8>>) -> anyhow::Result<u8> {
    tracing_subscriber::fmt().json().with_writer(std::io::stderr).with_max_level(tracing::Level::INFO).init();
    // A panic ends one request, not the service: the log is where its cause is found.
    std::panic::set_hook(Box::new(|info| tracing::error!(panic = %info, "panic")));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    let result = runtime.block_on(service);
    runtime.shutdown_timeout(LAST_WAIT);
    result
}

/// One message for each SIGTERM or SIGINT.
pub fn stop_signals() -> anyhow::Result<mpsc::Receiver<()>> {
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
