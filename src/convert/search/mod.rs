//! How candidates come: from training, from sensitivities, or the model as it is; and which of them
//! is chosen.

pub mod calibrate;
mod checkpoint;
pub mod choice;
pub mod fine_tune;
pub mod goal;
mod polish;

use super::config::Mode;
use super::error::Error;
use super::evaluation::difference::{relative_error, start_differs};
use super::evaluation::score::{ExactCandidate, Judge};
use super::prepared::PreparedJob;
use super::progress::{CheckpointStore, Reporter};
use super::settings;
use crate::diagnostic::{Code, Diagnostic};
use crate::quant::Model;
use crate::train::fit::options::Fitted;
use crate::train::pareto::{Front, Point};
use calibrate::{Calibrated, Calibration, calibrate};
use choice::{Choice, Chooser};
use fine_tune::{Training, train};
use std::sync::atomic::AtomicBool;

/// What a search found.
pub struct Found {
    /// The model before any training, and how far its outputs are from the source's.
    pub start: ExactCandidate,
    pub start_error: f64,
    pub front: Front<Model>,
    /// Why no candidate is what `mode: calibrate` was asked for; the front holds the nearest one.
    pub unmet: Option<String>,
    pub warnings: Vec<Diagnostic>,
}

/// Candidates for the job, scored exactly.
///
/// # Errors
/// Those of the training: see [`train`].
pub fn search(
    p: &PreparedJob,
    judge: &Judge,
    reporter: &mut Reporter,
    keeper: &mut dyn CheckpointStore,
    cancel: &AtomicBool,
) -> Result<Found, Error> {
    let (job, config) = (p.job, &p.job.config);
    reporter.enter("train");
    let start = judge.judge(&p.built.model)?;
    settings::check(&start.restored(&p.scales)?.pruned, config)?;
    let teacher = &p.on.calibration.logits;
    let start_error = relative_error(&start, &p.scales, &p.source, &p.domain, teacher)?;
    let source_metric = p.source_score.metric;
    let (source, domain) = (&p.source, &p.domain);
    let (mut front, mut unmet, mut warnings) = (Front::new(config.count()), None, Vec::new());
    if config.epochs == 0 && config.mode == Mode::FineTune {
        warnings.extend(start_differs(start_error));
    }
    if config.mode == Mode::Calibrate {
        let model = &p.built.model;
        let calibration = Calibration { config, source, domain, teacher, model, judge, start: &start, source_metric };
        Calibrated { front, unmet } = calibrate(&calibration, reporter, cancel)?;
    } else if config.epochs > 0 {
        let (teacher, objective) = (&p.on.train, p.objective(config)?);
        let training = Training { job, source, domain, teacher, objective, built: &p.built, judge, start: &start, source_metric };
        let fitted = train(training, reporter, keeper, cancel)?;
        warnings.extend(training_warnings(&fitted));
        front = fitted.front;
    } else {
        front.insert(Point { epoch: 0, score: start.score, payload: p.built.model.clone() });
    }
    Ok(Found { start, start_error, front, unmet, warnings })
}

/// The point of the front that the job asked for, and what is shown beside it.
pub struct Chosen {
    pub choice: Choice,
    /// The job's budgets, and the point chosen within each.
    pub within: Vec<(f64, Option<usize>)>,
    /// Points that are reported and written: the front as users read it, EBOPs against metric, and
    /// what was chosen.
    pub shown: Vec<usize>,
    pub warnings: Vec<Diagnostic>,
}

/// Chooses from the front.
///
/// # Errors
/// [`Error::Internal`] for an empty front.
pub fn choose(p: &PreparedJob, judge: &Judge, found: &Found) -> Result<Chosen, Error> {
    let (config, front, kind, samples) = (&p.job.config, &found.front, judge.kind, judge.validation.samples);
    let mut warnings = Vec::new();
    let chooser = Chooser { config, front, kind, samples, source: p.source_score.metric };
    let choice = match &found.unmet {
        None => chooser.choose(&mut warnings)?,
        Some(unmet) => Choice { point: 0, why: "the smallest output error found".into(), unmet: Some(unmet.clone()) },
    };
    let error = |metric: f64| kind.standard_error(metric, samples);
    let within: Vec<(f64, Option<usize>)> = config.budgets.iter().flatten().map(|&b| (b, front.best_within(b, error))).collect();
    let mut shown = front.steps();
    shown.extend(within.iter().filter_map(|w| w.1).chain([choice.point]));
    shown.sort_unstable();
    shown.dedup();
    Ok(Chosen { choice, within, shown, warnings })
}

/// What went wrong in training and was mended.
fn training_warnings(fitted: &Fitted) -> Vec<Diagnostic> {
    let Fitted { rollbacks, collapses, .. } = fitted;
    let mut warnings = Vec::new();
    let mut warn = |code, message: String| warnings.push(Diagnostic::new(code, message));
    if *rollbacks > 0 {
        warn(Code::Diverged, format!("training diverged {rollbacks} times and went on from the last good state at a lower rate"));
    }
    if *collapses > 0 {
        let message = format!(
            "training came {collapses} times to a model with one answer for everything and went back to the last good state: budgets or beta leave too few bits"
        );
        warn(Code::Collapsed, message);
    }
    warnings
}
