//! The exact side of a candidate: trace, freeze, prune, count, measure. Training's f32 path is
//! never used here.

use super::measured::Measured;
use crate::convert::layout::outputs;
use crate::convert::task::logits::Logits;
use crate::convert::task::metric::{MetricKind, metric_error, predicted, score};
use crate::data::Dataset;
use crate::proxy::prune;
use crate::quant::exact::Exact;
use crate::quant::scale::{Scales, TooFarApart};
use crate::quant::{FixedModel, Model, ebops, hardware, interval};
use crate::trace::error::TraceError;
use crate::trace::{FormatOptions, Ranges, fix, trace_minmax};
use crate::train::pareto::Score;
use std::sync::Arc;

/// Training samples that annealed candidates are also scored on, at most: their loss is then known
/// to a percent or so.
const MAX_TRAINING_SAMPLES: usize = 8192;

/// An even share of the training samples with their `logits`, for [`Judge::training`].
pub fn training_share(train: &Dataset, logits: &[f32]) -> (Dataset, Vec<f32>) {
    let samples = train.samples.min(MAX_TRAINING_SAMPLES);
    let rows: Vec<usize> = (0..samples).map(|n| n * train.samples / samples).collect();
    let width = logits.len() / train.samples.max(1);
    (train.select(&rows), rows.iter().flat_map(|&r| &logits[r * width..][..width]).copied().collect())
}

/// What candidates are scored on. Models and inputs are in the domain of training, outputs are
/// compared in the user's units.
pub struct Judge<'a> {
    /// The way back from the domain.
    pub scales: &'a Scales,
    /// Inputs that ranges are traced on.
    pub trace_inputs: &'a [Arc<Vec<f32>>],
    pub trace_samples: usize,
    /// The rows that decide: validation samples, and training samples where those are few
    /// ([`super::judged`]).
    pub validation: &'a Dataset,
    /// The source's outputs on the validation samples …
    pub source_outputs: &'a [f32],
    /// … and on the rows that decide, as they are judged: see `logits`.
    pub source_logits: &'a [f32],
    /// Outputs that are judged as logits.
    pub logits: &'a Logits,
    /// The outputs of the model that is judged, where others of it are trained.
    pub outputs: &'a [usize],
    /// Whether a single output is scores of classes, of which one is the answer.
    pub classes: bool,
    /// Some of the training samples with the source's logits, for what is annealed; none where they
    /// are among the rows that decide.
    pub training: &'a (Dataset, Vec<f32>),
    /// Values per sample of each output.
    pub widths: &'a [usize],
    pub kind: MetricKind,
    /// See [`crate::convert::task::metric::temperature`].
    pub temperature: f64,
    pub formats: FormatOptions,
    /// Applied to the exact model before it is counted (the `uniform` form takes envelopes).
    pub finish: fn(&FixedModel) -> FixedModel,
}

/// A candidate made exact. Its parts are shared: those of an image net take a gigabyte.
#[derive(Clone, Debug)]
pub struct ExactCandidate {
    /// As traced, nothing removed.
    pub full: Arc<FixedModel>,
    /// Dead channels removed: what is emitted and counted.
    pub pruned: Arc<FixedModel>,
    pub ranges: Arc<Ranges>,
    pub score: Score,
}

impl ExactCandidate {
    /// The same on the user's values.
    ///
    /// # Errors
    /// See [`TooFarApart`].
    pub fn restored(&self, scales: &Scales) -> Result<ExactCandidate, TooFarApart> {
        let by_node = scales.restore_ranges(&self.full, &self.ranges.by_node);
        Ok(ExactCandidate {
            full: scales.restore(&self.full)?.into(),
            pruned: scales.restore(&self.pruned)?.into(),
            ranges: Ranges { by_node, samples: self.ranges.samples }.into(),
            score: self.score,
        })
    }
}

