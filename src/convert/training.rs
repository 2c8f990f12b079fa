//! From a job to a training run: loss, goal, batch; and the observer that scores snapshots exactly.

use super::checkpoint::Checkpoints;
use super::config::{BetaSchedule, JobConfig, RateSchedule};
use super::curve::CurvePoint;
use super::layout::join;
use super::metric::MetricKind;
use super::objective::Objective;
use super::pipeline::Clock;
use super::polish::polish_front;
use super::prepare::{Data, Source};
use super::score::{Exactly, Judge};
use super::{Error, Job, Keeper};
use crate::quant::build::{Built, Learns};
use crate::quant::kif::floor_log2;
use crate::quant::{Model, ebops};
use crate::train::fit::{Epoch, FitError, FitOptions, Fitted, Goal, Observer, fit};
use crate::train::pareto::Score;
use crate::train::polish::Polishing;
use crate::train::schedule::{Beta, Ramp, Rate};
use crate::train::{Engine, EngineOptions, LayerOptions, TaskLoss, TrainError};
use std::borrow::Cow;
use std::f64::consts::SQRT_2;
use std::sync::atomic::AtomicBool;

/// Budgets around a wanted one, as its multiples: a front around the target, and a larger model to polish down to it.
const TARGET_BUDGETS: [f64; 4] = [1.6, 1.0, 0.63, 0.4];
/// Ratio of neighbouring budgets in the search for the smallest model of a metric …
const METRIC_RATIO: f64 = 0.85;
/// … and how many there are: down to about a hundredth of the start.
const METRIC_BUDGETS: usize = 30;
/// A metric this many allowed drops, and this many standard errors, below the one wanted is out of reach.
const HOPELESS_DROPS: f64 = 6.0;
const HOPELESS_ERRORS: f64 = 10.0;
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
    checkpoints: Checkpoints<'b>,
    clock: &'b mut Clock<'c>,
    kind: MetricKind,
    last_metric: f64,
}

impl Observer for Watch<'_, '_, '_> {
    fn score(&mut self, model: &Model, settled: bool) -> Result<Score, String> {
        // a snapshot whose sums leave 62 bits is no candidate; the run may come back
        let lost = Score { metric: f64::NAN, loss: f64::NAN, ..Score::WORST };
        Ok(self.judge.judged(model, settled).map_or(lost, |e| e.score))
    }

    fn epoch(&mut self, e: &Epoch) {
        if let Some(s) = e.score.filter(|s| s.metric.is_finite()) {
            self.last_metric = self.kind.shown(s.metric);
        }
        let ebops = e.score.map_or(e.ebops, |s| s.ebops as f64);
        let point = CurvePoint { epoch: e.epoch as u64, loss: e.loss, metric: self.last_metric, ebops, beta: e.beta };
        self.clock.epoch(point, e.epochs);
    }

    fn wants_checkpoint(&mut self, epoch: usize) -> bool {
        self.checkpoints.is_due(epoch)
    }

    fn checkpoint(&mut self, bytes: &[u8]) {
        self.checkpoints.save(bytes, &self.clock.curve);
    }
}

/// What a run needs.
pub struct Training<'a> {
    pub job: &'a Job,
    pub source: &'a Source,
    pub domain: &'a Data,
    /// The source's logits on the training samples.
    pub teacher: &'a [f32],
    pub objective: Objective<'a>,
    pub built: &'a Built,
    pub judge: &'a Judge<'a>,
    pub start: &'a Exactly,
    /// Metric of the source, larger is better.
    pub source_metric: f64,
}

