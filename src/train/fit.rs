//! The training run: one descending trunk with branches that anneal at the wanted budgets, or one β ramp.
//!
//! Trunk: the EBOPs target falls from the start to 0.65 × the smallest budget, the learning rate from `lr` to `lr/5`. Branch for
//! budget `b`: from the last trunk snapshot of at least `1.15·b`, target `0.97·b`, fresh moments, rates held then annealed by a cosine.
//! Every snapshot is scored exactly and competes for the front.

use super::controller::Controller;
use super::ebops::Ebops;
use super::engine::{Engine, EngineOptions};
use super::pareto::{Front, Point, Score};
use super::schedule::{Ramp, hold_cosine, log_line, log_piecewise};
use super::{TaskLoss, TrainError, TrainSet};
use crate::data::rng::Rng;
use crate::quant::Model;
use std::sync::atomic::{AtomicBool, Ordering};
use thiserror::Error;

/// Share of the epochs that the trunk takes.
const TRUNK_SHARE: f64 = 0.6;
/// Where in the trunk the largest budget is reached.
const TRUNK_KNEE: f64 = 0.1;
/// The trunk ends at this multiple of the smallest budget.
const TRUNK_END: f64 = 0.65;
/// A branch starts from the last snapshot of at least this multiple of its budget …
const BRANCH_START: f64 = 1.15;
/// … and aims at this multiple.
const BRANCH_TARGET: f64 = 0.97;
/// Share of a branch before its rates anneal.
const BRANCH_HOLD: f64 = 0.4;
/// Snapshots scored per branch.
const BRANCH_SNAPSHOTS: usize = 10;
/// Snapshots scored in the trunk, at most: scoring costs about as much as a few epochs.
const TRUNK_SNAPSHOTS: usize = 100;
/// Times that a diverged run is taken back to its last good state, at half the rate each time.
const MAX_ROLLBACKS: usize = 6;

/// What the run steers to.
#[derive(Clone, Debug, PartialEq)]
pub enum Goal {
    /// A β schedule over all epochs.
    Ramp { ramp: Ramp, start: f64, end: f64 },
    /// Budgets in EBOPs, largest first.
    Budgets(Vec<f64>),
}

#[derive(Clone, Debug)]
pub struct FitOptions {
    pub epochs: usize,
    pub batch: usize,
    pub seed: u64,
    pub learning_rate: f64,
    pub learning_rate_bits: f64,
    /// Factor of the sum of fractional bits (HGQ's `l1`).
    pub l1: f32,
    pub loss: TaskLoss,
    pub goal: Goal,
    /// Magnitude of the task loss, 1 for a cross entropy: the controller's β is in its units.
    pub loss_scale: f64,
    /// EBOPs of the exact count that training cannot change and the engine does not see.
    pub overhead: f64,
    pub engine: EngineOptions,
}

/// One epoch, for whoever watches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epoch {
    /// Counted over trunk and branches, from 1.
    pub epoch: usize,
    pub epochs: usize,
    pub loss: f64,
    pub beta: f64,
    /// EBOPs of exact weight bits and running ranges, last step.
    pub ebops: f64,
    /// The exact score, in epochs that are scored.
    pub score: Option<Score>,
}

/// Result of a run.
#[derive(Debug, Default)]
pub struct Fitted {
    pub front: Front<Model>,
    /// Times the run diverged and was taken back.
    pub rollbacks: usize,
}

#[derive(Debug, Error)]
pub enum FitError {
    #[error(transparent)]
    Train(#[from] TrainError),
    #[error("{0}")]
    Score(String),
    #[error(
        "training diverged: the loss is not finite even at 1/64 of the learning rate; lower learning_rate or scale the inputs"
    )]
    Diverged,
    #[error("canceled")]
    Canceled,
}

/// Whoever scores snapshots and watches epochs.
pub trait Observer {
    /// Exact score of a model.
    ///
    /// # Errors
    /// Why it cannot be scored.
    fn score(&mut self, model: &Model) -> Result<Score, String>;
    fn epoch(&mut self, epoch: &Epoch);
}

