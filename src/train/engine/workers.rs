//! The threads of the data-parallel step. A job carries its shard there and back, so nothing is
//! shared but the read-only plan.

use super::plan::Prepared;
use super::shard::Shard;
use crate::train::error::TrainError;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a waiting thread polls before it goes to sleep: the serial part between two batches is
/// shorter than this, so that within an epoch nobody has to be woken (which costs as much as a
/// small batch); between epochs the thread sleeps.
const SPIN: Duration = Duration::from_micros(150);
/// Polls between two looks at the clock.
const POLLS: usize = 32;

type Job = (Shard, Arc<Prepared>);

/// One worker thread.
pub struct Worker {
    // in an Option so that drop can close the channel before joining
    jobs: Option<Sender<Job>>,
    results: Receiver<Shard>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// # Errors
    /// [`TrainError::Worker`] when the system gives no thread.
    pub fn start() -> Result<Worker, TrainError> {
        let (jobs, inbox) = channel::<Job>();
        let (outbox, results) = channel();
        let work = move || {
            while let Some((mut shard, prepared)) = receive(&inbox) {
                shard.run(&prepared);
                // released first, so that the owner can write to it again without a copy
                drop(prepared);
                if outbox.send(shard).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("hgq-train".into()).spawn(work).map_err(|_| TrainError::Worker)?;
        Ok(Worker { jobs: Some(jobs), results, thread: Some(thread) })
    }

    /// Hands over a shard.
    ///
    /// # Errors
    /// [`TrainError::Worker`] when the thread is gone.
    pub fn send(&self, shard: Shard, prepared: Arc<Prepared>) -> Result<(), TrainError> {
        let jobs = self.jobs.as_ref().ok_or(TrainError::Worker)?;
        jobs.send((shard, prepared)).map_err(|_| TrainError::Worker)
    }

    /// Waits for the shard to come back.
    ///
    /// # Errors
    /// [`TrainError::Worker`] when the thread is gone.
    pub fn receive(&self) -> Result<Shard, TrainError> {
        receive(&self.results).ok_or(TrainError::Worker)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // a panic of the worker has been reported as TrainError::Worker already
            let _ = thread.join();
        }
    }
}

fn receive<T>(from: &Receiver<T>) -> Option<T> {
    let start = Instant::now();
    while start.elapsed() < SPIN {
        for _ in 0..POLLS {
            match from.try_recv() {
                Ok(v) => return Some(v),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => std::hint::spin_loop(),
            }
        }
    }
    from.recv().ok()
}