impl Judge<'_> {
    /// Traces, freezes and scores a model.
    ///
    /// # Errors
    /// See [`TraceError`].
    pub fn judge(&self, model: &Model) -> Result<ExactCandidate, TraceError> {
        self.judged(model, false)
    }

    /// The same for a model that may be annealed.
    ///
    /// # Errors
    /// See [`TraceError`].
    pub fn judged(&self, model: &Model, annealed: bool) -> Result<ExactCandidate, TraceError> {
        let judged;
        let model = if model.outputs == self.outputs {
            model
        } else {
            judged = Model { outputs: self.outputs.to_vec(), ..model.clone() };
            &judged
        };
        let traced: Vec<&[f32]> = self.trace_inputs.iter().map(|v| v.as_slice()).collect();
        let ranges = trace_minmax(model, &traced, self.trace_samples)?;
        let full = (self.finish)(&fix(model, &ranges, &self.formats)?);
        let pruned = prune(&full);
        let exact = Exact::new(&pruned)?;
        let ebops = ebops::ebops(&pruned, exact.bounds());
        // as the file's layers are declared: what pruning drops has no width there either
        let ebops_hgq2 = ebops::ebops_hgq2(&full, &interval::bounds(&full)?);
        let (_, hardware) = hardware::count(&pruned, exact.bounds());
        let (joined, found) = self.measured(&exact, self.validation, self.source_logits);
        let collapsed = self.is_collapsed(&joined);
        let Measured { metric, error, loss } = found;
        let train_val_loss = if annealed { self.train_val_loss(&exact, loss) } else { f64::INFINITY };
        let score = Score { ebops, ebops_hgq2, hardware, metric, metric_error: error, loss, collapsed, annealed, train_val_loss };
        drop(exact);
        Ok(ExactCandidate { full: full.into(), pruned: pruned.into(), ranges: ranges.into(), score })
    }

    /// Outputs on `data`, in the user's units, joined.
    pub fn restored(&self, exact: &Exact, data: &Dataset) -> Vec<f64> {
        outputs(exact, &data.rows(), data.samples, self.widths, self.scales)
    }

    /// Whether `outputs` are one answer for everything where the source has several: one class, or
    /// the same values.
    fn is_collapsed(&self, outputs: &[f64]) -> bool {
        let width = self.widths.iter().sum();
        let by_class = match self.kind {
            MetricKind::Accuracy | MetricKind::BalancedAccuracy { .. } | MetricKind::Agreement => {
                self.classes || self.widths == [1]
            }
            // a score has no threshold
            MetricKind::Auc { .. } => false,
            MetricKind::Mse | MetricKind::Mae | MetricKind::RelativeError | MetricKind::SourceMse | MetricKind::SourceMae => {
                false
            }
        };
        let one = |classes| is_one_answer(outputs, width, classes) && !is_one_answer(self.source_logits, width, classes);
        (by_class && one(true)) || one(false)
    }

    /// Loss on the rows that decide, where it is `loss`, and on those of the training together.
    fn train_val_loss(&self, exact: &Exact, loss: f64) -> f64 {
        let (rows, logits) = self.training;
        if rows.samples == 0 {
            return loss;
        }
        let on_training = self.measured(exact, rows, logits).1.loss;
        let (trained, held_out) = (rows.samples as f64, self.validation.samples as f64);
        (trained * on_training + held_out * loss) / (trained + held_out).max(1.0)
    }

    /// Outputs on `data` as they are judged, and how good they are.
    fn measured(&self, exact: &Exact, data: &Dataset, logits: &[f32]) -> (Vec<f64>, Measured) {
        let mut outputs = self.restored(exact, data);
        self.logits.turn(&mut outputs);
        let found = self.measure(self.kind, &outputs, data, logits);
        (outputs, found)
    }

    fn measure(&self, kind: MetricKind, outputs: &[f64], data: &Dataset, logits: &[f32]) -> Measured {
        let (width, targets) = (self.widths.iter().sum(), data.targets.as_ref());
        let (metric, loss) = score(kind, outputs, self.widths, targets, logits, self.temperature);
        Measured { metric, loss, error: metric_error(kind, metric, outputs, width, targets, logits) }
    }

    /// How good a candidate is on other rows of the domain, by `kind`, with the source's `logits`
    /// there.
    ///
    /// # Errors
    /// Sums beyond what is computed exactly.
    pub fn on(&self, model: &FixedModel, kind: MetricKind, data: &Dataset, logits: &[f32]) -> Result<Measured, TraceError> {
        let exact = Exact::new(model)?;
        let mut outputs = self.restored(&exact, data);
        self.logits.turn(&mut outputs);
        Ok(self.measure(kind, &outputs, data, logits))
    }
}

/// True when all samples get the same answer: the same class where classes are what counts, else
/// the same outputs.
fn is_one_answer<T: Copy + Into<f64>>(outputs: &[T], width: usize, classes: bool) -> bool {
    let mut rows = outputs.chunks_exact(width.max(1)).map(|row| row.iter().map(|&v| v.into()).collect::<Vec<f64>>());
    let Some(first) = rows.next() else { return false };
    rows.all(|row| if classes { predicted(&row) == predicted(&first) } else { row == first })
}
