//! Whether the model sent has seen the validation rows: then its metric there says little about new
//! data, and what a proxy seems to lose against it may be no loss. Said only where the data at hand
//! show it.

use super::judged::{Judged, score};
use super::measured::Measured;
use super::score::Judge;
use crate::convert::config::{JobConfig, Mode};
use crate::convert::job::Job;
use crate::convert::source::Source;
use crate::convert::source::data::{Data, dataset};
use crate::convert::source::values::OnData;
use crate::convert::task::metric::{MetricKind, share_error};
use crate::data::Dataset;
use crate::diagnostic::{Code, Diagnostic};
use crate::quant::FixedModel;
use crate::train::pareto::Score;
use std::collections::HashSet;

/// Standard errors of a difference that chance exceeds once in a hundred times …
const UNLIKELY: f64 = 2.33;
/// … and less than once in a thousand times, where several models are looked at.
const NO_CHANCE: f64 = 3.1;
/// Labelled calibration rows that are worth a comparison, at least.
const MIN_ROWS: usize = 20;
/// A source with no more errors than this on training and validation rows alike may have learned
/// both by heart: on data that it has not seen hardly any model is that good.
const BY_HEART: f64 = 0.005;
/// Share of the validation rows that may be training rows, too: few values per input give equal
/// rows by chance.
const EQUAL_ROWS: f64 = 0.1;

const CURE: &str = "give rows that it has not seen with --validation";

fn warning(message: String) -> Diagnostic {
    Diagnostic::new(Code::ValidationSeen, message)
}

/// What shows before anything is trained.
pub fn before(job: &Job, source: &Source, data: &Data, on: &OnData, judged: &Judged, temperature: f64) -> Vec<Diagnostic> {
    if !data.held_out || data.validation.targets.is_none() {
        return Vec::new();
    }
    let mut found = Vec::new();
    found.extend(better_than_on_calibration(job, source, data, on, judged, temperature).map(warning));
    found.extend(equal_rows(&job.config, data).map(warning));
    found
}

/// The source's metric on the validation rows against that on labelled calibration rows which are
/// in no other file.
fn better_than_on_calibration(
    job: &Job,
    source: &Source,
    data: &Data,
    on: &OnData,
    judged: &Judged,
    temperature: f64,
) -> Option<String> {
    // labels that do not fit are no fault here: nothing else reads them
    let labelled = dataset(source, &job.calibration, "calibration", &source.output_shapes()).ok()?;
    let same = |a: &Dataset| a.targets.as_ref().zip(data.validation.targets.as_ref()).is_some_and(|(a, b)| a.same_kind(b));
    if !same(&labelled) {
        return None;
    }
    // without a training file the calibration rows are those trained on
    let trained = job.train.as_ref().map(|_| hashes(&data.train));
    let known: HashSet<u64> = trained.into_iter().flatten().chain(hashes(&data.validation)).collect();
    let rows: Vec<usize> = hashes(&labelled).enumerate().filter(|(_, h)| !known.contains(h)).map(|(n, _)| n).collect();
    if rows.len() < MIN_ROWS {
        return None;
    }
    let logits: Vec<f32> =
        rows.iter().flat_map(|&r| &on.calibration.logits[r * source.width..][..source.width]).copied().collect();
    let other = labelled.select(&rows);
    let kind = judged.kind_of(&other);
    let there = score(kind, &other, &logits, &source.widths, temperature);
    let here = judged.on_validation(source, data, on, temperature);
    let (a, b) = ((&here, data.validation.samples), (&there, rows.len()));
    (errors_apart(kind, a, b) > UNLIKELY).then(|| {
        format!(
            "the model sent has {} {:.4} ± {:.4} on the {} validation rows, but {:.4} ± {:.4} on the {} calibration rows with labels that \
             are in neither file of labels: it was probably trained on the validation rows; {CURE}",
            kind.name(),
            kind.shown(here.metric),
            here.error,
            data.validation.samples,
            kind.shown(there.metric),
            there.error,
            rows.len()
        )
    })
}

/// By how many standard errors of the difference `a` is better than `b`, each a metric on a number
/// of rows. For accuracies that of one and the same share on both, which few errors do not make
/// exact.
fn errors_apart(kind: MetricKind, (a, rows_a): (&Measured, usize), (b, rows_b): (&Measured, usize)) -> f64 {
    let (n, m) = (rows_a as f64, rows_b as f64);
    let error = match kind {
        MetricKind::Accuracy | MetricKind::Agreement => {
            let both = (n * a.metric + m * b.metric) / (n + m);
            share_error(both, n + m) * (n + m).sqrt() * (1.0 / n + 1.0 / m).sqrt()
        }
        MetricKind::BalancedAccuracy { .. }
        | MetricKind::Auc { .. }
        | MetricKind::Mse
        | MetricKind::Mae
        | MetricKind::RelativeError
        | MetricKind::SourceMse
        | MetricKind::SourceMae => a.error.hypot(b.error),
    };
    (a.metric - b.metric) / error
}

