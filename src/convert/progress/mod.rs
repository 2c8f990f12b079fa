//! Progress of a running job: events for whoever watches, and checkpoints for whoever keeps them.

pub mod curve;

use crate::diagnostic::Diagnostic;
use curve::{Curve, CurvePoint};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Instant;

/// The step of a stage that begins, from 1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Step {
    /// This one.
    pub step: usize,
    /// At most so many.
    pub steps: usize,
}

/// Progress of a running job.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A stage begins, or a step of one that knows how many it has at most.
    Stage {
        /// Its name.
        stage: Cow<'static, str>,
        /// Its step.
        #[serde(flatten)]
        step: Option<Step>,
    },
    /// An epoch has ended, or a candidate was scored.
    Epoch {
        /// From 1.
        epoch: usize,
        /// In all.
        epochs: usize,
        /// Training loss.
        loss: f64,
        /// Metric of the last snapshot that was scored.
        metric: f64,
        /// As training counts them.
        ebops: f64,
        /// LUTs of the last snapshot that was scored.
        #[serde(skip_serializing_if = "Option::is_none")]
        luts: Option<f64>,
        /// Factor of EBOPs in the loss.
        beta: f64,
    },
    /// Something that should be known now.
    Note {
        /// What programs read.
        code: Cow<'static, str>,
        /// What people read.
        message: String,
    },
}

/// Where the checkpoints of a job go. Those of another job (model, data, configuration, version)
/// are not taken up.
pub trait CheckpointStore {
    /// The last checkpoint, if there is one.
    fn load(&mut self) -> Option<Vec<u8>>;
    /// Takes the place of the last one.
    fn save(&mut self, checkpoint: &[u8]);
}

/// Keeps nothing.
pub struct NoCheckpoints;

impl CheckpointStore for NoCheckpoints {
    fn load(&mut self) -> Option<Vec<u8>> {
        None
    }

    fn save(&mut self, _: &[u8]) {}
}

/// Announces stages and epochs, and collects seconds per stage and the course of the training.
pub struct Reporter<'a> {
    /// Who is told.
    pub progress: &'a mut (dyn FnMut(Event) + Send),
    /// The course of the training so far.
    pub curve: Curve,
    stage: &'static str,
    since: Instant,
    /// Per stage that has ended.
    pub seconds: BTreeMap<String, f64>,
}

impl<'a> Reporter<'a> {
    /// No stage has begun yet.
    pub fn new(progress: &'a mut (dyn FnMut(Event) + Send)) -> Reporter<'a> {
        Reporter { progress, curve: Curve::default(), stage: "", since: Instant::now(), seconds: BTreeMap::new() }
    }

    /// A stage begins.
    pub fn enter(&mut self, stage: &'static str) {
        self.leave();
        self.stage = stage;
        (self.progress)(Event::Stage { stage: stage.into(), step: None });
    }

    /// A step of the stage begins.
    pub fn step(&mut self, step: Step) {
        (self.progress)(Event::Stage { stage: self.stage.into(), step: Some(step) });
    }

    /// An epoch of `epochs`, or a candidate.
    pub fn epoch(&mut self, point: CurvePoint, epochs: usize) {
        self.curve.push(point);
        let CurvePoint { epoch, loss, metric, ebops, beta, luts } = point;
        (self.progress)(Event::Epoch { epoch: epoch as usize, epochs, loss, metric, ebops, luts, beta });
    }

    /// Tells the warnings known so far: a user can stop a run that starts from a misunderstanding.
    pub fn tell(&mut self, warnings: &[Diagnostic]) {
        for w in warnings {
            let message = w.node.as_ref().map_or_else(|| w.message.clone(), |node| format!("{node}: {}", w.message));
            (self.progress)(Event::Note { code: w.code.name().into(), message });
        }
    }

    /// The stage ends.
    pub fn leave(&mut self) {
        let elapsed = self.since.elapsed().as_secs_f64();
        if !self.stage.is_empty() {
            self.seconds.insert(self.stage.into(), (elapsed * 1e4).round() / 1e4);
        }
        self.since = Instant::now();
    }
}
