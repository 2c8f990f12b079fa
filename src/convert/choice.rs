//! Which point of the front a job asked for: the best within a budget, the smallest within a loss, or a sensible one.

use super::Error;
use super::config::JobConfig;
use super::metric::MetricKind;
use super::report::Warning;
use crate::quant::Model;
use crate::train::pareto::Front;

/// The point of the front that the job asked for.
pub fn choose(
    config: &JobConfig,
    front: &Front<Model>,
    kind: MetricKind,
    samples: usize,
    source: f64,
    warnings: &mut Vec<Warning>,
) -> Result<usize, Error> {
    let error = |metric: f64| kind.standard_error(metric, samples);
    let smallest = || front.points().first().map_or(0, |p| p.score.ebops);
    let most_accurate =
        || front.best_within(f64::INFINITY, error).ok_or_else(|| Error::Internal("no candidate could be scored".into()));
    if config.epochs == 0 {
        return most_accurate();
    }
    if let Some(target) = config.target_ebops {
        let found = front.best_within(target, error);
        let Some(found) = found else {
            let text = format!(
                "target_ebops {target} was not reached: the smallest candidate has {} EBOPs; give more epochs or a larger target",
                smallest()
            );
            return Err(Error::TargetNotMet(text));
        };
        if let Some(drop) = config.max_metric_drop {
            let metric = front.points()[found].score.metric;
            if metric < source - drop {
                let (got, want) = (kind.shown(metric), kind.shown(source - drop));
                return Err(Error::TargetNotMet(format!(
                    "at {target} EBOPs the metric is {got}, not {want} as max_metric_drop asks"
                )));
            }
        }
        return Ok(found);
    }
    let best = front.points()[most_accurate()?].score.metric;
    if let Some(drop) = config.max_metric_drop {
        return front.smallest_reaching(source - drop).ok_or_else(|| {
            let (got, want) = (kind.shown(best), kind.shown(source - drop));
            Error::TargetNotMet(format!(
                "no candidate reaches the metric {want} that max_metric_drop asks; the best one has {got}"
            ))
        });
    }
    // nothing was asked: the smallest that is as good as the source, or as the best candidate, up to what the data can tell
    let reference = source.min(best);
    let tolerance = kind.default_drop(reference).max(error(reference));
    let found = front.smallest_reaching(reference - tolerance).map_or_else(most_accurate, Ok)?;
    let metric = front.points()[found].score.metric;
    if metric < source - kind.default_drop(source) {
        let (got, was) = (kind.shown(metric), kind.shown(source));
        let message = format!(
            "the source's metric is {was}, the proxy's {got}; give max_metric_drop or target_ebops to choose another trade"
        );
        warnings.push(Warning { code: "metric_drop".into(), message, node: None });
    }
    Ok(found)
}
