//! From a job to a training run: loss, goal, batch; and the observer that scores snapshots exactly.

use super::config::{BetaSchedule, LossName};
use super::layout::join;
use super::metric::MetricKind;
use super::pipeline::Clock;
use super::prepare::{Data, Source};
use super::score::{Exactly, Judge};
use super::{Error, Event, Job};
use crate::data::Targets;
use crate::quant::{Model, ebops};
use crate::train::fit::{Epoch, FitError, FitOptions, Fitted, Goal, Observer, fit};
use crate::train::pareto::Score;
use crate::train::schedule::Ramp;
use crate::train::{EngineOptions, LossKind, TaskLoss, TrainError, TrainSet};
use std::borrow::Cow;
use std::sync::atomic::AtomicBool;

/// Budgets below a wanted one, as its multiples: a front around the target.
const TARGET_BUDGETS: [f64; 3] = [1.0, 0.63, 0.4];
/// Optimizer steps below which a job with a target trains for that target alone: widths move about a bit in 100 steps.
const STEPS_FOR_A_FRONT: usize = 2500;
/// Without a target: budgets from this share of the starting EBOPs …
const WIDEST_BUDGET: f64 = 1.0;
/// … down to this one …
const NARROWEST_BUDGET: f64 = 0.02;
/// … in this many steps of equal ratio.
const BUDGETS: usize = 8;
/// … of at least this many EBOPs, so that budgets of a nearly empty model still mean something.
const SMALLEST_START: f64 = 100.0;
/// Steps per epoch when no batch size is given (training recipe).
const STEPS_PER_EPOCH: usize = 40;
const SMALLEST_BATCH: usize = 16;
const LARGEST_BATCH: usize = 4096;

struct Watch<'a, 'b, 'c> {
    judge: &'a Judge<'a>,
    clock: &'b mut Clock<'c>,
    kind: MetricKind,
    last_metric: f64,
}

impl Observer for Watch<'_, '_, '_> {
    fn score(&mut self, model: &Model) -> Result<Score, String> {
        // a snapshot whose sums leave 62 bits is no candidate; the run may come back
        let lost = Score { ebops: u64::MAX, metric: f64::NAN, loss: f64::NAN };
        Ok(self.judge.judge(model).map_or(lost, |e| e.score))
    }

    fn epoch(&mut self, e: &Epoch) {
        if let Some(s) = e.score.filter(|s| s.metric.is_finite()) {
            self.last_metric = self.kind.shown(s.metric);
        }
        let ebops = e.score.map_or(e.ebops, |s| s.ebops as f64);
        (self.clock.progress)(Event::Epoch {
            epoch: e.epoch,
            epochs: e.epochs,
            loss: e.loss,
            metric: self.last_metric,
            ebops,
            beta: e.beta,
        });
    }
}

/// What a run needs.
pub struct Training<'a> {
    pub job: &'a Job,
    pub source: &'a Source,
    pub data: &'a Data,
    /// The source's logits on the training samples.
    pub teacher: &'a [f32],
    pub model: &'a Model,
    pub judge: &'a Judge<'a>,
    pub start: &'a Exactly,
}