/// Trains and returns the front.
///
/// # Errors
/// [`Error::Data`], [`Error::Config`] for what does not fit, [`Error::Canceled`], [`Error::Internal`].
pub fn train(t: Training, clock: &mut Clock, keeper: &mut dyn Keeper, cancel: &AtomicBool) -> Result<Fitted, Error> {
    let Training { job, source, domain, teacher, mut objective, built, judge, start, source_metric } = t;
    let logits = objective.logits.clone();
    let teacher = &logits.turned(teacher)[..];
    let model = logits.trained(&built.model);
    objective.sharpen(teacher, source.width);
    let config = &job.config;
    let exponents = judge.scales.of_outputs();
    let rows = domain.train.samples;
    let batch = batch_size(config, rows);
    let goal = goal(config, judge, steps(config, rows), start.score.ebops as f64, source_metric);
    let overhead = ebops::fixed(&start.pruned)? as f64;
    let loss_scale = objective.scale(teacher, source.width);
    let options = FitOptions {
        epochs: config.epochs,
        batch,
        seed: config.seed,
        learning_rate: config.learning_rate.weights as f64,
        learning_rate_bits: config.learning_rate.bits as f64,
        rate: rate(config),
        l1: config.gamma,
        loss: TaskLoss {
            kind: objective.kind,
            teacher_weight: if objective.unlabelled() { 1.0 } else { config.teacher_weight },
            temperature: judge.temperature as f32,
        },
        goal,
        patience: config.patience,
        loss_scale,
        overhead,
        engine: EngineOptions {
            output_exponents: exponents.clone(),
            loss_exponent: floor_log2(loss_scale * SQRT_2),
            ..engine_options(config, built)
        },
    };
    let widths = source.input_widths();
    let x = match &domain.train.rows()[..] {
        [only] => Cow::Borrowed(*only),
        several => Cow::Owned(join(several, &widths, rows)),
    };
    let set = objective.set((widths.iter().sum(), &x), (source.width, teacher)).map_err(training_error)?;
    let order: Vec<u32> = (0..rows as u32).collect();
    let mut checkpoints = Checkpoints::new(job, keeper)?;
    let resume = checkpoints.load(clock);
    let last_metric = clock.curve.last_metric().unwrap_or_else(|| judge.kind.shown(start.score.metric));
    let mut watch = Watch { judge, checkpoints, kind: judge.kind, clock, last_metric };
    let mut fitted = fit(&model, &set, &order, &options, &mut watch, resume.as_deref(), cancel).map_err(|e| match e {
        FitError::Canceled => Error::Canceled,
        FitError::Diverged => Error::Data(vec![e.to_string()]),
        FitError::Train(e) => training_error(e),
        FitError::Score(e) => Error::Internal(e),
    })?;
    if config.polish && config.optimize.weights {
        // it can take longer than the epochs
        watch.clock.enter("polish");
        let how = Polishing {
            set: &set,
            rows: &order,
            epochs: config.epochs,
            input_widths: &widths,
            loss: &options.loss,
            layers: &options.engine.layers,
            output_exponents: &exponents,
            trained: &|full| logits.trained_exactly(full),
        };
        let mut begins = |step| watch.clock.step(step);
        polish_front(&mut fitted.front, &options.goal, config.target_ebops, judge, &how, &mut begins, cancel)?;
    }
    Ok(fitted)
}

/// Whether the training of the job can begin: everything that it would refuse, without a step of it.
///
/// # Errors
/// [`Error::Config`], [`Error::Internal`] as [`train`].
pub fn check(config: &JobConfig, built: &Built) -> Result<(), Error> {
    Engine::accepts(&built.model, &engine_options(config, built)).map_err(training_error)
}

fn engine_options(config: &JobConfig, built: &Built) -> EngineOptions {
    EngineOptions {
        threads: config.thread_count(),
        // HGQ2 takes plain sums (spec B1.3)
        group_norm: config.group_norm && config.hgq2().is_none(),
        isa: None,
        train_weights: config.optimize.weights,
        train_bits: config.optimize.bits,
        layers: layer_options(built),
        ..EngineOptions::default()
    }
}

pub(super) fn training_error(e: TrainError) -> Error {
    match e {
        TrainError::Data(what) => Error::Data(vec![format!("train: {what}")]),
        TrainError::Option { option, what } => Error::Config(vec![format!("config: {option}: {what}")]),
        other => Error::Internal(other.to_string()),
    }
}

