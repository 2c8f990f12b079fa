//! The exact side of a candidate: trace, freeze, prune, count, measure. Training's f32 path is never used here.

use super::layout::join;
use super::metric::{MetricKind, measure, predicted};
use crate::data::Dataset;
use crate::proxy::prune;
use crate::quant::exact::Exact;
use crate::quant::{FixedModel, Model, ebops, interval};
use crate::trace::{FormatOptions, Ranges, TraceError, fix, trace_minmax};
use crate::train::pareto::Score;

/// What candidates are scored on.
pub struct Judge<'a> {
    /// Inputs that ranges are traced on.
    pub trace_inputs: &'a [Vec<f32>],
    pub trace_samples: usize,
    pub validation: &'a Dataset,
    /// The source's logits on the validation samples.
    pub source_logits: &'a [f32],
    /// Values per sample of each output.
    pub widths: &'a [usize],
    pub kind: MetricKind,
    /// See [`super::metric::temperature`].
    pub temperature: f64,
    pub formats: FormatOptions,
    /// Applied to the exact model before it is counted (the `uniform` form takes envelopes).
    pub finish: fn(&FixedModel) -> FixedModel,
}

/// A candidate made exact.
#[derive(Clone, Debug)]
pub struct Exactly {
    /// As traced, nothing removed.
    pub full: FixedModel,
    /// Dead channels removed: what is emitted and counted.
    pub pruned: FixedModel,
    pub ranges: Ranges,
    pub score: Score,
}

impl Judge<'_> {
    /// Traces, freezes and scores a model.
    ///
    /// # Errors
    /// See [`TraceError`].
    pub fn judge(&self, model: &Model) -> Result<Exactly, TraceError> {
        let traced: Vec<&[f32]> = self.trace_inputs.iter().map(|v| v.as_slice()).collect();
        let ranges = trace_minmax(model, &traced, self.trace_samples)?;
        let full = (self.finish)(&fix(model, &ranges, &self.formats)?);
        let pruned = prune(&full);
        let exact = Exact::new(&pruned)?;
        let ebops = ebops::ebops(&pruned, exact.bounds());
        // as the file's layers are declared: what pruning drops has no width there either
        let ebops_hgq2 = ebops::ebops_hgq2(&full, &interval::bounds(&full)?);
        let inputs: Vec<&[f32]> = self.validation.inputs.iter().map(|v| v.as_slice()).collect();
        let outputs = exact.run(&inputs, self.validation.samples, &pruned.outputs);
        let joined = join(&outputs, self.widths, self.validation.samples);
        let targets = self.validation.targets.as_ref();
        let width = self.widths.iter().sum();
        let (metric, loss) = measure(self.kind, &joined, width, targets, self.source_logits, self.temperature);
        let classes = self.widths.len() == 1 && matches!(self.kind, MetricKind::Accuracy | MetricKind::Agreement);
        let one_answer = is_one_answer(&joined, width, classes);
        let collapsed = one_answer && !is_one_answer(self.source_logits, width, classes);
        Ok(Exactly { full, pruned, ranges, score: Score { ebops, ebops_hgq2, metric, loss, collapsed } })
    }
}

/// True when all samples get the same answer: the same class where classes are what counts, else the same outputs.
fn is_one_answer<T: Copy + Into<f64>>(outputs: &[T], width: usize, classes: bool) -> bool {
    let mut rows = outputs.chunks_exact(width.max(1)).map(|row| row.iter().map(|&v| v.into()).collect::<Vec<f64>>());
    let Some(first) = rows.next() else { return false };
    rows.all(|row| if classes { predicted(&row) == predicted(&first) } else { row == first })
}
