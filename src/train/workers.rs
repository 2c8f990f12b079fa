//! The threads of the data-parallel step. A job carries its shard there and back, so nothing is shared but the read-only plan.

use super::error::TrainError;
use super::plan::Prepared;
use super::shard::Shard;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

/// Polls before a waiting thread goes to sleep: about 20 µs, less than a wake-up costs and far less than a job.
const SPINS: usize = 400;

type Job = (Box<Shard>, Arc<Prepared>);

/// One worker thread.
pub struct Worker {
    // in an Option so that drop can close the channel before joining
    jobs: Option<Sender<Job>>,
    results: Receiver<Box<Shard>>,
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
    pub fn send(&self, shard: Box<Shard>, prepared: Arc<Prepared>) -> Result<(), TrainError> {
        let jobs = self.jobs.as_ref().ok_or(TrainError::Worker)?;
        jobs.send((shard, prepared)).map_err(|_| TrainError::Worker)
    }

    /// Waits for the shard to come back.
    ///
    /// # Errors
    /// [`TrainError::Worker`] when the thread is gone.
    pub fn receive(&self) -> Result<Box<Shard>, TrainError> {
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
    for _ in 0..SPINS {
        match from.try_recv() {
            Ok(v) => return Some(v),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => std::hint::spin_loop(),
        }
    }
    from.recv().ok()
}
