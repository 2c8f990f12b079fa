//! Metrics and losses of exact outputs, on validation data.

use crate::data::Targets;
use serde::Serialize;

/// What a model is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// Share of samples whose largest output (or sign, for one output) is the label.
    Accuracy,
    /// Mean squared error against float targets.
    Mse,
    /// Share of samples whose largest output is that of the source model.
    Agreement,
    /// Mean squared error against the source model's outputs (a single value or several outputs, no targets).
    SourceMse,
}

impl MetricKind {
    /// The kind that fits the targets at hand.
    pub fn of(targets: Option<&Targets>, widths: &[usize]) -> MetricKind {
        match targets {
            Some(Targets::Labels(_)) => MetricKind::Accuracy,
            Some(Targets::Values { .. }) => MetricKind::Mse,
            None if matches!(widths, [width] if *width > 1) => MetricKind::Agreement,
            None => MetricKind::SourceMse,
        }
    }

    /// The value as a user reads it, from "larger is better".
    pub fn shown(self, goodness: f64) -> f64 {
        match self {
            MetricKind::Accuracy | MetricKind::Agreement => goodness,
            MetricKind::Mse | MetricKind::SourceMse => -goodness,
        }
    }

    /// Standard error of a share estimated on `samples` samples; 0 for errors, which have no steps.
    pub fn standard_error(self, metric: f64, samples: usize) -> f64 {
        match self {
            MetricKind::Accuracy | MetricKind::Agreement => {
                (metric * (1.0 - metric)).max(0.0).sqrt() / (samples.max(1) as f64).sqrt()
            }
            MetricKind::Mse | MetricKind::SourceMse => 0.0,
        }
    }

    /// Loss of the metric that is accepted when a job names neither a target nor a drop: one point of accuracy, 5 % of an error.
    pub fn default_drop(self, source: f64) -> f64 {
        match self {
            MetricKind::Accuracy | MetricKind::Agreement => 0.01,
            MetricKind::Mse | MetricKind::SourceMse => 0.05 * source.abs(),
        }
    }
}

/// Metric (larger is better) and loss of `outputs`, `samples × width`, against targets or the source's outputs.
/// `temperature` divides the logits of both where they are compared with each other.
pub fn measure(
    kind: MetricKind,
    outputs: &[f64],
    width: usize,
    targets: Option<&Targets>,
    source: &[f32],
    temperature: f64,
) -> (f64, f64) {
    let samples = (outputs.len() / width.max(1)).max(1) as f64;
    match (kind, targets) {
        (MetricKind::Accuracy, Some(Targets::Labels(labels))) => {
            let (mut right, mut loss) = (0usize, 0.0);
            for (row, &label) in outputs.chunks_exact(width).zip(labels) {
                right += (predicted(row) == label as usize) as usize;
                loss += if width == 1 { binary_loss(row[0], label) } else { log_sum_exp(row) - row[label as usize] };
            }
            (right as f64 / samples, loss / samples)
        }
        (MetricKind::Mse, Some(Targets::Values { values, .. })) => {
            let error = mean_square(outputs, values);
            (-error, error)
        }
        (MetricKind::Agreement, _) => {
            let (mut same, mut loss) = (0usize, 0.0);
            for (row, teacher) in outputs.chunks_exact(width).zip(source.chunks_exact(width)) {
                let teacher: Vec<f64> = teacher.iter().map(|&v| v as f64 / temperature).collect();
                let row: Vec<f64> = row.iter().map(|&v| v / temperature).collect();
                same += (predicted(&row) == predicted(&teacher)) as usize;
                let (top, norm) = (log_sum_exp(&row), log_sum_exp(&teacher));
                loss += row.iter().zip(&teacher).map(|(&z, &t)| (t - norm).exp() * (top - z)).sum::<f64>();
            }
            (same as f64 / samples, loss / samples)
        }
        _ => {
            let error = mean_square(outputs, source);
            (-error, error)
        }
    }
}

/// Index of the largest value, the first of equals; for one output 0 or 1 by its sign.
pub fn predicted(row: &[f64]) -> usize {
    if let [v] = row {
        return (*v > 0.0) as usize;
    }
    let mut best = 0;
    for (i, &v) in row.iter().enumerate() {
        if v > row[best] {
            best = i;
        }
    }
    best
}

/// Spread of logits (standard deviation within a sample) that a softmax of them is neither flat nor a step at.
const USUAL_SPREAD: f64 = 2.0;

/// Temperature for comparing with a source whose logits hardly differ: 1 for ordinary classifiers, less where their softmax
/// would be flat and say nothing about which output is the largest.
pub fn temperature(source: &[f32], width: usize) -> f64 {
    if width < 2 {
        return 1.0;
    }
    let mut sum = 0.0;
    for row in source.chunks_exact(width) {
        let mean = row.iter().map(|&v| v as f64).sum::<f64>() / width as f64;
        sum += row.iter().map(|&v| (v as f64 - mean).powi(2)).sum::<f64>() / width as f64;
    }
    let spread = (sum / (source.len() / width).max(1) as f64).sqrt();
    if spread > 0.0 { (spread / USUAL_SPREAD).clamp(1e-6, 1.0) } else { 1.0 }
}

fn log_sum_exp(row: &[f64]) -> f64 {
    let top = row.iter().cloned().fold(f64::NEG_INFINITY, f64::max);
    top + row.iter().map(|v| (v - top).exp()).sum::<f64>().ln()
}

fn binary_loss(logit: f64, label: u32) -> f64 {
    logit.max(0.0) - logit * label as f64 + (-logit.abs()).exp().ln_1p()
}

fn mean_square(a: &[f64], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, &y)| (x - y as f64).powi(2)).sum::<f64>() / a.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_and_cross_entropy() {
        let labels = Targets::Labels(vec![1, 0]);
        let (accuracy, loss) = measure(MetricKind::Accuracy, &[0.0, 1.0, 0.0, 1.0], 2, Some(&labels), &[], 1.0);
        assert_eq!(accuracy, 0.5);
        let right = (1.0 + (-1f64).exp()).ln();
        assert!((loss - (right + right + 1.0) / 2.0).abs() < 1e-12);
    }

    #[test]
    fn binary_labels_use_the_sign() {
        let labels = Targets::Labels(vec![1, 0, 1]);
        assert_eq!(measure(MetricKind::Accuracy, &[0.5, -0.5, -1.0], 1, Some(&labels), &[], 1.0).0, 2.0 / 3.0);
    }

    #[test]
    fn agreement_with_the_source() {
        let (agreement, loss) = measure(MetricKind::Agreement, &[1.0, 0.0, 1.0, 0.0], 2, None, &[2.0, 0.0, 0.0, 2.0], 1.0);
        assert_eq!(agreement, 0.5);
        assert!(loss > 0.0);
    }
}
