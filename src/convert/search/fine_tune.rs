//! From a job to a training run: loss, goal, batch; and the observer that scores snapshots exactly.

use super::checkpoint::Checkpoints;
use super::goal::{batch_size, goal, steps};
use super::polish::polish_front;
use crate::convert::config::JobConfig;
use crate::convert::config::training::RateSchedule;
use crate::convert::engine::engine_options;
use crate::convert::error::{Error, training_error};
use crate::convert::evaluation::score::{ExactCandidate, Judge};
use crate::convert::job::Job;
use crate::convert::layout::join;
use crate::convert::progress::curve::CurvePoint;
use crate::convert::progress::{CheckpointStore, Reporter};
use crate::convert::source::Source;
use crate::convert::source::data::Data;
use crate::convert::task::metric::MetricKind;
use crate::convert::task::objective::Objective;
use crate::quant::insert::Built;
use crate::quant::kif::floor_log2;
use crate::quant::{Model, ebops};
use crate::train::fit::fit;
use crate::train::fit::options::{Epoch, FitError, FitOptions, Fitted, Observer};
use crate::train::fit::schedule::Rate;
use crate::train::pareto::Score;
use crate::train::polish::Polishing;
use crate::train::{EngineOptions, TaskLoss};
use std::borrow::Cow;
use std::f64::consts::SQRT_2;
use std::sync::atomic::AtomicBool;

struct Watch<'a, 'b, 'c> {
    judge: &'a Judge<'a>,
    checkpoints: Checkpoints<'b>,
    reporter: &'b mut Reporter<'c>,
    kind: MetricKind,
    last_metric: f64,
    last_luts: Option<f64>,
}

impl Observer for Watch<'_, '_, '_> {
    fn score(&mut self, model: &Model, annealed: bool) -> Result<Score, String> {
        // a snapshot whose sums leave 62 bits is not a candidate; the run may come back
        let lost = Score { metric: f64::NAN, loss: f64::NAN, ..Score::WORST };
        Ok(self.judge.judged(model, annealed).map_or(lost, |e| e.score))
    }

    fn epoch(&mut self, e: &Epoch) {
        if let Some(s) = e.score.filter(|s| s.metric.is_finite()) {
            self.last_metric = self.kind.shown(s.metric);
            self.last_luts = Some(s.hardware.luts as f64);
        }
        let ebops = e.score.map_or(e.ebops, |s| s.ebops as f64);
        let point = CurvePoint {
            epoch: e.epoch as u64,
            loss: e.loss,
            metric: self.last_metric,
            ebops,
            beta: e.beta,
            luts: self.last_luts,
        };
        self.reporter.epoch(point, e.epochs);
    }

    fn wants_checkpoint(&mut self, epoch: usize) -> bool {
        self.checkpoints.is_due(epoch)
    }

    fn checkpoint(&mut self, bytes: &[u8]) {
        self.checkpoints.save(bytes, &self.reporter.curve);
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
    pub start: &'a ExactCandidate,
    /// Metric of the source, larger is better.
    pub source_metric: f64,
}

/// Trains and returns the front.
///
/// # Errors
/// [`Error::Data`], [`Error::Config`] for what does not fit, [`Error::Canceled`],
/// [`Error::Internal`].
pub fn train(
    mut t: Training,
    reporter: &mut Reporter,
    keeper: &mut dyn CheckpointStore,
    cancel: &AtomicBool,
) -> Result<Fitted, Error> {
    let logits = t.objective.logits.clone();
    let teacher = &logits.turned(t.teacher)[..];
    let model = logits.trained(&t.built.model);
    t.objective.sharpen(teacher, t.source.width);
    let options = fit_options(&t, teacher)?;
    let Training { job, source, domain, objective, judge, start, .. } = t;
    let config = &job.config;
    let rows = domain.train.samples;
    let widths = source.input_widths();
    let x = match &domain.train.rows()[..] {
        [only] => Cow::Borrowed(*only),
        several => Cow::Owned(join(several, &widths, rows)),
    };
    let set = objective.set((widths.iter().sum(), &x), (source.width, teacher)).map_err(training_error)?;
    let order: Vec<u32> = (0..rows as u32).collect();
    let mut checkpoints = Checkpoints::new(job, keeper)?;
    let resume = checkpoints.load(reporter);
    let last_metric = reporter.curve.last_metric().unwrap_or_else(|| judge.kind.shown(start.score.metric));
    let last_luts = reporter.curve.last_luts();
    let mut watch = Watch { judge, checkpoints, kind: judge.kind, reporter, last_metric, last_luts };
    let mut fitted = fit(&model, &set, &order, &options, &mut watch, resume.as_deref(), cancel).map_err(|e| match e {
        FitError::Canceled => Error::Canceled,
        FitError::Diverged => Error::Data(vec![e.to_string()]),
        FitError::Train(e) => training_error(e),
        FitError::Score(e) => Error::Internal(e),
    })?;
    if config.polish {
        // it can take longer than the epochs
        watch.reporter.enter("polish");
        let how = Polishing {
            set: &set,
            rows: &order,
            epochs: config.epochs,
            input_widths: &widths,
            loss: &options.loss,
            layers: &options.engine.layers,
            output_exponents: &options.engine.output_exponents,
            trained: &|full| logits.trained_exactly(full),
        };
        let mut begins = |step| watch.reporter.step(step);
        polish_front(&mut fitted.front, &options.goal, config.target(), judge, &how, &mut begins, cancel)?;
    }
    Ok(fitted)
}

/// How the engine trains; `teacher`: the source's logits as they are trained on.
fn fit_options(t: &Training, teacher: &[f32]) -> Result<FitOptions, Error> {
    let Training { source, objective, built, judge, start, .. } = t;
    let config = &t.job.config;
    let exponents = judge.scales.of_outputs();
    let rows = t.domain.train.samples;
    let batch = batch_size(config, rows);
    let goal = goal(config, judge, steps(config, rows), config.count().of(&start.score) as f64, t.source_metric);
    let overhead = ebops::fixed(&start.pruned)? as f64;
    let loss_scale = objective.scale(teacher, source.width);
    Ok(FitOptions {
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
        count: config.count(),
        loss_scale,
        overhead,
        engine: EngineOptions {
            output_exponents: exponents,
            loss_exponent: floor_log2(loss_scale * SQRT_2),
            ..engine_options(config, built)
        },
    })
}

fn rate(config: &JobConfig) -> Rate {
    let rate = &config.learning_rate;
    match rate.schedule {
        RateSchedule::Recipe => Rate::Recipe,
        RateSchedule::Constant => Rate::Constant { warm_up: rate.warm_up },
        RateSchedule::Cosine => Rate::Cosine { warm_up: rate.warm_up, cycles: rate.cycles, end: rate.end },
    }
}
