//! Checkpoints of a job: the state of its training, and its course so far, under the job's
//! identity.

use crate::convert::error::Error;
use crate::convert::job::Job;
use crate::convert::progress::curve::Curve;
use crate::convert::progress::{CheckpointStore, Event, Reporter};
use crate::diagnostic::Code;
use prost::Message;
use sha2::{Digest, Sha256};
use std::io::Read;
use std::time::{Duration, Instant};

/// Least time between two checkpoints: a checkpoint holds the whole front, some epochs take a
/// millisecond.
const INTERVAL: Duration = Duration::from_secs(2);

#[derive(Clone, PartialEq, Message)]
struct Checkpoint {
    #[prost(bytes = "vec", tag = "1")]
    identity: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    state: Vec<u8>,
    #[prost(message, optional, tag = "3")]
    curve: Option<Curve>,
}

/// Takes and hands out the checkpoints of one job.
pub struct Checkpoints<'a> {
    keeper: &'a mut dyn CheckpointStore,
    identity: Vec<u8>,
    every: Option<usize>,
    last: Instant,
}

impl<'a> Checkpoints<'a> {
    /// # Errors
    /// [`Error::Internal`] if the configuration cannot be written as JSON.
    pub fn new(job: &Job, keeper: &'a mut dyn CheckpointStore) -> Result<Checkpoints<'a>, Error> {
        let every = job.config.checkpoint_epochs;
        Ok(Checkpoints { keeper, identity: identity(job)?, every, last: Instant::now() })
    }

    /// The state to go on from; its course goes to `reporter`.
    pub fn load(&mut self, reporter: &mut Reporter) -> Option<Vec<u8>> {
        let checkpoint = Checkpoint::decode(&self.keeper.load()?[..]).ok();
        let state = checkpoint.filter(|c| c.identity == self.identity).map(|c| {
            reporter.curve = c.curve.unwrap_or_default();
            c.state
        });
        let (code, message) = match state {
            Some(_) => (Code::Resumed, "goes on from the checkpoint of a stopped run"),
            None => (Code::CheckpointIgnored, "the checkpoint found is of another job or version: this run starts anew"),
        };
        (reporter.progress)(Event::Note { code: code.name().into(), message: message.into() });
        state
    }

    /// Whether the state after `epoch` should be saved.
    pub fn is_due(&self, epoch: usize) -> bool {
        self.every.map_or(self.last.elapsed() >= INTERVAL, |every| epoch.is_multiple_of(every.max(1)))
    }

    pub fn save(&mut self, state: &[u8], curve: &Curve) {
        let checkpoint = Checkpoint { identity: self.identity.clone(), state: state.to_vec(), curve: Some(curve.clone()) };
        self.keeper.save(&checkpoint.encode_to_vec());
        self.last = Instant::now();
    }
}

/// A hash of all that a result depends on.
fn identity(job: &Job) -> Result<Vec<u8>, Error> {
    let config = serde_json::to_vec(&job.config).map_err(|e| Error::Internal(e.to_string()))?;
    let version = [env!("CARGO_PKG_VERSION"), " ", &job.config.thread_count().to_string()].concat();
    let mut hash = Sha256::new();
    let data = [Some(&job.calibration), job.train.as_ref(), job.validation.as_ref()];
    for part in [version.as_bytes(), &config, &job.model] {
        // lengths keep the parts apart
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    for file in data {
        hash.update(file.map_or(0, |f| f.len()).to_le_bytes());
        let Some(file) = file else { continue };
        let (mut reader, mut piece) = (file.reader(), vec![0; 1 << 16]);
        loop {
            let cannot = |e| Error::Data(vec![format!("`{}`: cannot read the file: {e}", file.name)]);
            match reader.read(&mut piece).map_err(cannot)? {
                0 => break,
                n => hash.update(&piece[..n]),
            }
        }
    }
    Ok(hash.finalize().to_vec())
}
