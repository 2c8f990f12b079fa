//! Metrics and losses of exact outputs, on validation data.

mod auc;
pub mod balanced;
mod kind;
mod relative;
pub mod share;
mod sides;
mod uncertainty;

pub use kind::{MetricKind, less_is_better};
pub use share::share_error;
pub use uncertainty::metric_error;

use crate::data::Targets;
pub use relative::relative_error;
pub use sides::sides;

/// Metric (larger is better) and loss of `outputs`, `samples × width`, against targets or the
/// source's outputs. The loss is the sum over the outputs of a cross entropy (labels) or an error
/// (values); samples count alike, whatever their class weighs in training. `temperature` divides
/// the logits of both where they are compared with each other.
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
        (
            MetricKind::Accuracy
            | MetricKind::BalancedAccuracy { .. }
            | MetricKind::Auc { .. }
            | MetricKind::Mse
            | MetricKind::Mae,
            Some(targets),
        ) => against_targets(kind, outputs, width, targets),
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
            let error = |(&a, &b): (&f64, &f32)| error(kind, a, b);
            let mean = outputs.iter().zip(source).map(error).sum::<f64>() / outputs.len().max(1) as f64;
            (-mean, mean)
        }
    }
}

/// [`measure`] of all outputs, of `widths` values per sample each.
pub fn score(
    kind: MetricKind,
    outputs: &[f64],
    widths: &[usize],
    targets: Option<&Targets>,
    source: &[f32],
    temperature: f64,
) -> (f64, f64) {
    let (metric, loss) = measure(kind, outputs, widths.iter().sum(), targets, source, temperature);
    if kind == MetricKind::RelativeError { (-relative_error(outputs, source, widths), loss) } else { (metric, loss) }
}

/// Sums over one output or several.
#[derive(Default)]
struct Sums {
    right: usize,
    labelled: usize,
    /// Mean recalls of the outputs with labels, and how many these are.
    recall: f64,
    outputs: usize,
    error: f64,
    values: usize,
    loss: f64,
}

impl Sums {
    /// An output with the class of each sample.
    fn add_labels<'a>(&mut self, rows: impl Iterator<Item = &'a [f64]>, labels: &[u32]) {
        let mut loss = 0.0;
        for (row, &label) in rows.zip(labels) {
            self.right += (predicted(row) == label as usize) as usize;
            loss += match (row, row.get(label as usize)) {
                ([logit], _) => binary_loss(*logit, label),
                (row, logit) => log_sum_exp(row) - logit.copied().unwrap_or(f64::NEG_INFINITY),
            };
        }
        self.labelled += labels.len();
        self.loss += loss / labels.len().max(1) as f64;
    }

    /// An output of `len` values with rows of probabilities.
    fn add_shares<'a>(&mut self, rows: impl Iterator<Item = &'a [f64]>, values: &[f32], len: usize) {
        let mut loss = 0.0;
        for (row, shares) in rows.zip(values.chunks_exact(len.max(1))) {
            self.right += (predicted(row) == most_likely(shares)) as usize;
            let mean: f64 = row.iter().zip(shares).map(|(z, &share)| z * f64::from(share)).sum();
            loss += log_sum_exp(row) - mean;
        }
        let samples = values.len() / len.max(1);
        self.labelled += samples;
        self.loss += loss / samples.max(1) as f64;
    }
}

fn against_targets(kind: MetricKind, outputs: &[f64], width: usize, targets: &Targets) -> (f64, f64) {
    let mut sums = Sums::default();
    let one = [(width, targets)];
    let parts: Vec<(usize, &Targets)> = match targets {
        Targets::Outputs(parts) => parts.iter().map(|p| (p.width, &p.targets)).collect(),
        _ => one.to_vec(),
    };
    let mut column = 0;
    for (len, targets) in parts {
        let own = column..column + len;
        column = own.end;
        let rows = outputs.chunks_exact(width.max(1)).map(|row| row.get(own.clone()).unwrap_or(&[]));
        let balanced = matches!(kind, MetricKind::BalancedAccuracy { .. });
        let classes = if balanced { targets.classes() } else { None };
        let recall = classes.and_then(|classes| balanced::mean_recall(rows.clone().map(|row| side(row, targets)), &classes));
        if let Some(recall) = recall {
            sums.recall += recall;
            sums.outputs += 1;
        }
        match targets {
            Targets::Labels(labels) => sums.add_labels(rows, labels),
            Targets::Values { values, .. } => {
                let sum: f64 = rows.flatten().zip(values).map(|(&a, &b)| error(kind, a, b)).sum();
                sums.error += sum;
                sums.values += values.len();
                sums.loss += sum / values.len().max(1) as f64;
            }
            Targets::Shares { values, .. } => sums.add_shares(rows, values, len),
            Targets::Sides { values, one_hot, logit, .. } => {
                let (right, of, loss) = sides(rows, values, len, *one_hot, *logit);
                sums.right += right;
                sums.labelled += of;
                sums.loss += loss;
            }
            // never one within another
            Targets::Outputs(_) => {}
        }
    }
    let metric = match kind {
        MetricKind::Auc { .. } => {
            let score = |row: &[f64]| if let [no, yes] = row { yes - no } else { row.first().copied().unwrap_or(0.0) };
            let scores: Vec<f64> = outputs.chunks_exact(width.max(1)).map(score).collect();
            auc::auc(&scores, &auc::classes(targets).unwrap_or_default())
        }
        MetricKind::BalancedAccuracy { .. } => sums.recall / sums.outputs.max(1) as f64,
        MetricKind::Mse | MetricKind::Mae => -sums.error / sums.values.max(1) as f64,
        _ => sums.right as f64 / sums.labelled.max(1) as f64,
    };
    (metric, sums.loss)
}

