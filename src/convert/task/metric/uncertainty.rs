//! Standard errors of metrics: how far a figure on these samples may be from that on as many others
//! of the same kind.

use super::{MetricKind, error};
use crate::data::Targets;

/// Standard error of the `metric` that `outputs` have, `samples × width`: of a mean error from its
/// spread over the samples.
pub fn metric_error(
    kind: MetricKind,
    metric: f64,
    outputs: &[f64],
    width: usize,
    targets: Option<&Targets>,
    source: &[f32],
) -> f64 {
    let samples = outputs.len() / width.max(1);
    match kind {
        MetricKind::Accuracy | MetricKind::BalancedAccuracy { .. } | MetricKind::Auc { .. } | MetricKind::Agreement => {
            kind.standard_error(metric, samples)
        }
        MetricKind::RelativeError => {
            // the root of a mean of squares: half its relative error
            let rows = outputs.chunks_exact(width.max(1)).enumerate();
            let squares: Vec<f64> = rows.map(|(s, row)| sample_error(kind, s, row, None, source)).collect();
            let mean = squares.iter().sum::<f64>() / squares.len().max(1) as f64;
            if mean > 0.0 { 0.5 * metric.abs() * mean_error(&squares) / mean } else { 0.0 }
        }
        MetricKind::Mse | MetricKind::Mae | MetricKind::SourceMse | MetricKind::SourceMae => {
            let rows = outputs.chunks_exact(width.max(1)).enumerate();
            mean_error(&rows.map(|(s, row)| sample_error(kind, s, row, targets, source)).collect::<Vec<f64>>())
        }
    }
}

/// Mean error of one sample over its values with targets, or else over all, against the source.
fn sample_error(kind: MetricKind, sample: usize, row: &[f64], targets: Option<&Targets>, source: &[f32]) -> f64 {
    let mean = |row: &[f64], wanted: &[f32]| {
        (row.iter().zip(wanted).map(|(&a, &b)| error(kind, a, b)).sum::<f64>(), row.len().min(wanted.len()))
    };
    let (sum, count) = match targets {
        Some(Targets::Values { width, values }) => mean(row, row_of(values, sample, *width)),
        Some(Targets::Outputs(parts)) => {
            let (mut column, mut all) = (0, (0.0, 0));
            for part in parts {
                let own = row.get(column..column + part.width).unwrap_or(&[]);
                column += part.width;
                if let Targets::Values { width, values } = &part.targets {
                    let (sum, count) = mean(own, row_of(values, sample, *width));
                    all = (all.0 + sum, all.1 + count);
                }
            }
            all
        }
        Some(Targets::Labels(_) | Targets::Shares { .. } | Targets::Sides { .. }) => (0.0, 0),
        None => mean(row, row_of(source, sample, row.len())),
    };
    sum / count.max(1) as f64
}

fn row_of(values: &[f32], sample: usize, width: usize) -> &[f32] {
    values.get(sample * width..(sample + 1) * width).unwrap_or(&[])
}

/// Standard error of the mean of `values`.
fn mean_error(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    if values.len() < 2 {
        return 0.0;
    }
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::OutputTargets;

    #[test]
    fn of_a_mean_error_from_its_spread() {
        // squared errors 1, 4 and 1, 0: of the first two outputs 2.5 and 0.5
        let outputs = [1.0, 2.0, 9.0, 1.0, 0.0, 9.0];
        let zeros = |width| Targets::Values { width, values: vec![0.0; 2 * width] };
        let parts =
            vec![OutputTargets { width: 2, targets: zeros(2) }, OutputTargets { width: 1, targets: Targets::Labels(vec![0, 1]) }];
        let found = metric_error(MetricKind::Mse, -1.5, &outputs, 3, Some(&Targets::Outputs(parts)), &[]);
        assert!((found - 1.0).abs() < 1e-12, "{found}");
        let found = metric_error(MetricKind::SourceMae, -1.0, &[1.0, 4.0], 1, None, &[0.0, 0.0]);
        assert!((found - 1.5).abs() < 1e-12, "{found}");
        let found = metric_error(MetricKind::Mae, -1.0, &[1.0, 4.0], 1, Some(&zeros(1)), &[]);
        assert!((found - 1.5).abs() < 1e-12, "{found}");
    }
}