/// Validation rows that are trained on.
fn equal_rows(config: &JobConfig, data: &Data) -> Option<String> {
    if config.epochs == 0 || config.mode == Mode::Calibrate {
        return None;
    }
    let trained: HashSet<u64> = hashes(&data.train).collect();
    let equal = hashes(&data.validation).filter(|h| trained.contains(h)).count();
    let samples = data.validation.samples;
    (equal as f64 > EQUAL_ROWS * samples as f64).then(|| {
        format!(
            "{equal} of the {samples} validation rows are training rows as well: what was learned by heart looks good on them; leave \
             repeated rows out of the files"
        )
    })
}

/// A hash of the inputs of each sample (FNV-1a on the bits of the values: the same everywhere).
fn hashes(data: &Dataset) -> impl Iterator<Item = u64> {
    (0..data.samples).map(move |n| {
        let values = data.inputs.iter().flat_map(move |x| {
            let len = x.len() / data.samples.max(1);
            &x[n * len..(n + 1) * len]
        });
        // both zeros are one value
        values.fold(0xcbf2_9ce4_8422_2325, |h: u64, &v| (h ^ u64::from((v + 0.0).to_bits())).wrapping_mul(0x0000_0100_0000_01b3))
    })
}

/// What trained models show: a source that errs nowhere, while one of them is clearly worse on the
/// validation rows than on those it was trained on.
pub struct ByHeart<'a> {
    judge: &'a Judge<'a>,
    judged: &'a Judged,
    /// The source on training and validation rows.
    known: Measured,
    held: Measured,
}

impl<'a> ByHeart<'a> {
    /// `held`: the source on the rows that candidates are judged on. `None` where nothing can show:
    /// without labels or training, where training rows are judged on, or the source errs.
    pub fn new(
        config: &JobConfig,
        judge: &'a Judge<'a>,
        judged: &'a Judged,
        (source, held): (&Source, Measured),
        data: &Data,
    ) -> Option<ByHeart<'a>> {
        let (rows, logits) = &judged.training;
        let classes = matches!(judged.kind, MetricKind::Accuracy | MetricKind::BalancedAccuracy { .. });
        let labelled = rows.targets.is_some() && data.validation.targets.is_some();
        let trained = config.epochs > 0 && config.mode == Mode::FineTune && data.held_out;
        if !(classes && labelled && trained) || rows.samples == 0 {
            return None;
        }
        let known = score(judged.kind_of(rows), rows, logits, &source.widths, judge.temperature);
        let by_heart = |m: &Measured| m.metric >= 1.0 - BY_HEART;
        (by_heart(&known) && by_heart(&held)).then_some(ByHeart { judge, judged, known, held })
    }

    /// What a candidate shows.
    pub fn shown_by(&self, model: &FixedModel, candidate: &Score) -> Option<Diagnostic> {
        let (rows, logits) = &self.judged.training;
        let kind = self.judged.kind_of(rows);
        let trained = self.judge.on(model, kind, rows, logits).ok()?;
        let n = self.judge.validation.samples;
        let held = Measured::from(candidate);
        (errors_apart(kind, (&trained, rows.samples), (&held, n)) > NO_CHANCE).then(|| {
            let name = kind.name();
            warning(format!(
                "a model found, of {} EBOPs, has {name} {:.4} on rows that it was trained on and {:.4} ± {:.4} on the {n} validation rows, the \
                 model sent {:.4} and {:.4}: it was probably trained on the validation rows, too (or the labels are its own answers), and \
                 what a proxy seems to lose against it there is no loss; {CURE}",
                candidate.ebops, trained.metric, held.metric, held.error, self.known.metric, self.held.metric
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_errors_are_no_proof_and_many_are() {
        let of = |right: usize, rows: usize| {
            let metric = right as f64 / rows as f64;
            Measured { metric, error: share_error(metric, rows as f64), loss: 0.0 }
        };
        let apart =
            |a: (usize, usize), b: (usize, usize)| errors_apart(MetricKind::Accuracy, (&of(a.0, a.1), a.1), (&of(b.0, b.1), b.1));
        // chances by the hypergeometric distribution: 0.1, 0.006 and 5e-6
        assert!(apart((1293, 1293), (143, 144)) < NO_CHANCE);
        assert!((UNLIKELY..NO_CHANCE).contains(&apart((144, 144), (345, 360))));
        assert!(apart((1293, 1293), (139, 144)) > NO_CHANCE);
        assert!(apart((139, 144), (144, 144)) < 0.0);
    }
}
