//! Which point of the front a job asked for: the best within a budget, the smallest within a loss, or a sensible one.

use super::Error;
use super::config::JobConfig;
use super::metric::MetricKind;
use super::report::Warning;
use crate::quant::Model;
use crate::train::pareto::Front;

/// A point of the front.
pub struct Choice {
    pub point: usize,
    /// Why it is not what the job asked for, if no point is; then it is the nearest to that.
    pub unmet: Option<String>,
}

/// The point of the front that the job asked for.
///
/// # Errors
/// [`Error::Internal`] for an empty front.
pub fn choose(
    config: &JobConfig,
    front: &Front<Model>,
    kind: MetricKind,
    samples: usize,
    source: f64,
    warnings: &mut Vec<Warning>,
) -> Result<Choice, Error> {
    let error = |metric: f64| kind.standard_error(metric, samples);
    let most_accurate =
        || front.best_within(f64::INFINITY, error).ok_or_else(|| Error::Internal("no candidate could be scored".into()));
    let met = |point: usize| Choice { point, unmet: None };
    if config.epochs == 0 {
        return most_accurate().map(met);
    }
    let metric = |point: usize| front.points()[point].score.metric;
    if let Some(target) = config.target_ebops {
        let Some(point) = front.best_within(target, error) else {
            most_accurate()?;
            let smallest = front.points().first().map_or(0, |p| p.score.ebops);
            let why = format!(
                "target_ebops {target} was not reached: the smallest candidate has {smallest} EBOPs; give more epochs or a larger target"
            );
            return Ok(Choice { point: 0, unmet: Some(why) });
        };
        let want = config.max_metric_drop.map(|drop| source - drop).filter(|want| metric(point) < *want);
        let unmet = want.map(|want| {
            let (got, want) = (kind.shown(metric(point)), kind.shown(want));
            format!("at {target} EBOPs the metric is {got:.4}, not {want:.4} as max_metric_drop asks")
        });
        return Ok(Choice { point, unmet });
    }
    let best = most_accurate()?;
    if let Some(drop) = config.max_metric_drop {
        return Ok(front.smallest_reaching(source - drop).map_or_else(
            || {
                let most = (0..front.points().len()).max_by(|&a, &b| metric(a).total_cmp(&metric(b))).unwrap_or(best);
                let (got, want) = (kind.shown(metric(most)), kind.shown(source - drop));
                let why =
                    format!("no candidate reaches the metric {want:.4} that max_metric_drop asks; the best one has {got:.4}");
                Choice { point: most, unmet: Some(why) }
            },
            met,
        ));
    }
    // nothing was asked: the smallest that is as good as the source, or as the best candidate, up to what the data can tell
    let reference = source.min(metric(best));
    let tolerance = kind.default_drop(reference).max(error(reference));
    let found = front.smallest_reaching(reference - tolerance).unwrap_or(best);
    if metric(found) < source - kind.default_drop(source) {
        let (got, was) = (kind.shown(metric(found)), kind.shown(source));
        let message = format!(
            "the source's metric is {was:.4}, the proxy's {got:.4}; give max_metric_drop or target_ebops to choose another trade"
        );
        warnings.push(Warning { code: "metric_drop".into(), message, node: None });
    }
    Ok(met(found))
}