/// Trains `model` on the given rows of `set`.
///
/// # Errors
/// See [`FitError`].
pub fn fit(
    model: &Model,
    set: &TrainSet,
    rows: &[u32],
    options: &FitOptions,
    observer: &mut dyn Observer,
    cancel: &AtomicBool,
) -> Result<Fitted, FitError> {
    let mut run = Run {
        engine: Engine::new(model, &options.engine)?,
        model,
        set,
        options,
        observer,
        cancel,
        order: rows.to_vec(),
        rng: Rng::new(options.seed),
        done: 0,
        rate: 1.0,
        fitted: Fitted::default(),
    };
    run.candidate(0)?;
    match &options.goal {
        Goal::Ramp { ramp, start, end } => {
            let every = options.epochs.div_ceil(TRUNK_SNAPSHOTS).max(1);
            run.stretch(options.epochs, every, &mut Steering::Ramp(*ramp, *start, *end), &trunk_rates(options))?;
        }
        Goal::Budgets(budgets) => run.trunk_and_branches(budgets)?,
    }
    Ok(run.fitted)
}

/// Learning rates (weights, bits) at `u`.
type Rates = Box<dyn Fn(f64) -> (f64, f64)>;

fn trunk_rates(o: &FitOptions) -> Rates {
    let (w, b) = (o.learning_rate, o.learning_rate_bits);
    Box::new(move |u| (log_line(w, w / 5.0, u), b))
}

fn branch_rates(o: &FitOptions) -> Rates {
    let (w, b) = (o.learning_rate, o.learning_rate_bits);
    Box::new(move |u| (hold_cosine(0.5 * w, 0.01 * w, BRANCH_HOLD, u), hold_cosine(0.5 * b, 0.015 * b, BRANCH_HOLD, u)))
}

/// What sets β in a stretch of epochs.
enum Steering<'a> {
    /// A schedule from the first value to the second.
    Ramp(Ramp, f64, f64),
    /// A controller that follows a target in EBOPs, a function of `u`.
    Follow(Controller, &'a dyn Fn(f64) -> f64),
}

impl Steering<'_> {
    fn beta(&mut self, options: &FitOptions, ebops: f64, u: f64) -> f64 {
        match self {
            Steering::Ramp(ramp, start, end) => ramp.at(*start, *end, u),
            Steering::Follow(controller, target) => options.loss_scale * controller.beta(ebops + options.overhead, target(u)),
        }
    }

    /// The controller's state, for whoever goes on from a snapshot.
    fn state(&self) -> f64 {
        match self {
            Steering::Ramp(..) => Controller::default().state,
            Steering::Follow(controller, _) => controller.state,
        }
    }
}

struct Snapshot {
    ebops: f64,
    parameters: Vec<f32>,
    controller: f64,
}

struct Run<'a> {
    engine: Engine,
    model: &'a Model,
    set: &'a TrainSet<'a>,
    options: &'a FitOptions,
    observer: &'a mut dyn Observer,
    cancel: &'a AtomicBool,
    order: Vec<u32>,
    rng: Rng,
    done: usize,
    /// Factor on the learning rates; halved by every rollback.
    rate: f64,
    fitted: Fitted,
}