/// Trains and returns the front.
///
/// # Errors
/// [`Error::Data`], [`Error::Config`] for what does not fit, [`Error::Canceled`], [`Error::Internal`].
pub fn train(t: &Training, clock: &mut Clock, cancel: &AtomicBool) -> Result<Fitted, Error> {
    let Training { job, source, data, teacher, model, judge, start } = *t;
    let config = &job.config;
    let (labels, values) = match &data.train.targets {
        Some(Targets::Labels(l)) => (Some(l.as_slice()), None),
        Some(Targets::Values { values, .. }) => (None, Some(values.as_slice())),
        None => (None, None),
    };
    let unlabelled = labels.is_none() && values.is_none();
    let kind = match config.loss {
        Some(LossName::CrossEntropy) => LossKind::CrossEntropy,
        Some(LossName::Mse) => LossKind::Mse,
        Some(LossName::Bce) => LossKind::Bce,
        None if values.is_some() => LossKind::Mse,
        None if source.widths.len() > 1 => LossKind::Mse,
        None if source.width > 1 => LossKind::CrossEntropy,
        None if labels.is_some() => LossKind::Bce,
        None => LossKind::Mse,
    };
    let rows = data.train.samples;
    let batch = config.batch_size.unwrap_or((rows / STEPS_PER_EPOCH).clamp(SMALLEST_BATCH, LARGEST_BATCH)).min(rows.max(1));
    let goal = goal(job, config.epochs * (rows / batch).max(1), start.score.ebops as f64);
    let overhead = ebops::fixed(&start.pruned)? as f64;
    let options = FitOptions {
        epochs: config.epochs,
        batch,
        seed: config.seed,
        learning_rate: config.learning_rate.weights as f64,
        learning_rate_bits: config.learning_rate.bits as f64,
        l1: config.gamma,
        loss: TaskLoss {
            kind,
            teacher_weight: if unlabelled { 1.0 } else { config.teacher_weight },
            temperature: judge.temperature as f32,
        },
        goal,
        loss_scale: if kind == LossKind::Mse { variance(teacher, source.width) } else { 1.0 },
        overhead,
        engine: EngineOptions {
            threads: config.thread_count(),
            group_norm: true,
            isa: None,
            train_weights: config.optimize.weights,
            train_bits: config.optimize.bits,
        },
    };
    let widths = source.input_widths();
    let x = match &data.train.inputs[..] {
        [only] => Cow::Borrowed(&only[..]),
        several => Cow::Owned(join(several, &widths, rows)),
    };
    let set = TrainSet::new(widths.iter().sum(), source.width, &x, labels, values, Some(teacher)).map_err(training_error)?;
    let order: Vec<u32> = (0..rows as u32).collect();
    let mut watch = Watch { judge, kind: judge.kind, clock, last_metric: judge.kind.shown(start.score.metric) };
    fit(model, &set, &order, &options, &mut watch, cancel).map_err(|e| match e {
        FitError::Canceled => Error::Canceled,
        FitError::Diverged => Error::Data(vec![e.to_string()]),
        FitError::Train(e) => training_error(e),
        FitError::Score(e) => Error::Internal(e),
    })
}

pub(super) fn training_error(e: TrainError) -> Error {
    match e {
        TrainError::Data(what) => Error::Data(vec![format!("train: {what}")]),
        TrainError::Option { option, what } => Error::Config(vec![format!("config: {option}: {what}")]),
        other => Error::Internal(other.to_string()),
    }
}

/// Mean variance of the source's outputs: what a squared error is large or small against.
pub(super) fn variance(outputs: &[f32], width: usize) -> f64 {
    let n = (outputs.len() / width.max(1)).max(1) as f64;
    let column = |c: usize| outputs.iter().skip(c).step_by(width.max(1)).map(|&v| v as f64);
    let of = |c: usize| {
        let mean = column(c).sum::<f64>() / n;
        column(c).map(|v| (v - mean).powi(2)).sum::<f64>() / n
    };
    let mean = (0..width).map(of).sum::<f64>() / width.max(1) as f64;
    if mean > 0.0 && mean.is_finite() { mean } else { 1.0 }
}

/// What the run steers to, from the job's wishes, its optimizer steps and the EBOPs it starts from.
fn goal(job: &Job, steps: usize, start: f64) -> Goal {
    match (job.config.beta, job.config.target_ebops) {
        (Some(b), _) => {
            let ramp = match b.schedule {
                BetaSchedule::Log => Ramp::Log,
                BetaSchedule::Linear => Ramp::Linear,
                BetaSchedule::Constant => Ramp::Constant,
            };
            Goal::Ramp { ramp, start: b.start as f64, end: b.end as f64 }
        }
        (None, Some(target)) => {
            // few steps are all needed for the target itself
            let budgets = if steps < STEPS_FOR_A_FRONT { &TARGET_BUDGETS[..1] } else { &TARGET_BUDGETS[..] };
            Goal::Budgets(budgets.iter().map(|m| (m * target).max(1.0)).collect())
        }
        (None, None) => {
            let ratio = (NARROWEST_BUDGET / WIDEST_BUDGET).powf(1.0 / (BUDGETS - 1) as f64);
            Goal::Budgets((0..BUDGETS).map(|n| start.max(SMALLEST_START) * WIDEST_BUDGET * ratio.powi(n as i32)).collect())
        }
    }
}
