//! Metrics of single outputs, for the report of a model with several.

use crate::convert::documents::{OutputMetric, finite};
use crate::convert::source::Source;
use crate::convert::task::metric::{MetricKind, measure};
use crate::data::Targets;

/// Per output with targets its name, metric, and what source and proxy have of it; `proxy` and
/// `logits`: all outputs of the validation samples, joined.
pub fn per_output(kind: MetricKind, source: &Source, targets: &Targets, proxy: &[f64], logits: &[f32]) -> Vec<OutputMetric> {
    let logits: Vec<f64> = logits.iter().map(|&v| v as f64).collect();
    let error = if kind == MetricKind::Mae { MetricKind::Mae } else { MetricKind::Mse };
    let mut first = 0;
    let mut entries = Vec::with_capacity(source.widths.len());
    for (at, shape) in source.output_shapes().iter().enumerate() {
        let columns = first..first + shape.len;
        first = columns.end;
        let own = match targets {
            Targets::Outputs(parts) => parts.get(at).map(|p| p.targets.clone()),
            Targets::Values { width, values } => {
                Some(Targets::Values { width: shape.len, values: cut(values, *width, &columns) })
            }
            Targets::Labels(_) | Targets::Shares { .. } | Targets::Sides { .. } => None,
        };
        let Some(own) = own else { continue };
        let metric = match kind {
            MetricKind::BalancedAccuracy { .. } if matches!(own, Targets::Labels(_)) => kind.on(Some(&own)),
            _ if own.are_classes() => MetricKind::Accuracy,
            _ => error,
        };
        let of = |outputs: &[f64]| {
            metric.shown(measure(metric, &cut(outputs, source.width, &columns), shape.len, Some(&own), &[], 1.0).0)
        };
        entries.push(OutputMetric {
            name: shape.name.clone(),
            metric: metric.name().into(),
            source: finite(of(&logits)),
            proxy: finite(of(proxy)),
        });
    }
    entries
}

/// Some columns of rows of `width`.
fn cut<T: Copy>(rows: &[T], width: usize, columns: &std::ops::Range<usize>) -> Vec<T> {
    rows.chunks_exact(width.max(1)).flat_map(|row| row.get(columns.clone()).unwrap_or(&[])).copied().collect()
}
