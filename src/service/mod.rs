//! The HTTP service (DESIGN 5.2): the same entry points as the command line behind a bounded queue.
//!
//! `POST /v1/convert`, `/v1/inspect`, `/v1/verify`, `GET /healthz`; errors are RFC 9457 problem documents. One file per resource.

mod convert;
pub mod engine;
mod health;
mod inspect;
pub mod limits;
mod listen;
mod multipart;
mod problem;
mod queue;
mod router;
mod verify;

pub use engine::{Engine, Library};
pub use limits::Limits;
pub use listen::{check_address, serve};
pub use router::router;

use queue::{Lane, Running};
use std::sync::Arc;

/// What all requests share.
#[derive(Clone)]
pub struct App(Arc<Shared>);

struct Shared {
    limits: Limits,
    engine: Arc<dyn Engine>,
    /// Conversions: minutes of all cores.
    jobs: Arc<Lane>,
    /// Inspections and verifications: seconds; a running conversion must not hold them up.
    checks: Arc<Lane>,
    running: Running,
}

/// Inspections and verifications at the same time; each uses one core for a short time.
const CHECKS: usize = 2;

impl App {
    pub fn new(limits: Limits, engine: Arc<dyn Engine>) -> App {
        let jobs = Lane::new(limits.jobs, limits.queue);
        let checks = Lane::new(CHECKS, limits.queue.max(1));
        App(Arc::new(Shared { limits, engine, jobs, checks, running: Running::default() }))
    }

    /// Cancels what runs and whatever starts after it.
    pub fn cancel_all(&self) {
        self.0.running.cancel_all();
    }
}
