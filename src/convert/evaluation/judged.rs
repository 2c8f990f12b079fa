//! What candidates are judged on and by: the validation rows, with training rows where those are
//! few; and a metric that tells a model from one answer for everything.

use super::measured::Measured;
use super::score::training_share;
use crate::convert::config::{JobConfig, Mode};
use crate::convert::source::Source;
use crate::convert::source::data::Data;
use crate::convert::source::values::OnData;
use crate::convert::task::metric::balanced::{Majority, hides, majority};
use crate::convert::task::metric::{self, MetricKind, metric_error};
use crate::data::{Dataset, join};
use crate::diagnostic::{Code, Diagnostic};

/// Validation rows that choose by themselves. With fewer, a single row is more than the point of
/// accuracy that a model may lose, and chance moves a share of 90 % by more than three points.
pub const FEW_ROWS: usize = 100;
/// A share is counted exactly; its comparison with a bound is not.
const ROUNDING: f64 = 1e-9;

/// See the module.
pub struct Judged {
    /// Validation and training rows with the source's logits, where both are used.
    pooled: Option<(Dataset, Vec<f32>)>,
    /// Further rows that what is annealed is scored on; none where they are judged on already.
    pub training: (Dataset, Vec<f32>),
    pub kind: MetricKind,
    /// What one answer for everything would score, where there are classes.
    pub majority: Option<Majority>,
    /// Why it is not the accuracy that models are judged by.
    pub why: Option<String>,
    pub warnings: Vec<Diagnostic>,
}

impl Judged {
    /// `kind`: the metric of the job, or the one that fits its targets.
    pub fn new(config: &JobConfig, source: &Source, data: &Data, on: &OnData, temperature: f64, kind: MetricKind) -> Judged {
        let training = training_share(&data.train, &on.train);
        let mut judged = Judged { pooled: None, training, kind, majority: None, why: None, warnings: Vec::new() };
        // in mode calibrate the output error is one of the validation rows
        let may = data.held_out && config.mode == Mode::FineTune;
        if may && judged.is_few(data) {
            judged.pool(data, on);
        }
        judged.majority = judged.rows(data, on).0.targets.as_ref().and_then(majority);
        if config.metric.is_none()
            && kind == MetricKind::Accuracy
            && let Some(majority) = judged.majority
        {
            judged.balance(&majority, source, data, on, temperature);
            if may && judged.pooled.is_none() && judged.is_few(data) {
                judged.pool(data, on);
            }
        }
        judged.kind = judged.kind_of(judged.rows(data, on).0);
        let chooses = config.epochs > 0 || config.max_metric_drop.is_some();
        if chooses && config.mode == Mode::FineTune && judged.is_few(data) {
            judged.warnings.push(judged.few(source, data, on, temperature));
        }
        judged
    }

    /// The rows that candidates are judged on, with the source's logits there.
    pub fn rows<'a>(&'a self, data: &'a Data, on: &'a OnData) -> (&'a Dataset, &'a [f32]) {
        self.pooled.as_ref().map_or((&data.validation, &on.validation), |(rows, logits)| (rows, logits))
    }

    /// Whether training rows are among them.
    pub fn is_pooled(&self) -> bool {
        self.pooled.is_some()
    }

    /// What they are, as the report tells it.
    pub fn name(&self) -> &'static str {
        if self.is_pooled() { "validation and training samples" } else { "validation samples" }
    }

    fn is_few(&self, data: &Data) -> bool {
        self.kind_of(&data.validation).telling(data.validation.samples) < FEW_ROWS
    }

    fn pool(&mut self, data: &Data, on: &OnData) {
        let (rows, logits) = &self.training;
        if let Some(both) = join(&data.validation, rows) {
            self.pooled = Some((both, [&on.validation[..], logits].concat()));
            self.training = (rows.select(&[]), Vec::new());
        }
    }

    /// Balanced accuracy in place of accuracy where that would not tell one answer for everything
    /// from the source.
    fn balance(&mut self, majority: &Majority, source: &Source, data: &Data, on: &OnData, temperature: f64) {
        let (rows, logits) = self.rows(data, on);
        let best = score(self.kind, rows, logits, &source.widths, temperature);
        let tolerance = self.kind.default_drop(best.metric).max(best.error);
        if !hides(majority, best.metric, tolerance + ROUNDING, rows.samples) {
            return;
        }
        let what = majority.class.map_or_else(String::new, |c| format!(" (class {c})"));
        let why = format!(
            "one answer for everything{what} is right for {:.1} % of the {} {}, the model sent for {:.1} %: accuracy would not tell them apart",
            100.0 * majority.share,
            rows.samples,
            self.name(),
            100.0 * best.metric
        );
        self.kind = MetricKind::balanced(rows.targets.as_ref());
        let message = format!("{why}; models are judged by balanced accuracy, in which every class counts alike");
        self.warnings.push(Diagnostic::new(Code::BalancedMetric, message));
        self.why = Some(why);
    }

    fn few(&self, source: &Source, data: &Data, on: &OnData, temperature: f64) -> Diagnostic {
        let alone = self.on_validation(source, data, on, temperature);
        let tell = self.kind_of(&data.validation).telling(data.validation.samples);
        let samples = data.validation.samples;
        let rare = if tell < samples { format!(", which tell as much as {tell} of classes alike,") } else { String::new() };
        let (metric, error) = (self.kind.shown(alone.metric), alone.error);
        let what = match &self.pooled {
            Some((rows, _)) => format!(
                "models are judged on them and {} training rows together, which flatters all of them; on the validation rows alone the \
                 model sent has {} {metric:.4} ± {error:.4}",
                rows.samples - samples,
                self.kind.name()
            ),
            None => format!("the model sent has {} {metric:.4} ± {error:.4}: smaller differences are chance", self.kind.name()),
        };
        let message = format!("{samples} validation rows{rare} are too few to choose by: {what}");
        Diagnostic::new(Code::FewValidationRows, message)
    }

    /// The metric on these rows.
    pub fn kind_of(&self, rows: &Dataset) -> MetricKind {
        self.kind.on(rows.targets.as_ref())
    }

    /// The source on the validation rows alone.
    pub fn on_validation(&self, source: &Source, data: &Data, on: &OnData, temperature: f64) -> Measured {
        score(self.kind_of(&data.validation), &data.validation, &on.validation, &source.widths, temperature)
    }

    /// The source on the rows that candidates are judged on.
    pub fn source(&self, source: &Source, data: &Data, on: &OnData, temperature: f64) -> Measured {
        let (rows, logits) = self.rows(data, on);
        score(self.kind, rows, logits, &source.widths, temperature)
    }
}

/// The source by its own `logits` on `rows`.
pub fn score(kind: MetricKind, rows: &Dataset, logits: &[f32], widths: &[usize], temperature: f64) -> Measured {
    let outputs: Vec<f64> = logits.iter().map(|&v| f64::from(v)).collect();
    let targets = rows.targets.as_ref();
    let (metric, loss) = metric::score(kind, &outputs, widths, targets, logits, temperature);
    Measured { metric, loss, error: metric_error(kind, metric, &outputs, widths.iter().sum(), targets, logits) }
}