/// Layers whose rules ask for another training than the rest.
fn layer_options(built: &Built) -> Vec<LayerOptions> {
    let dense = built.model.nodes.iter().zip(&built.settings).filter(|(n, _)| n.op.layer().is_some());
    let other = dense.filter(|(_, s)| s.learns.weights != s.learns.bits || s.beta_scale != 1.0);
    other
        .map(|(node, s)| {
            let Learns { weights, bits } = s.learns;
            LayerOptions { node: node.name.clone(), weights, bits, beta_scale: s.beta_scale }
        })
        .collect()
}

/// Samples per step with `rows` training samples.
pub fn batch_size(config: &JobConfig, rows: usize) -> usize {
    config.batch_size.unwrap_or((rows / STEPS_PER_EPOCH).clamp(SMALLEST_BATCH, LARGEST_BATCH)).min(rows.max(1))
}

/// Optimizer steps of a run with `rows` training samples.
pub fn steps(config: &JobConfig, rows: usize) -> usize {
    config.epochs * (rows / batch_size(config, rows)).max(1)
}

/// What the run steers to, from the job's wishes, its optimizer steps, the EBOPs it starts from and the source's metric.
pub fn goal(config: &JobConfig, judge: &Judge, steps: usize, start: f64, source_metric: f64) -> Goal {
    // how far a metric may be below the one wanted by a drop until annealing does not make up for it
    let hopeless = |drop: f64| {
        let error = judge.kind.standard_error(source_metric - drop, judge.validation.samples);
        (HOPELESS_DROPS * drop.max(judge.kind.default_drop(source_metric))).max(HOPELESS_ERRORS * error)
    };
    let start = start.max(SMALLEST_START);
    if let Some(b) = &config.beta {
        let at = |v: Option<f32>| v.unwrap_or(0.0) as f64;
        let ramp = |ramp| Beta::Ramp { ramp, start: at(b.start), end: at(b.end) };
        return Goal::Schedule(match b.schedule {
            BetaSchedule::Log => ramp(Ramp::Log),
            BetaSchedule::Linear => ramp(Ramp::Linear),
            BetaSchedule::Constant => ramp(Ramp::Constant),
            BetaSchedule::Piecewise => Beta::Piecewise(b.points.clone()),
        });
    }
    if let Some(budgets) = &config.budgets {
        let mut budgets = budgets.clone();
        budgets.sort_by(|a, b| b.total_cmp(a));
        return Goal::Budgets(budgets);
    }
    if let Some(target) = config.target_ebops {
        // few steps are all needed for the target itself
        let budgets = if steps < STEPS_FOR_A_FRONT { &[1.0][..] } else { &TARGET_BUDGETS[..] };
        return Goal::Budgets(budgets.iter().map(|m| (m * target).max(1.0)).collect());
    }
    if let Some(drop) = config.max_metric_drop {
        let budgets = (1..=METRIC_BUDGETS as i32).map(|n| start * METRIC_RATIO.powi(n)).collect();
        let floor = source_metric - drop;
        return Goal::Metric { floor, hopeless: floor - hopeless(drop), budgets };
    }
    let ratio = (NARROWEST_BUDGET / WIDEST_BUDGET).powf(1.0 / (BUDGETS - 1) as f64);
    Goal::Budgets((0..BUDGETS).map(|n| start * WIDEST_BUDGET * ratio.powi(n as i32)).collect())
}

fn rate(config: &JobConfig) -> Rate {
    let rate = &config.learning_rate;
    match rate.schedule {
        RateSchedule::Recipe => Rate::Recipe,
        RateSchedule::Constant => Rate::Constant { warm_up: rate.warm_up },
        RateSchedule::Cosine => Rate::Cosine { warm_up: rate.warm_up, cycles: rate.cycles, end: rate.end },
    }
}
