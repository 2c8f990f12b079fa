//! Limits of the service: what one client can make it hold, read or compute.

use std::time::Duration;

/// Every limit that an operator may want to change.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of one request body. Bodies of running and waiting jobs are in memory: at most (jobs + queue) of them.
    pub body: usize,
    /// Bytes of the `model` part.
    pub model: usize,
    /// Bytes of each data part.
    pub data: usize,
    /// Conversions at the same time; each uses its own threads.
    pub jobs: usize,
    /// Requests that may wait for a running one; more are refused with 429.
    pub queue: usize,
    /// Epochs of one job.
    pub epochs: usize,
    /// Threads of one job.
    pub threads: usize,
    /// Wall time of one job, without waiting.
    pub job_time: Duration,
    /// Time for the head of a request.
    pub header_time: Duration,
    /// Longest pause while a body arrives.
    pub read_time: Duration,
    /// Time for a whole body.
    pub body_time: Duration,
    /// Time that running jobs get to finish after SIGTERM before they are canceled.
    pub grace: Duration,
}

/// Bytes of the `config` part: a job configuration has about one kilobyte.
pub const CONFIG_BYTES: usize = 64 << 10;
/// Open connections: far more than can wait, far fewer than file descriptors.
pub const CONNECTIONS: usize = 512;
/// Bytes of a request's head.
pub const HEAD_BYTES: usize = 32 << 10;
/// Seconds after which a refused client should try again: jobs take from seconds to minutes.
pub const RETRY_AFTER: u32 = 10;
/// Time that canceled jobs get to notice it: a batch takes milliseconds, reading and tracing seconds.
pub const CANCEL_TIME: Duration = Duration::from_secs(10);

impl Default for Limits {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        Limits {
            body: 256 << 20,
            model: 64 << 20,
            data: 256 << 20,
            jobs: 1,
            queue: 4,
            epochs: 10_000,
            threads: cores.max(8),
            job_time: Duration::from_secs(3600),
            header_time: Duration::from_secs(10),
            read_time: Duration::from_secs(30),
            body_time: Duration::from_secs(600),
            grace: Duration::from_secs(20),
        }
    }
}
