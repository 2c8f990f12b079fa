//! `hgq-onnx worker`: does jobs of services that share a store in NATS.

use super::nats::Nats;
use super::runtime;
use super::work::Work;
use crate::convert::error::Error;
use crate::service::{self, App, Library, Tokens};
use std::sync::Arc;

/// Do jobs of a farm: services and workers on one NATS
///
/// Takes jobs that `hgq-onnx serve --nats` queues, one after another; any number of workers shares
/// them. Logs as JSON on stderr.
///
/// SIGTERM and SIGINT stop it gracefully: running jobs may finish within --grace and are given back
/// to the queue then, or at a second signal. The job of a worker that ends otherwise is taken by
/// another one and goes on from its last checkpoint.
#[derive(clap::Args)]
#[command(after_help = super::EXIT_STATUS)]
pub struct Args {
    #[command(flatten)]
    pub work: Work,
    #[command(flatten)]
    pub nats: Nats,
}

pub fn run(args: &Args) -> anyhow::Result<u8> {
    let mut faults = Vec::new();
    if args.nats.nats.is_empty() {
        faults.push("--nats is missing: a worker does the jobs of others".to_string());
    }
    if args.work.jobs == 0 {
        faults.push("--jobs 0: a worker does at least 1".to_string());
    }
    if !faults.is_empty() {
        return Err(Error::Config(faults).into());
    }
    runtime::run(async {
        let mut stop = runtime::stop_signals()?;
        let store = tokio::select! {
            store = args.nats.open(&args.work) => store?,
            _ = stop.recv() => return Ok(0),
        };
        let app = App::start(args.work.limits(), Arc::new(Library), store, Tokens::default());
        service::work(app, stop).await;
        Ok(0)
    })
}