impl Run<'_> {
    fn trunk_and_branches(&mut self, budgets: &[f64]) -> Result<(), FitError> {
        let (Some(&largest), Some(&smallest)) = (budgets.first(), budgets.last()) else { return Ok(()) };
        let epochs = self.options.epochs;
        let trunk = ((epochs as f64 * TRUNK_SHARE).round() as usize).clamp(1, epochs);
        let branch = (epochs - trunk) / budgets.len();
        let start = self.fitted.front.points().first().map_or(largest, |p| p.score.ebops as f64).max(1.0);
        let knee = largest.min(start);
        let targets = [(0.0, start), (TRUNK_KNEE, knee), (1.0, (TRUNK_END * smallest).max(1.0).min(knee))];
        let target = |u: f64| log_piecewise(&targets, u);
        let every = trunk.div_ceil(TRUNK_SNAPSHOTS).max(1);
        let controller = Controller::default();
        let mut snapshots = vec![self.snapshot(start, controller.state)];
        let mut steering = Steering::Follow(controller, &target);
        snapshots.extend(self.stretch(trunk, every, &mut steering, &trunk_rates(self.options))?);
        for (n, &budget) in budgets.iter().enumerate() {
            // what division left over goes to the first, largest budget
            let length = if n == 0 { epochs - trunk - branch * (budgets.len() - 1) } else { branch };
            if length == 0 {
                continue;
            }
            let from = snapshots.iter().rposition(|s| s.ebops >= BRANCH_START * budget).unwrap_or(0);
            let Some(snapshot) = snapshots.get(from) else { continue };
            let controller = Controller { state: snapshot.controller };
            self.engine.restore(&snapshot.parameters)?;
            self.engine.reset_moments();
            self.engine.reset_ranges();
            let target = |_: f64| BRANCH_TARGET * budget;
            let every = (length / BRANCH_SNAPSHOTS).max(1);
            self.stretch(length, every, &mut Steering::Follow(controller, &target), &branch_rates(self.options))?;
        }
        Ok(())
    }

    fn snapshot(&self, ebops: f64, controller: f64) -> Snapshot {
        Snapshot { ebops, parameters: self.engine.snapshot(), controller }
    }

    /// `epochs` epochs; every `every`th and the last are scored and returned.
    fn stretch(
        &mut self,
        epochs: usize,
        every: usize,
        steering: &mut Steering,
        rates: &Rates,
    ) -> Result<Vec<Snapshot>, FitError> {
        let mut snapshots = Vec::new();
        let mut good = self.engine.snapshot();
        let mut rollbacks = 0;
        for epoch in 0..epochs {
            let u = if epochs > 1 { epoch as f64 / (epochs - 1) as f64 } else { 1.0 };
            let (mut loss, mut last) = (0.0, (0.0, 0.0));
            self.rng.shuffle(&mut self.order);
            self.engine.reset_ranges();
            let size = self.options.batch.clamp(1, self.order.len().max(1));
            let steps = (self.order.len() / size).max(1);
            for step in 0..steps {
                if self.cancel.load(Ordering::Relaxed) {
                    return Err(FitError::Canceled);
                }
                let batch = &self.order[(step * size).min(self.order.len())..((step + 1) * size).min(self.order.len())];
                let options = self.options;
                let mut beta = |e: Ebops| steering.beta(options, e.enclosed, u) as f32;
                let stats = self.engine.gradients(self.set, batch, &options.loss, options.l1, &mut beta)?;
                let (w, b) = rates(u);
                self.engine.adam((w * self.rate) as f32, (b * self.rate) as f32);
                loss += stats.task_loss / steps as f64;
                last = (stats.ebops.enclosed, stats.beta as f64);
            }
            self.done += 1;
            if !loss.is_finite() || self.engine.snapshot().iter().any(|v| !v.is_finite()) {
                rollbacks += 1;
                self.fitted.rollbacks += 1;
                if rollbacks > MAX_ROLLBACKS {
                    return Err(FitError::Diverged);
                }
                self.rate *= 0.5;
                self.engine.restore(&good)?;
                self.engine.reset_moments();
                continue;
            }
            let scored = (epoch + 1) % every == 0 || epoch + 1 == epochs;
            let score = if scored { Some(self.candidate(self.done)?) } else { None };
            if let Some(score) = score {
                good = self.engine.snapshot();
                snapshots.push(self.snapshot(score.ebops as f64, steering.state()));
            }
            let epochs = self.options.epochs;
            self.observer.epoch(&Epoch { epoch: self.done, epochs, loss, beta: last.1, ebops: last.0, score });
        }
        Ok(snapshots)
    }

    /// Scores the engine's present parameters and offers them to the front.
    fn candidate(&mut self, epoch: usize) -> Result<Score, FitError> {
        let mut model = self.model.clone();
        if epoch > 0 {
            self.engine.export(&mut model)?;
        }
        let score = self.observer.score(&model).map_err(FitError::Score)?;
        self.fitted.front.insert(Point { epoch, score, payload: model });
        Ok(score)
    }
}
