//! Does jobs: takes one from the store, runs it on a thread of its own, and stores what it made.

use super::progress;
use crate::convert::error::Error;
use crate::convert::job::{Artifacts, Job};
use crate::convert::progress::{CheckpointStore, Event};
use crate::data::DataFile;
use crate::diagnostic::Code;
use crate::service::document::Document;
use crate::service::engine::Engine;
use crate::service::limits::Limits;
use crate::service::metrics::Metrics;
use crate::service::record::{Outcome, State};
use crate::service::store::{Claim, NewEvent, Staged, Store};
use crate::service::store_error::StoreError;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

/// Pause when the store cannot be used: it may be back soon.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// What all workers of a process share.
#[derive(Clone)]
pub struct Worker {
    pub store: Arc<dyn Store>,
    pub engine: Arc<dyn Engine>,
    pub limits: Limits,
    pub metrics: Metrics,
}

/// How far the process is on its way to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    #[default]
    Serving,
    /// No new jobs.
    Draining,
    /// Running jobs are given back.
    Stopping,
}

/// Why a running job was told to stop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    Canceled,
    TimeLimit,
    Shutdown,
}

impl Worker {
    /// Does one job after another until the phase is no longer [`Phase::Serving`].
    pub async fn work(self, mut phase: watch::Receiver<Phase>) {
        loop {
            let claim = tokio::select! {
                biased;
                _ = phase.wait_for(|p| *p > Phase::Serving) => return,
                claim = self.store.claim() => claim,
            };
            match claim {
                Ok(claim) => self.job(claim, &mut phase).await,
                Err(error) => {
                    tracing::error!(%error, "no job could be taken");
                    tokio::time::sleep(STORE_PAUSE).await;
                }
            }
        }
    }

    async fn job(&self, claim: Claim, phase: &mut watch::Receiver<Phase>) {
        let started = Instant::now();
        tracing::info!(job = %claim.id, attempt = claim.attempt, "job begins");
        let cancel = Arc::new(AtomicBool::new(false));
        let (events, stored) = progress::store_events(self.store.clone(), claim.clone());
        let run = Run { worker: self.clone(), claim: claim.clone(), cancel: cancel.clone(), events, runtime: Handle::current() };
        let mut task = tokio::task::spawn_blocking(move || run.all());
        let (done, stop) = tokio::select! {
            done = &mut task => (Some(done), None),
            canceled = self.store.canceled(&claim) => {
                if let Err(error) = canceled {
                    tracing::error!(job = %claim.id, %error, "cancellation cannot be watched");
                }
                (None, Some(Stop::Canceled))
            }
            () = tokio::time::sleep(self.limits.job_time) => (None, Some(Stop::TimeLimit)),
            _ = phase.wait_for(|p| *p == Phase::Stopping) => (None, Some(Stop::Shutdown)),
        };
        let done = match done {
            Some(done) => done,
            None => {
                cancel.store(true, Ordering::SeqCst);
                task.await
            }
        };
        let _ = stored.await;
        // a panic's message goes to the log (the hook), not to the caller
        let done = done.unwrap_or_else(|_| Err(Ended::Failed(Box::new(Document::internal()))));
        self.end(&claim, done, stop, started).await;
    }

    /// Stores how the job ended.
    async fn end(&self, claim: &Claim, done: Result<Made, Ended>, stop: Option<Stop>, started: Instant) {
        let (state, outcome, made) = match (done, stop) {
            (Ok(made), _) => (State::Succeeded, made.outcome, made.files),
            (Err(Ended::Canceled), Some(Stop::Shutdown)) => {
                tracing::info!(job = %claim.id, "job is given back");
                if let Err(error) = self.store.give_back(claim).await {
                    tracing::error!(job = %claim.id, %error, "job was not given back: it is when the service starts again");
                }
                return;
            }
            (Err(Ended::Canceled), Some(Stop::TimeLimit)) => {
                let text = format!("the job took longer than the {} s that this service allows", self.limits.job_time.as_secs());
                (State::Failed, failed(Document::new(Code::TimeLimit, text)), Vec::new())
            }
            (Err(Ended::Canceled), _) => (State::Canceled, Outcome::default(), Vec::new()),
            (Err(Ended::Failed(document)), _) => (State::Failed, failed(*document), Vec::new()),
        };
        let code = outcome.error.as_ref().map_or_else(String::new, |e| e.code().to_string());
        tracing::info!(job = %claim.id, state = state.name(), code, seconds = started.elapsed().as_secs_f64(), "job ends");
        self.metrics.job_ended(state, &code);
        self.finish(claim, state, outcome, made).await;
    }

