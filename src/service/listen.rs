//! Accepts connections with header timeouts, and stops gracefully: no new requests and jobs, time
//! for running ones, then these are given back to the queue.

use super::jobs::worker::Phase;
use super::limits::{CANCEL_TIME, CONNECTIONS, HEAD_BYTES, OTHER_DESCRIPTORS};
use super::{App, router};
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, getrlimit, setrlimit};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

/// Connections even where there seem to be no descriptors for them.
const MIN_CONNECTIONS: usize = 64;
/// Pause after a failed accept (out of file descriptors): trying again at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Refuses addresses that others can reach where everybody could call, unless that is wanted.
///
/// # Errors
/// A message that names the options.
pub fn check_address(address: SocketAddr, has_tokens: bool, allow_anybody: bool) -> Result<(), String> {
    if has_tokens || allow_anybody || address.ip().is_loopback() {
        return Ok(());
    }
    Err(format!(
        "--listen {address}: reachable from other machines, and without --tokens everybody could call: give a file of tokens, listen on \
         127.0.0.1, or add --allow-anybody if something in front of it (container, proxy) decides who may call"
    ))
}

/// Serves until a message arrives on `stop`: then running jobs have `limits.grace` to finish. Those
/// that do not are given back to the queue, at once after a second message.
///
/// # Errors
/// When the listener has no address.
pub async fn serve(listener: TcpListener, app: App, mut stop: mpsc::Receiver<()>) -> io::Result<()> {
    tracing::info!(address = %listener.local_addr()?, "listening");
    let service = router(app.clone());
    let (closing, closed) = watch::channel(false);
    let slots = Arc::new(Semaphore::new(connections_at_once()));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accept = async {
            let slot = slots.clone().acquire_owned().await.map_err(io::Error::other)?;
            listener.accept().await.map(|(stream, _)| (stream, slot))
        };
        tokio::select! {
            _ = stop.recv() => break,
            accepted = accept => match accepted {
                Ok((stream, slot)) => {
                    let task = connection(stream, service.clone(), app.0.limits.header_time, closed.clone());
                    connections.spawn(async move {
                        task.await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    app.enter(Phase::Draining);
    let _ = closing.send(true);
    drain(&app, &mut stop, all(&mut connections)).await;
    Ok(())
}

/// Does jobs of a shared store until a message arrives on `stop`, and ends like [`serve`].
#[cfg(feature = "farm")]
pub async fn work(app: App, mut stop: mpsc::Receiver<()>) {
    tracing::info!("working");
    let _ = stop.recv().await;
    app.enter(Phase::Draining);
    drain(&app, &mut stop, std::future::ready(())).await;
}

/// Waits for running jobs and `others`, and gives the jobs back that take too long.
async fn drain(app: &App, stop: &mut mpsc::Receiver<()>, others: impl Future<Output = ()>) {
    tracing::info!("stopping: running jobs may finish");
    let mut idle = pin!(async {
        tokio::join!(others, app.idle());
    });
    let finished = tokio::select! {
        () = &mut idle => true,
        () = tokio::time::sleep(app.0.limits.grace) => false,
        Some(()) = stop.recv() => false,
    };
    if !finished {
        tracing::info!("stopping: running jobs are given back");
        app.enter(Phase::Stopping);
        let _ = tokio::time::timeout(CANCEL_TIME, idle).await;
    }
}

/// As many connections as there are file descriptors for: the soft limit of the process, which many
/// systems set to 1024, is raised first.
fn connections_at_once() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the limit of file descriptors stays as it is");
    }
    // no limit is told as none
    let descriptors = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |n| n as usize);
    descriptors.saturating_sub(OTHER_DESCRIPTORS).clamp(MIN_CONNECTIONS, CONNECTIONS)
}

async fn all(connections: &mut JoinSet<()>) {
    while connections.join_next().await.is_some() {}
}

/// One connection. A client that leaves ends the future of its request, which cancels its job.
async fn connection(stream: TcpStream, service: Router, header_time: Duration, mut closed: watch::Receiver<bool>) {
    // Answers are written whole: waiting for more to send only delays them.
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_time)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = pin!(connection);
    let closing = async {
        let _ = closed.wait_for(|c| *c).await;
    };
    let done = tokio::select! {
        done = connection.as_mut() => done,
        () = closing => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = done {
        tracing::debug!(%error, "connection");
    }
}
