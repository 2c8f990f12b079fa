//! Limits of the service: what one client can make it hold, read or compute.

use std::time::Duration;

/// Every limit that an operator may want to change.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of one request body.
    pub body: usize,
    /// Bytes of the `model` part.
    pub model: usize,
    /// Bytes of each data part.
    pub data: usize,
    /// Conversions at the same time in this process; each uses its own threads.
    pub jobs: usize,
    /// Jobs that may wait for a running one; more are refused with 429.
    pub queue: usize,
    /// Inspections and verifications that may wait.
    pub waiting_checks: usize,
    /// Memory of one job by its estimate, in bytes.
    pub memory: u64,
    /// Time for which ended jobs and unused files are kept.
    pub keep: Duration,
    /// Requests per second of one caller; 0: any number.
    pub rate: u32,
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
    /// Time that running jobs get to finish after SIGTERM before they are given back to the queue.
    pub grace: Duration,
}

/// Bytes of the `config` part: a job configuration has about one kilobyte.
pub const CONFIG_BYTES: usize = 64 << 10;
/// Open connections, at most: clients that say nothing for [`Limits::header_time`] must not keep
/// others out.
pub const CONNECTIONS: usize = 16_384;
/// File descriptors that are left for files, the database and the workers.
pub const OTHER_DESCRIPTORS: usize = 512;
/// Bytes of a request's head.
pub const HEAD_BYTES: usize = 32 << 10;
/// Seconds after which a refused client should try again: jobs take from seconds to minutes.
pub const RETRY_AFTER: u32 = 10;
/// The same for one that sent too many requests per second.
pub const RETRY_AFTER_RATE: u32 = 1;
/// Time that jobs which are told to stop get to notice it: a batch takes milliseconds, reading and
/// tracing seconds. A job that takes longer is taken up from its last checkpoint when the service
/// starts again.
pub const CANCEL_TIME: Duration = Duration::from_secs(3);
/// Longest wait of a request for a job to end.
pub const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Time between two removals of what is old, …
pub const EXPIRY_INTERVAL: Duration = Duration::from_secs(600);
/// … where things are kept for less than that.
pub const SHORTEST_EXPIRY_INTERVAL: Duration = Duration::from_secs(1);
/// Silence after which an event stream says that it is still there: proxies close idle connections
/// after a minute or so.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Jobs on one page of a list.
pub const PAGE: usize = 100;

impl Default for Limits {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        Limits {
            body: 256 << 20,
            model: 64 << 20,
            data: 256 << 20,
            jobs: 1,
            queue: 1000,
            waiting_checks: 16,
            memory: 8 << 30,
            keep: Duration::from_secs(7 * 24 * 3600),
            rate: 200,
            epochs: 10_000,
            threads: cores.max(8),
            job_time: Duration::from_secs(3600),
            header_time: Duration::from_secs(10),
            read_time: Duration::from_secs(30),
            body_time: Duration::from_secs(600),
            grace: Duration::from_secs(5),
        }
    }
}