    /// A store without room, or that refuses, gets the failure, which needs none; one that cannot
    /// be used gets the job back as soon as it can.
    async fn finish(&self, claim: &Claim, state: State, outcome: Outcome, made: Vec<(String, Staged)>) {
        let mut result = self.store.finish(claim, state, outcome, made).await;
        let refused = match &result {
            Err(StoreError::Full) => Some(Document::from(&StoreError::Full)),
            Err(StoreError::Internal(_)) => Some(Document::internal()),
            _ => None,
        };
        if let Some(document) = refused {
            tracing::error!(job = %claim.id, code = document.code(), "what the job made was not stored");
            result = self.store.finish(claim, State::Failed, failed(document), Vec::new()).await;
        }
        while let Err(error) = result {
            if matches!(error, StoreError::Lost) {
                tracing::warn!(job = %claim.id, "the job was another worker's already");
                return;
            }
            tracing::error!(job = %claim.id, %error, "the end of the job was not stored: it is done again");
            tokio::time::sleep(STORE_PAUSE).await;
            result = self.store.give_back(claim).await;
        }
    }
}

fn failed(document: Document) -> Outcome {
    Outcome { error: Some(document), ..Outcome::default() }
}

/// What a job made.
struct Made {
    outcome: Outcome,
    files: Vec<(String, Staged)>,
}

/// Why a job made nothing.
enum Ended {
    Canceled,
    Failed(Box<Document>),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Ended {
        match error {
            Error::Canceled => Ended::Canceled,
            error => Ended::Failed(Box::new(error.into())),
        }
    }
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Ended {
        tracing::error!(%error, "store");
        Ended::Failed(Box::new(Document::from(&error)))
    }
}

/// The part of a job that computes, off the threads that answer requests.
struct Run {
    worker: Worker,
    claim: Claim,
    cancel: Arc<AtomicBool>,
    events: mpsc::UnboundedSender<NewEvent>,
    runtime: Handle,
}

impl Run {
    fn all(self) -> Result<Made, Ended> {
        let job = self.read()?;
        let mut stages = self.worker.metrics.stages();
        let mut progress = |event: Event| {
            match &event {
                Event::Stage { stage, step: None } => {
                    tracing::info!(job = %self.claim.id, stage = &**stage, "job");
                    stages.enter(stage);
                }
                Event::Note { code, message } => tracing::info!(job = %self.claim.id, code = code.as_ref(), message, "job note"),
                Event::Stage { .. } | Event::Epoch { .. } => {}
            }
            // whoever stores them ends when this does
            let _ = self.events.send(progress::event(&event));
        };
        let mut keeper = StoreKeeper { run: &self };
        let made = self.worker.engine.convert(&job, &mut progress, &mut keeper, &self.cancel);
        stages.end();
        self.staged(&made?)
    }

    fn read(&self) -> Result<Job, Ended> {
        let mut inputs = BTreeMap::new();
        for (name, input) in &self.claim.spec.inputs {
            let path = self.runtime.block_on(self.worker.store.open(&input.digest))?;
            inputs.insert(name.as_str(), DataFile::open(name, &path, u64::MAX).map_err(StoreError::from)?);
        }
        let mut data = |name: &str| inputs.remove(name);
        let (train, validation) = (data("train"), data("validation"));
        let calibration = data("calibration").ok_or_else(|| Ended::from(StoreError::Internal("no calibration data".into())))?;
        let model = inputs.remove("model").map_or(Ok(Vec::new()), |file| file.bytes()).map_err(StoreError::from)?;
        Ok(Job { model, calibration, train, validation, config: self.claim.spec.config.clone() })
    }

    fn staged(&self, made: &Artifacts) -> Result<Made, Ended> {
        let mut files = Vec::new();
        for (name, bytes) in made.files()? {
            let mut file = self.worker.store.stage();
            file.write(&bytes)?;
            files.push((name, file));
        }
        self.worker.metrics.converted(made);
        let outcome = Outcome { ebops: Some(made.ebops), luts: Some(made.luts), unmet: made.unmet.clone(), ..Outcome::default() };
        Ok(Made { outcome, files })
    }
}

/// Checkpoints in the store. One that cannot be kept is no reason to end a job that can go on
/// without.
struct StoreKeeper<'a> {
    run: &'a Run,
}

impl CheckpointStore for StoreKeeper<'_> {
    fn load(&mut self) -> Option<Vec<u8>> {
        let found = self.run.runtime.block_on(self.run.worker.store.checkpoint(&self.run.claim));
        found.unwrap_or_else(|error| {
            tracing::warn!(job = %self.run.claim.id, %error, "the checkpoint cannot be read: the job begins anew");
            None
        })
    }

    fn save(&mut self, checkpoint: &[u8]) {
        let saved = self.run.runtime.block_on(self.run.worker.store.save_checkpoint(&self.run.claim, checkpoint.to_vec()));
        match saved {
            Ok(()) => {}
            // another worker has the job: what is computed here is of no use any more
            Err(StoreError::Lost) => self.run.cancel.store(true, Ordering::SeqCst),
            Err(error) => tracing::warn!(job = %self.run.claim.id, %error, "a checkpoint was not stored"),
        }
    }
}
