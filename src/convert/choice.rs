//! Which point of the front a job asked for.

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
    let drop = config.max_metric_drop.unwrap_or_else(|| kind.default_drop(source));
    if let Some(found) = front.smallest_reaching(source - drop) {
        return Ok(found);
    }
    let best = most_accurate()?;
    let (got, want) = (kind.shown(front.points()[best].score.metric), kind.shown(source - drop));
    let text = format!("no candidate reaches the metric {want} (source less the allowed drop); the most accurate one has {got}");
    if config.max_metric_drop.is_some() {
        return Err(Error::TargetNotMet(text));
    }
    warnings.push(Warning { code: "metric_drop".into(), message: text, node: None });
    Ok(best)
}
