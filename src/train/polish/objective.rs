//! The task loss in f64, sample by sample, as [`crate::train::engine::loss`] defines it: what a
//! search on the exact model minimises. Terms that no output changes are left out. Samples are side
//! by side, many to an instruction.

use crate::quant::kif::exp2i;
use crate::simd::math::{exp, ln};
use crate::simd::{Has, Isa, Lane, Vectorized, dispatch, gather};
use crate::train::{Head, LossKind, TaskLoss, TrainSet};

/// The loss on some rows of a training set.
pub struct Objective {
    /// One per output with a loss of its own.
    parts: Vec<Part>,
    /// By output column: what the loss sees it multiplied with; empty: all 1.
    factors: Vec<f64>,
}

/// The loss of some columns.
struct Part {
    kind: LossKind,
    first: usize,
    outputs: usize,
    rows: usize,
    /// What each row weighs; empty: all 1.
    weights: Vec<f64>,
    /// Those of the labels or values and those of the teacher; one where both are at the same
    /// temperature.
    terms: Vec<Term>,
}

/// What outputs are compared with.
struct Term {
    weight: f64,
    inverse_t: f64,
    /// Probabilities or values, `[output][row]`.
    targets: Vec<f64>,
}

/// Outputs on some of the rows.
pub struct Samples<'a> {
    /// The first row of a block, and which ones of it these are; the first `len` without `rows`.
    pub first: usize,
    pub rows: Option<&'a [u32]>,
    pub len: usize,
    /// `[output][sample]`.
    pub z: &'a [f64],
}

/// Columns that are needed on the way, kept from one call to the next.
#[derive(Default)]
pub struct Work {
    part: Vec<f64>,
    target: Vec<f64>,
    top: Vec<f64>,
    sum: Vec<f64>,
    scaled: Vec<f64>,
}

impl Objective {
    /// `exponents`: by output column, see [`crate::train::EngineOptions::output_exponents`].
    pub fn new(loss: &TaskLoss, set: &TrainSet, rows: &[usize], exponents: &[i32]) -> Objective {
        let plain = exponents.iter().all(|&e| e == 0);
        let factors = if plain { Vec::new() } else { exponents.iter().map(|&e| exp2i(e)).collect() };
        if set.heads.is_empty() {
            let (kind, temperature, outputs) = (loss.kind, loss.temperature, set.outputs);
            let labelled = matches!(kind, LossKind::CrossEntropy | LossKind::Bce) && set.values.is_none();
            let all = Head { outputs, kind, temperature, labelled, class_weights: Vec::new() };
            return Objective { parts: vec![Part::new(loss, set, rows, &all, 0, (0, 1))], factors };
        }
        let labels = set.heads.iter().filter(|h| h.labelled).count();
        let (mut first, mut label) = (0, 0);
        let mut parts = Vec::with_capacity(set.heads.len());
        for head in set.heads {
            parts.push(Part::new(loss, set, rows, head, first, (label, labels)));
            first += head.outputs;
            label += head.labelled as usize;
        }
        Objective { parts, factors }
    }

    /// The loss of each of the samples.
    pub fn losses(&self, samples: &Samples, work: &mut Work, losses: &mut Vec<f64>) {
        losses.clear();
        losses.resize(samples.len, 0.0);
        if self.factors.is_empty() {
            return dispatch(Isa::detect(), Losses { objective: self, samples, work, losses });
        }
        let mut scaled = std::mem::take(&mut work.scaled);
        scaled.clear();
        let columns = samples.z.chunks_exact(samples.len.max(1)).zip(&self.factors);
        scaled.extend(columns.flat_map(|(column, factor)| column.iter().map(move |z| z * factor)));
        let seen = Samples { z: &scaled, ..*samples };
        dispatch(Isa::detect(), Losses { objective: self, samples: &seen, work, losses });
        work.scaled = scaled;
    }
}

/// [`Objective::losses`].
struct Losses<'a> {
    objective: &'a Objective,
    samples: &'a Samples<'a>,
    work: &'a mut Work,
    losses: &'a mut [f64],
}

impl Vectorized for Losses<'_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lane>(self, _: Has<L>) {
        for part in &self.objective.parts {
            part.losses(self.samples, self.work, self.losses);
        }
    }
}

