//! The task loss in f64, sample by sample, as [`crate::train::loss`] defines it: what a search on the exact model minimises. Terms that no
//! output changes are left out.

use crate::train::{LossKind, TaskLoss, TrainSet};

/// The loss on some rows of a training set.
pub struct Objective {
    kind: LossKind,
    outputs: usize,
    /// `(weight, 1/temperature, target probabilities or values)`, the targets as rows × outputs: those of the labels or values and those of
    /// the teacher; one where both are at the same temperature.
    parts: Vec<(f64, f64, Vec<f64>)>,
}

impl Objective {
    pub fn new(loss: &TaskLoss, set: &TrainSet, rows: &[usize]) -> Objective {
        let (alpha, outputs) = (f64::from(loss.teacher_weight), set.outputs.max(1));
        let row = |all: Option<&[f32]>, r: usize| -> Vec<f64> {
            let row = all.and_then(|a| a.get(r * outputs..(r + 1) * outputs));
            row.map_or_else(|| vec![0.0; outputs], |row| row.iter().map(|&v| f64::from(v)).collect())
        };
        let label = |r: usize| set.labels.and_then(|l| l.get(r)).map(|&l| l as usize);
        let own = |r: usize| match (loss.kind, label(r)) {
            (LossKind::CrossEntropy, Some(label)) => (0..outputs).map(|c| f64::from(u8::from(c == label))).collect(),
            (LossKind::Bce, Some(label)) if set.values.is_none() => vec![label as f64; outputs],
            _ => row(set.values, r),
        };
        let temperature = if loss.kind == LossKind::CrossEntropy { f64::from(loss.temperature) } else { 1.0 };
        let taught = |r: usize| {
            let teacher = row(set.teacher, r);
            match loss.kind {
                LossKind::CrossEntropy => {
                    let norm = log_sum_exp(&teacher, 1.0 / temperature);
                    teacher.iter().map(|t| (t / temperature - norm).exp()).collect()
                }
                LossKind::Bce => teacher.iter().map(|t| 1.0 / (1.0 + (-t).exp())).collect(),
                LossKind::Mse | LossKind::Upstream => teacher,
            }
        };
        let targets = |of: &dyn Fn(usize) -> Vec<f64>| rows.iter().flat_map(|&r| of(r)).collect::<Vec<f64>>();
        let mut parts = Vec::new();
        if alpha < 1.0 {
            parts.push((1.0 - alpha, 1.0, targets(&own)));
        }
        if alpha > 0.0 {
            let weight = alpha * temperature.max(1.0).powi(2);
            match parts.first_mut() {
                // the loss is linear in the targets, but for a constant
                Some((own_weight, _, own)) if temperature == 1.0 => {
                    let share = weight / (*own_weight + weight);
                    own.iter_mut().zip(targets(&taught)).for_each(|(t, q)| *t += share * (q - *t));
                    *own_weight += weight;
                }
                _ => parts.push((weight, 1.0 / temperature, targets(&taught))),
            }
        }
        Objective { kind: loss.kind, outputs, parts }
    }

    /// Loss of the `row`th row with outputs `z`.
    pub fn sample(&self, row: usize, z: &[f64]) -> f64 {
        let mut loss = 0.0;
        for (weight, inverse_t, targets) in &self.parts {
            let target = &targets[row * self.outputs..][..self.outputs];
            let pairs = z.iter().zip(target);
            loss += weight
                * match self.kind {
                    LossKind::CrossEntropy => log_sum_exp(z, *inverse_t) - inverse_t * pairs.map(|(z, t)| z * t).sum::<f64>(),
                    LossKind::Mse => pairs.map(|(z, t)| (z - t).powi(2)).sum::<f64>() / self.outputs as f64,
                    LossKind::Bce => {
                        let of = |(z, t): (&f64, &f64)| z.max(0.0) + (-z.abs()).exp().ln_1p() - z * t;
                        pairs.map(of).sum::<f64>() / self.outputs as f64
                    }
                    LossKind::Upstream => pairs.map(|(z, t)| z * t).sum(),
                };
        }
        loss
    }
}

fn log_sum_exp(z: &[f64], inverse_t: f64) -> f64 {
    let top = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    top * inverse_t + z.iter().map(|v| ((v - top) * inverse_t).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cross_entropy_of_labels_and_teacher() {
        let (x, teacher) = ([0.0f32; 2], [0.0f32, 1.0, 3.0, 3.0]);
        let set = TrainSet::new(1, 2, &x, Some(&[1, 0]), None, Some(&teacher)).unwrap();
        for temperature in [1.0f32, 2.0] {
            let loss = TaskLoss { kind: LossKind::CrossEntropy, teacher_weight: 0.25, temperature };
            let t = f64::from(temperature);
            // p = softmax(2, 1), at the temperature r; the teacher's q = softmax(0, 1) at the temperature
            let p = 1.0 / (1.0 + (-1f64).exp());
            let (r, q) = (1.0 / (1.0 + (-1.0 / t).exp()), 1.0 / (1.0 + (1.0 / t).exp()));
            let want = 0.75 * -(1.0 - p).ln() - 0.25 * t * t * (q * r.ln() + (1.0 - q) * (1.0 - r).ln());
            let found = Objective::new(&loss, &set, &[1, 0]).sample(1, &[2.0, 1.0]);
            assert!((found - want).abs() < 1e-12, "{temperature}: {found} {want}");
        }
    }

    #[test]
    fn squares_are_means_over_outputs() {
        let (x, values) = ([0.0f32; 1], [1.0f32, 2.0]);
        let set = TrainSet::new(1, 2, &x, None, Some(&values), None).unwrap();
        assert_eq!(Objective::new(&TaskLoss::new(LossKind::Mse), &set, &[0]).sample(0, &[2.0, 4.0]), 2.5);
    }
}
