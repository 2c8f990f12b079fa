//! Whether the model sent has seen the validation rows: then its metric there says little about new data, and what a proxy seems to lose
//! against it may be no loss. Said only where the data at hand show it.

use super::Job;
use super::config::{JobConfig, Mode};
use super::judged::{Judged, Measured, score};
use super::metric::MetricKind;
use super::prepare::{self, Data, OnData, Source};
use super::report::Warning;
use super::score::Judge;
use crate::data::Dataset;
use crate::quant::FixedModel;
use std::collections::HashSet;

/// Standard errors of a difference beyond which it is no chance (one in a thousand).
const NO_CHANCE: f64 = 3.0;
/// Labelled calibration rows that are worth a comparison, at least.
const LEAST_ROWS: usize = 20;
/// A source with fewer errors than this on training and validation rows alike may have learned both by heart.
const BY_HEART: f64 = 0.01;
/// Share of the validation rows that may be training rows, too: few values per input give equal rows by chance.
const EQUAL_ROWS: f64 = 0.1;

const CODE: &str = "validation_seen";
const CURE: &str = "give rows that it has not seen with --validation";

fn warning(message: String) -> Warning {
    Warning { code: CODE.into(), message, node: None }
}

/// What shows before anything is trained.
pub fn before(job: &Job, source: &Source, data: &Data, on: &OnData, judged: &Judged, temperature: f64) -> Vec<Warning> {
    if !data.held_out || data.validation.targets.is_none() {
        return Vec::new();
    }
    let mut found = Vec::new();
    found.extend(better_than_on_calibration(job, source, data, on, judged, temperature).map(warning));
    found.extend(equal_rows(&job.config, data).map(warning));
    found
}

/// The source's metric on the validation rows against that on labelled calibration rows which are in no other file.
fn better_than_on_calibration(
    job: &Job,
    source: &Source,
    data: &Data,
    on: &OnData,
    judged: &Judged,
    temperature: f64,
) -> Option<String> {
    // labels that do not fit are no fault here: nothing else reads them
    let labelled = prepare::dataset(source, &job.calibration, "calibration", &source.output_shapes()).ok()?;
    let same = |a: &Dataset| a.targets.as_ref().zip(data.validation.targets.as_ref()).is_some_and(|(a, b)| a.same_kind(b));
    if !same(&labelled) {
        return None;
    }
    let known: HashSet<u64> = hashes(&data.train).chain(hashes(&data.validation)).collect();
    let rows: Vec<usize> = hashes(&labelled).enumerate().filter(|(_, h)| !known.contains(h)).map(|(n, _)| n).collect();
    if rows.len() < LEAST_ROWS {
        return None;
    }
    let logits: Vec<f32> =
        rows.iter().flat_map(|&r| &on.calibration.logits[r * source.width..][..source.width]).copied().collect();
    let other = labelled.select(&rows);
    let kind = judged.kind_of(&other);
    let there = score(kind, &other, &logits, source.width, temperature);
    let here = judged.on_validation(source, data, on, temperature);
    is_beyond_chance(here.metric - there.metric, &here, &there).then(|| {
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

fn is_beyond_chance(difference: f64, a: &Measured, b: &Measured) -> bool {
    difference > NO_CHANCE * a.error.hypot(b.error)
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

/// What the chosen `model` shows: a source that errs nowhere, while a model that was trained on the training rows alone is clearly worse on the
/// validation rows than on those.
pub fn after(
    config: &JobConfig,
    judge: &Judge,
    judged: &Judged,
    (source, held): (&Source, Measured),
    data: &Data,
    model: &FixedModel,
) -> Option<Warning> {
    let (rows, logits) = &judged.training;
    let shares = matches!(judged.kind, MetricKind::Accuracy | MetricKind::BalancedAccuracy { .. });
    let labelled = rows.targets.is_some() && data.validation.targets.is_some();
    let trained = config.epochs > 0 && config.mode == Mode::FineTune && data.held_out;
    if !(shares && labelled && trained) || judged.is_pooled() || rows.samples == 0 {
        return None;
    }
    let kind = judged.kind_of(rows);
    let known = score(kind, rows, logits, source.width, judge.temperature);
    let by_heart = known.metric >= 1.0 - BY_HEART && held.metric >= 1.0 - BY_HEART;
    let proxy = judge.on(model, kind, rows, logits).ok()?;
    let on_held = judge.on(model, judged.kind, judge.validation, judge.source_logits).ok()?;
    (by_heart && is_beyond_chance(proxy.metric - on_held.metric, &proxy, &on_held)).then(|| {
        let (n, name) = (judge.validation.samples, kind.name());
        warning(format!(
            "the proxy has {name} {:.4} on rows that it was trained on and {:.4} ± {:.4} on the {n} validation rows, the model sent {:.4} and {:.4}: \
             it was probably trained on the validation rows, too (or the labels are its own answers), and the difference there is no loss of \
             the proxy; {CURE}",
            proxy.metric, on_held.metric, on_held.error, known.metric, held.metric
        ))
    })
}