impl Part {
    /// The columns of `head` from `first` on; `label`: its number among a row's labels, and how
    /// many there are.
    fn new(loss: &TaskLoss, set: &TrainSet, rows: &[usize], head: &Head, first: usize, label: (usize, usize)) -> Part {
        let (alpha, kind, outputs) = (f64::from(loss.teacher_weight), head.kind, head.outputs);
        let row = |all: Option<&[f32]>, r: usize| -> Vec<f64> {
            let row = all.and_then(|a| a.get(r * set.outputs + first..r * set.outputs + first + outputs));
            row.map_or_else(|| vec![0.0; outputs], |row| row.iter().map(|&v| f64::from(v)).collect())
        };
        let label = |r: usize| {
            let label = set.labels.filter(|_| head.labelled).and_then(|l| l.get(r * label.1 + label.0));
            label.map(|&l| l as usize)
        };
        let own = |r: usize| match (kind, label(r)) {
            (LossKind::CrossEntropy, Some(label)) => (0..outputs).map(|c| f64::from(u8::from(c == label))).collect(),
            (LossKind::Bce, Some(label)) => vec![label as f64; outputs],
            _ => row(set.values, r),
        };
        let temperature = if kind == LossKind::CrossEntropy { f64::from(head.temperature) } else { 1.0 };
        let taught = |r: usize| {
            let teacher = row(set.teacher, r);
            match kind {
                LossKind::CrossEntropy => {
                    let norm = log_sum_exp(&teacher, 1.0 / temperature);
                    teacher.iter().map(|t| (t / temperature - norm).exp()).collect()
                }
                LossKind::Bce => teacher.iter().map(|t| 1.0 / (1.0 + (-t).exp())).collect(),
                LossKind::Mse | LossKind::Mae | LossKind::Upstream => teacher,
            }
        };
        let targets = |of: &dyn Fn(usize) -> Vec<f64>| {
            let mut columns = vec![0.0; outputs * rows.len()];
            for (n, &r) in rows.iter().enumerate() {
                of(r).into_iter().enumerate().for_each(|(c, target)| columns[c * rows.len() + n] = target);
            }
            columns
        };
        let mut terms = Vec::new();
        if alpha < 1.0 {
            terms.push(Term { weight: 1.0 - alpha, inverse_t: 1.0, targets: targets(&own) });
        }
        if alpha > 0.0 {
            let weight = alpha * temperature.max(1.0).powi(2);
            match terms.first_mut() {
                // the loss is linear in the targets, but for a constant; an absolute error is not
                Some(own) if temperature == 1.0 && kind != LossKind::Mae => {
                    let share = weight / (own.weight + weight);
                    own.targets.iter_mut().zip(targets(&taught)).for_each(|(t, q)| *t += share * (q - *t));
                    own.weight += weight;
                }
                _ => terms.push(Term { weight, inverse_t: 1.0 / temperature, targets: targets(&taught) }),
            }
        }
        let class = |&r: &usize| label(r).and_then(|l| head.class_weights.get(l)).map_or(1.0, |&w| f64::from(w));
        let weights = if head.class_weights.is_empty() { Vec::new() } else { rows.iter().map(class).collect() };
        Part { kind, first, outputs, rows: rows.len(), weights, terms }
    }

    /// Adds the loss of these columns.
    #[inline(always)]
    fn losses(&self, samples: &Samples, work: &mut Work, losses: &mut [f64]) {
        let n = samples.len;
        let Work { part, target, top, sum, .. } = work;
        [&mut *part, &mut *target, &mut *top, &mut *sum].into_iter().for_each(|column| column.resize(n, 0.0));
        let z = |c: usize| &samples.z[(self.first + c) * n..][..n];
        part.fill(0.0);
        for term in &self.terms {
            let share = match self.kind {
                LossKind::CrossEntropy => term.inverse_t,
                LossKind::Upstream => 1.0,
                LossKind::Mse | LossKind::Mae | LossKind::Bce => 1.0 / self.outputs as f64,
            };
            let weight = term.weight * share;
            if self.kind == LossKind::CrossEntropy {
                top.fill(f64::NEG_INFINITY);
                for c in 0..self.outputs {
                    top.iter_mut().zip(z(c)).for_each(|(top, &z)| *top = if z > *top { z } else { *top });
                }
                sum.fill(0.0);
                for c in 0..self.outputs {
                    let pairs = sum.iter_mut().zip(z(c).iter().zip(&*top));
                    pairs.for_each(|(sum, (z, top))| *sum += exp((z - top) * term.inverse_t));
                }
                let pairs = part.iter_mut().zip(top.iter().zip(&*sum));
                pairs.for_each(|(part, (top, &sum))| *part += term.weight * (top * term.inverse_t + ln(sum)));
            }
            for c in 0..self.outputs {
                gather(&term.targets[c * self.rows + samples.first..], samples.rows, target);
                let pairs = part.iter_mut().zip(z(c).iter().zip(&*target));
                match self.kind {
                    LossKind::CrossEntropy => pairs.for_each(|(part, (z, t))| *part -= weight * z * t),
                    LossKind::Mse => pairs.for_each(|(part, (z, t))| *part += weight * (z - t) * (z - t)),
                    LossKind::Mae => pairs.for_each(|(part, (z, t))| *part += weight * (z - t).abs()),
                    LossKind::Bce => pairs.for_each(|(part, (z, t))| {
                        let positive = if *z > 0.0 { *z } else { 0.0 };
                        *part += weight * (positive + ln(1.0 + exp(-z.abs())) - z * t);
                    }),
                    LossKind::Upstream => pairs.for_each(|(part, (z, t))| *part += weight * z * t),
                }
            }
        }
        if !self.weights.is_empty() {
            gather(&self.weights[samples.first..], samples.rows, target);
            part.iter_mut().zip(&*target).for_each(|(part, weight)| *part *= weight);
        }
        losses.iter_mut().zip(&*part).for_each(|(loss, part)| *loss += part);
    }
}

