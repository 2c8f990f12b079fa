//! Balanced accuracy: the mean over the classes of the share of their samples that is found. One
//! answer for everything has 1 ÷ classes, however rare the others are.

use super::share_error;
use crate::data::Targets;
use std::collections::BTreeMap;

/// The class of each sample, of each output that has classes.
fn labelled(targets: &Targets) -> Vec<Vec<u32>> {
    match targets {
        Targets::Outputs(parts) => parts.iter().flat_map(|p| labelled(&p.targets)).collect(),
        Targets::Labels(_) | Targets::Shares { .. } | Targets::Sides { .. } | Targets::Values { .. } => {
            targets.classes().into_iter().collect()
        }
    }
}

/// Samples of each class that there is.
fn counts(labels: &[u32]) -> BTreeMap<u32, usize> {
    let mut counts = BTreeMap::new();
    for &label in labels {
        *counts.entry(label).or_default() += 1;
    }
    counts
}

/// Mean over the classes of `labels` of the share that `predicted` has right; `None` without
/// labels.
pub fn mean_recall(predicted: impl Iterator<Item = usize>, labels: &[u32]) -> Option<f64> {
    let counts = counts(labels);
    let mut right: BTreeMap<u32, usize> = BTreeMap::new();
    for (answer, &label) in predicted.zip(labels) {
        *right.entry(label).or_default() += usize::from(answer == label as usize);
    }
    let share = |(label, &n): (&u32, &usize)| right.get(label).copied().unwrap_or(0) as f64 / n as f64;
    (!counts.is_empty()).then(|| counts.iter().map(share).sum::<f64>() / counts.len() as f64)
}

/// The number of samples whose plain accuracy would be as exact as the balanced one is on these:
/// `K² ÷ Σ 1/n` over the `K` classes of `n` samples each. Of several outputs the mean variance
/// counts, as they share their samples. `None` without labels.
pub fn telling(targets: &Targets) -> Option<f64> {
    let variance = |labels: &[u32]| {
        let counts = counts(labels);
        counts.values().map(|&n| 1.0 / n as f64).sum::<f64>() / (counts.len() as f64).powi(2)
    };
    let outputs: Vec<f64> = labelled(targets).iter().filter(|l| !l.is_empty()).map(|l| variance(l)).collect();
    (!outputs.is_empty()).then(|| outputs.len() as f64 / outputs.iter().sum::<f64>())
}

/// What one answer for everything would score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Majority {
    /// Accuracy of always giving the most frequent class; of several outputs the mean.
    pub share: f64,
    /// What that would be if all classes were as frequent.
    pub even: f64,
    /// The most frequent class of a single output.
    pub class: Option<u32>,
}

/// See [`Majority`]; `None` without labels.
pub fn majority(targets: &Targets) -> Option<Majority> {
    let outputs: Vec<Vec<u32>> = labelled(targets).into_iter().filter(|l| !l.is_empty()).collect();
    let most = |labels: &[u32]| counts(labels).into_iter().fold((0, 0), |most, (c, n)| if n > most.1 { (c, n) } else { most });
    let share = |labels: &Vec<u32>| most(labels).1 as f64 / labels.len() as f64;
    let even = |labels: &Vec<u32>| 1.0 / counts(labels).len() as f64;
    let mean = |of: &dyn Fn(&Vec<u32>) -> f64| outputs.iter().map(of).sum::<f64>() / outputs.len() as f64;
    let class = if let [only] = &outputs[..] { Some(most(only).0) } else { None };
    (!outputs.is_empty()).then(|| Majority { share: mean(&share), even: mean(&even), class })
}

/// Whether accuracy cannot tell a model with one answer for everything from a good one: `majority`
/// alone is within the `tolerance` of `best`, and that is not because all classes are alike.
pub fn hides(majority: &Majority, best: f64, tolerance: f64, samples: usize) -> bool {
    let chance = tolerance.max(share_error(majority.even, samples as f64));
    majority.share >= best - tolerance && majority.share - majority.even > chance
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::OutputTargets;

    #[test]
    fn every_class_counts_alike() {
        let labels = [0, 0, 0, 0, 0, 0, 0, 0, 3, 3];
        let recall = |answers: [usize; 10]| mean_recall(answers.into_iter(), &labels).unwrap();
        assert_eq!(recall([0; 10]), 0.5);
        assert_eq!(recall([0, 0, 0, 0, 1, 1, 1, 1, 3, 0]), 0.5);
        assert_eq!(recall([0, 0, 0, 0, 0, 0, 0, 0, 3, 0]), 0.75);
        assert_eq!(mean_recall([0usize; 0].into_iter(), &[]), None);
    }

    #[test]
    fn what_one_answer_scores_and_how_many_samples_tell() {
        let rare = Targets::Labels([[0; 98].as_slice(), &[1; 2]].concat());
        let found = majority(&rare).unwrap();
        assert_eq!((found.share, found.even, found.class), (0.98, 0.5, Some(0)));
        assert!((telling(&rare).unwrap() - 4.0 / (1.0 / 98.0 + 0.5)).abs() < 1e-12);
        // all classes alike: as many as there are
        let even = Targets::Labels((0..100).map(|n| n % 4).collect());
        assert!((telling(&even).unwrap() - 100.0).abs() < 1e-9);
        let part = |targets: &Targets| OutputTargets { width: 4, targets: targets.clone() };
        let values = Targets::Values { width: 4, values: vec![0.0; 400] };
        let both = Targets::Outputs(vec![part(&rare), part(&values), part(&even)]);
        let found = majority(&both).unwrap();
        assert_eq!((found.share, found.even, found.class), ((0.98 + 0.25) / 2.0, (0.5 + 0.25) / 2.0, None));
        assert_eq!((majority(&values), telling(&values)), (None, None));
        assert!(hides(&majority(&rare).unwrap(), 0.985, 0.01, 100));
        assert!(!hides(&majority(&rare).unwrap(), 1.0, 0.01, 100));
        // an untrained source beats nothing, but classes that are alike hide nothing
        assert!(!hides(&majority(&even).unwrap(), 0.2, 0.01, 100));
    }
}
