//! What all requests and workers of a process share.

use super::auth::Tokens;
use super::checks::{AdmissionQueue, Running};
use super::engine::Engine;
use super::jobs::worker::{Phase, Worker};
use super::limits::{EXPIRY_INTERVAL, Limits, SHORTEST_EXPIRY_INTERVAL};
use super::metrics::Metrics;
use super::rate::Rate;
use super::store::Store;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// See the module.
#[derive(Clone)]
pub struct App(pub(super) Arc<Shared>);

pub struct Shared {
    pub limits: Limits,
    pub engine: Arc<dyn Engine>,
    pub store: Arc<dyn Store>,
    pub tokens: Tokens,
    pub metrics: Metrics,
    pub rate: Rate,
    /// Inspections and verifications: seconds; a running conversion must not hold them up.
    pub checks: Arc<AdmissionQueue>,
    pub running: Running,
    phase: watch::Sender<Phase>,
    workers: Mutex<JoinSet<()>>,
}

/// Inspections and verifications at the same time; each uses one core for a short time.
const CHECKS: usize = 2;

impl App {
    /// Starts the workers and the removal of what is old; within a runtime.
    pub fn start(limits: Limits, engine: Arc<dyn Engine>, store: Arc<dyn Store>, tokens: Tokens) -> App {
        let metrics = Metrics::default();
        let phase = watch::Sender::new(Phase::Serving);
        let mut workers = JoinSet::new();
        let worker = Worker { store: store.clone(), engine: engine.clone(), limits: limits.clone(), metrics: metrics.clone() };
        for _ in 0..limits.jobs {
            workers.spawn(worker.clone().work(phase.subscribe()));
        }
        workers.spawn(expiry_loop(store.clone(), limits.clone(), phase.subscribe()));
        let checks = AdmissionQueue::new(CHECKS, limits.waiting_checks);
        let rate = Rate::new(limits.rate);
        let (running, workers) = (Running::default(), Mutex::new(workers));
        App(Arc::new(Shared { limits, engine, store, tokens, metrics, rate, checks, running, phase, workers }))
    }

    /// Moves on to a phase; there is no way back.
    pub fn enter(&self, phase: Phase) {
        self.0.phase.send_if_modified(|now| {
            let moves = *now < phase;
            *now = phase.max(*now);
            moves
        });
        if phase == Phase::Stopping {
            self.0.running.cancel_all();
        }
    }

    /// Returns when the workers have ended.
    pub async fn idle(&self) {
        let mut workers = std::mem::take(&mut *self.0.workers.lock().unwrap_or_else(PoisonError::into_inner));
        while workers.join_next().await.is_some() {}
    }
}

impl Shared {
    /// Returns when the process is in `phase` or beyond.
    pub async fn reached(&self, phase: Phase) {
        // an error means that the process is gone
        let _ = self.phase.subscribe().wait_for(|now| *now >= phase).await;
    }

    pub fn is_serving(&self) -> bool {
        *self.phase.borrow() == Phase::Serving
    }
}

async fn expiry_loop(store: Arc<dyn Store>, limits: Limits, mut phase: watch::Receiver<Phase>) {
    loop {
        match store.expire(limits.keep).await {
            Ok(gone) if gone.jobs + gone.files > 0 => tracing::info!(jobs = gone.jobs, files = gone.files, "removed what is old"),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "what is old was not removed"),
        }
        tokio::select! {
            () = tokio::time::sleep(limits.keep.clamp(SHORTEST_EXPIRY_INTERVAL, EXPIRY_INTERVAL)) => {}
            _ = phase.wait_for(|p| *p > Phase::Serving) => return,
        }
    }
}