fn log_sum_exp(z: &[f64], inverse_t: f64) -> f64 {
    let top = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    top * inverse_t + z.iter().map(|v| ((v - top) * inverse_t).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Objective {
        /// Loss of the `row`th row with outputs `z`.
        fn sample(&self, row: usize, z: &[f64]) -> f64 {
            let mut losses = Vec::new();
            let samples = Samples { first: row / 2, rows: Some(&[(row - row / 2) as u32]), len: 1, z };
            self.losses(&samples, &mut Work::default(), &mut losses);
            losses[0]
        }
    }

    #[test]
    fn cross_entropy_of_labels_and_teacher() {
        let (x, teacher) = ([0.0f32; 2], [0.0f32, 1.0, 3.0, 3.0]);
        let set = TrainSet::new(1, 2, &x, Some(&[1, 0]), None, Some(&teacher)).unwrap();
        for temperature in [1.0f32, 2.0] {
            let loss = TaskLoss { kind: LossKind::CrossEntropy, teacher_weight: 0.25, temperature };
            let t = f64::from(temperature);
            // p = softmax(2, 1), at the temperature r; the teacher's q = softmax(0, 1) at the
            // temperature
            let p = 1.0 / (1.0 + (-1f64).exp());
            let (r, q) = (1.0 / (1.0 + (-1.0 / t).exp()), 1.0 / (1.0 + (1.0 / t).exp()));
            let want = 0.75 * -(1.0 - p).ln() - 0.25 * t * t * (q * r.ln() + (1.0 - q) * (1.0 - r).ln());
            let found = Objective::new(&loss, &set, &[1, 0], &[]).sample(1, &[2.0, 1.0]);
            assert!((found - want).abs() < 1e-12, "{temperature}: {found} {want}");
        }
    }

    #[test]
    fn outputs_are_seen_in_the_units_of_the_targets() {
        let (x, values) = ([0.0f32; 1], [1.0f32, 2.0]);
        let set = TrainSet::new(1, 2, &x, None, Some(&values), None).unwrap();
        // 8·½ and 1·4
        assert_eq!(Objective::new(&TaskLoss::new(LossKind::Mse), &set, &[0], &[-1, 2]).sample(0, &[8.0, 1.0]), 6.5);
    }

    #[test]
    fn squares_are_means_over_outputs() {
        let (x, values) = ([0.0f32; 1], [1.0f32, 2.0]);
        let set = TrainSet::new(1, 2, &x, None, Some(&values), None).unwrap();
        assert_eq!(Objective::new(&TaskLoss::new(LossKind::Mse), &set, &[0], &[]).sample(0, &[2.0, 4.0]), 2.5);
    }

    #[test]
    fn outputs_are_added_and_samples_weigh_by_their_class() {
        let (x, values, teacher) = ([0.0f32; 2], [0.0f32, 0.0, 0.0, 0.0, 0.0, 0.75], [0.0f32, 1.0, 2.0, 3.0, 1.0, 0.5]);
        let head = |kind, outputs, labelled, class_weights| Head { outputs, kind, temperature: 1.0, labelled, class_weights };
        let heads = [head(LossKind::CrossEntropy, 2, true, vec![1.0, 3.0]), head(LossKind::Mae, 1, false, vec![])];
        let set =
            TrainSet::new(1, 3, &x, None, Some(&values), Some(&teacher)).unwrap().with_heads(&heads, Some(&[0, 1])).unwrap();
        let loss = |teacher_weight| TaskLoss { teacher_weight, ..TaskLoss::new(LossKind::Mse) };
        let (z, log) = ([1.0, 2.0, -0.25], (1f64.exp() + 2f64.exp()).ln());
        // row 1: class 1 of weight 3, value 0.75, teacher 0.5
        let found = Objective::new(&loss(0.0), &set, &[0, 1], &[]).sample(1, &z);
        assert!((found - (3.0 * (log - 2.0) + 1.0)).abs() < 1e-12, "{found}");
        let found = Objective::new(&loss(0.5), &set, &[1], &[]).sample(0, &z);
        let q = 1.0 / (1.0 + (-2f64).exp());
        let want = 3.0 * (log - 0.5 * 2.0 - 0.5 * (q + 2.0 * (1.0 - q))) + 0.5 * 1.0 + 0.5 * 0.75;
        assert!((found - want).abs() < 1e-12, "{found} {want}");
    }
}
