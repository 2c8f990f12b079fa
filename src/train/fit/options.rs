//! What a fit is told, what it tells, and what it gives.

use super::schedule::{Beta, Rate};
use crate::quant::Model;
use crate::train::engine::loss::TaskLoss;
use crate::train::engine::options::EngineOptions;
use crate::train::error::TrainError;
use crate::train::pareto::{Count, Front, Score};
use thiserror::Error;
/// What the run steers to.
#[derive(Clone, Debug, PartialEq)]
pub enum Goal {
    /// A β schedule over all epochs.
    Schedule(Beta),
    /// Budgets in the unit of the count, largest first.
    Budgets(Vec<f64>),
    /// The smallest model whose metric is at least `floor`, looked for among `budgets` (largest
    /// first). The trunk ends where the metric is below `hopeless`.
    Metric { floor: f64, hopeless: f64, budgets: Vec<f64> },
}

#[derive(Clone, Debug)]
pub struct FitOptions {
    pub epochs: usize,
    pub batch: usize,
    pub seed: u64,
    pub learning_rate: f64,
    pub learning_rate_bits: f64,
    pub rate: Rate,
    /// Factor of the sum of fractional bits (HGQ's `l1`).
    pub l1: f32,
    pub loss: TaskLoss,
    pub goal: Goal,
    /// What the goal's budgets are in.
    pub count: Count,
    /// Magnitude of the task loss, 1 for a cross entropy: the controller's β is in its units.
    pub loss_scale: f64,
    /// EBOPs of the exact count that training cannot change and the engine does not see.
    pub overhead: f64,
    pub engine: EngineOptions,
}

/// One epoch, for whoever watches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epoch {
    /// Counted over all stages, from 1.
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
#[derive(Debug)]
pub struct Fitted {
    pub front: Front<Model>,
    /// Times the run diverged (a loss or parameter that is not finite) and was taken back.
    pub rollbacks: usize,
    /// Times the model fell to one answer for all samples, or to no bits, and was taken back or its
    /// stage ended.
    pub collapses: usize,
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
    /// Exact score of a model, which is `annealed` or not.
    ///
    /// # Errors
    /// Why it cannot be scored.
    fn score(&mut self, model: &Model, annealed: bool) -> Result<Score, String>;
    fn epoch(&mut self, epoch: &Epoch);
    /// Whether the state after `epoch` should be kept.
    fn wants_checkpoint(&mut self, _epoch: usize) -> bool {
        false
    }
    /// Takes a checkpoint, for `resume` of [`super::fit()`].
    fn checkpoint(&mut self, _bytes: &[u8]) {}
}
