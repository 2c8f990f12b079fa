//! Inspections and verifications: bounded waiting, each on its own thread, ended when the client
//! goes, the time is over or the service stops. They take seconds and leave nothing behind, so they
//! are not jobs.

use super::limits::RETRY_AFTER;
use super::problem::Problem;
use crate::convert::error::Error;
use crate::diagnostic::Code;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Work of one kind: so many run, so many wait, the others are refused.
pub struct AdmissionQueue {
    admitted: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

/// The right to wait in a lane. It is taken before the body is read, so that waiting requests bound
/// the memory too.
pub struct Permit {
    _admitted: OwnedSemaphorePermit,
    running: Arc<Semaphore>,
}

impl AdmissionQueue {
    pub fn new(running: usize, waiting: usize) -> Arc<AdmissionQueue> {
        let running = running.max(1);
        let admitted = running.saturating_add(waiting).min(Semaphore::MAX_PERMITS);
        Arc::new(AdmissionQueue {
            admitted: Arc::new(Semaphore::new(admitted)),
            running: Arc::new(Semaphore::new(running.min(admitted))),
        })
    }

    /// # Errors
    /// 429 when all places are taken.
    pub fn try_admit(&self) -> Result<Permit, Problem> {
        match self.admitted.clone().try_acquire_owned() {
            Ok(admitted) => Ok(Permit { _admitted: admitted, running: self.running.clone() }),
            Err(_) => Err(Problem::new(Code::Busy, "too many requests are running and waiting").retry_after(RETRY_AFTER)),
        }
    }
}

/// The cancel flags of everything that runs.
#[derive(Default)]
pub struct Running {
    stopped: AtomicBool,
    flags: Mutex<Vec<Weak<AtomicBool>>>,
}

impl Running {
    fn register(&self) -> Arc<AtomicBool> {
        let mut flags = self.flags.lock().unwrap_or_else(PoisonError::into_inner);
        flags.retain(|f| f.strong_count() > 0);
        // Under the lock, so that `cancel_all` sees this flag or this flag sees `stopped`.
        let flag = Arc::new(AtomicBool::new(self.stopped.load(Ordering::SeqCst)));
        flags.push(Arc::downgrade(&flag));
        flag
    }

    pub fn cancel_all(&self) {
        let flags = self.flags.lock().unwrap_or_else(PoisonError::into_inner);
        self.stopped.store(true, Ordering::SeqCst);
        flags.iter().filter_map(Weak::upgrade).for_each(|f| f.store(true, Ordering::SeqCst));
    }
}

/// Sets the flag when the request's future goes: the client is gone, or the answer is there
/// already.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Permit {
    /// Waits for its turn, then runs `work` on a blocking thread with a flag that tells it to stop.
    ///
    /// The permit is free again only when the work has really ended, even if the client left long
    /// before.
    ///
    /// # Errors
    /// What `work` returns; 503 when `time` is over; 500 when it panics.
    pub async fn run<T: Send + 'static>(
        self,
        running: &Running,
        time: Duration,
        work: impl FnOnce(&AtomicBool) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = self.running.clone().acquire_owned().await.map_err(|_| Problem::internal())?;
        let cancel = running.register();
        let _guard = CancelOnDrop(cancel.clone());
        let flag = cancel.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _held = (self, turn);
            if flag.load(Ordering::SeqCst) { Err(Error::Canceled) } else { work(&flag) }
        });
        match tokio::time::timeout(time, task).await {
            Ok(Ok(result)) => result.map_err(Problem::from),
            // The panic's message goes to the log (the hook), not to the client.
            Ok(Err(_)) => Err(Problem::internal()),
            Err(_) => {
                let text = format!("the job took longer than the {} s that this service allows", time.as_secs());
                Err(Problem::new(Code::TimeLimit, text))
            }
        }
    }
}