fn error(kind: MetricKind, a: f64, b: f32) -> f64 {
    let distance = (a - b as f64).abs();
    if matches!(kind, MetricKind::Mae | MetricKind::SourceMae) { distance } else { distance * distance }
}

/// The class that a row answers with: of a single output after a Sigmoid or a Tanh by the middle of
/// its two sides.
fn side(row: &[f64], targets: &Targets) -> usize {
    match (row, targets) {
        ([v], Targets::Sides { values, logit: false, .. }) if !values.iter().any(|&v| v < 0.0) => usize::from(*v > 0.5),
        _ => predicted(row),
    }
}

/// Index of the largest share, the first of equals.
fn most_likely(shares: &[f32]) -> usize {
    (1..shares.len()).fold(0, |best, c| if shares[c] > shares[best] { c } else { best })
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

/// Spread of logits (standard deviation within a sample) that a softmax of them is neither flat nor
/// a step at.
const USUAL_SPREAD: f64 = 2.0;

/// Temperature for comparing with a source whose logits hardly differ: 1 for ordinary classifiers,
/// less where their softmax would be flat and say nothing about which output is the largest.
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
    fn balanced_accuracy_of_rare_classes() {
        use crate::data::OutputTargets;
        let rare = Targets::Labels(vec![0, 0, 0, 1]);
        let kind = MetricKind::BalancedAccuracy { telling: 3 };
        let never = [1.0, 0.0].repeat(4);
        assert_eq!(measure(kind, &never, 2, Some(&rare), &[], 1.0).0, 0.5);
        assert_eq!(measure(MetricKind::Accuracy, &never, 2, Some(&rare), &[], 1.0).0, 0.75);
        let part = |targets: &Targets| OutputTargets { width: 1, targets: targets.clone() };
        let both = Targets::Outputs(vec![part(&rare), part(&Targets::Labels(vec![1, 1, 0, 0]))]);
        let outputs = [-1.0, 1.0, -1.0, 1.0, 1.0, -1.0, -1.0, -1.0];
        assert_eq!(measure(kind, &outputs, 2, Some(&both), &[], 1.0).0, (1.0 / 3.0 + 1.0) / 2.0);
    }

    #[test]
    fn agreement_with_the_source() {
        let (agreement, loss) = measure(MetricKind::Agreement, &[1.0, 0.0, 1.0, 0.0], 2, None, &[2.0, 0.0, 0.0, 2.0], 1.0);
        assert_eq!(agreement, 0.5);
        assert!(loss > 0.0);
    }

    #[test]
    fn several_outputs_are_averaged_and_their_losses_added() {
        use crate::data::OutputTargets;
        let labels = Targets::Labels(vec![1, 0]);
        let values = Targets::Values { width: 1, values: vec![0.5, -1.0] };
        let binary = Targets::Labels(vec![1, 1]);
        let part = |width, targets: &Targets| OutputTargets { width, targets: targets.clone() };
        let all = Targets::Outputs(vec![part(2, &labels), part(1, &values), part(1, &binary)]);
        let outputs = [0.0, 1.0, 1.0, 3.0, 0.0, 1.0, -1.5, -2.0];
        let alone = |kind, columns: &[f64], width, t| measure(kind, columns, width, Some(t), &[], 1.0);
        let a = alone(MetricKind::Accuracy, &[0.0, 1.0, 0.0, 1.0], 2, &labels);
        let b = alone(MetricKind::Accuracy, &[3.0, -2.0], 1, &binary);
        let squared = alone(MetricKind::Mse, &[1.0, -1.5], 1, &values);
        let absolute = alone(MetricKind::Mae, &[1.0, -1.5], 1, &values);
        assert_eq!((squared.0, absolute.0), (-0.25, -0.5));
        let (accuracy, loss) = alone(MetricKind::Accuracy, &outputs, 4, &all);
        assert_eq!(accuracy, (a.0 + b.0) / 2.0);
        assert!((loss - (a.1 + b.1 + squared.1)).abs() < 1e-12);
        let (mae, loss) = alone(MetricKind::Mae, &outputs, 4, &all);
        assert_eq!(mae, -0.5);
        assert!((loss - (a.1 + b.1 + absolute.1)).abs() < 1e-12);
    }

    #[test]
    fn auc_of_two_outputs_is_of_their_difference() {
        let labels = Targets::Labels(vec![1, 0, 1, 0]);
        let kind = MetricKind::Auc { positive: 2 };
        let two = [0.0, 3.0, 1.0, 2.0, 5.0, 5.5, 0.0, 0.5];
        let one: Vec<f64> = two.chunks(2).map(|r| r[1] - r[0]).collect();
        // pairs: 3>1, 3>0.5, 0.5<1, 0.5=0.5
        assert_eq!(measure(kind, &two, 2, Some(&labels), &[], 1.0).0, 2.5 / 4.0);
        assert_eq!(measure(kind, &one, 1, Some(&labels), &[], 1.0).0, 2.5 / 4.0);
    }
}
