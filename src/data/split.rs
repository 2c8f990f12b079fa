//! Training and validation parts of a data set.

use super::{Rng, Targets};
use std::collections::HashMap;

/// The samples of each part: the same for the same `seed`, `(training, validation)`, where
/// validation gets `fraction` of the samples (rounded), and each part at least one if there are two
/// samples. Both keep the order of the file.
///
/// Of every class of `targets` (of every combination, where several outputs have labels) validation
/// gets its share, and at least one sample of each that has two, as far as there are enough for
/// that: no class is missed by chance.
pub fn split(samples: usize, targets: Option<&Targets>, fraction: f64, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let wanted = (samples as f64 * fraction.clamp(0.0, 1.0)).round() as usize;
    let count = if samples < 2 { 0 } else { wanted.clamp(1, samples - 1) };
    let mut order: Vec<usize> = (0..samples).collect();
    Rng::new(seed).shuffle(&mut order);
    // in the order of the shuffled samples: among classes alike chance decides
    let (mut numbers, mut classes) = (HashMap::new(), Vec::<Vec<usize>>::new());
    for sample in order {
        let number = *numbers.entry(class(targets, sample)).or_insert(classes.len());
        if number == classes.len() {
            classes.push(Vec::new());
        }
        classes[number].push(sample);
    }
    let sizes: Vec<usize> = classes.iter().map(Vec::len).collect();
    let (mut training, mut validation) = (Vec::new(), Vec::new());
    for (mut members, quota) in classes.into_iter().zip(quotas(&sizes, count)) {
        training.extend(members.split_off(quota));
        validation.extend(members);
    }
    training.sort_unstable();
    validation.sort_unstable();
    (training, validation)
}

/// The labels of a sample; none where there are only values.
fn class(targets: Option<&Targets>, sample: usize) -> Vec<u32> {
    match targets {
        None | Some(Targets::Values { .. }) => Vec::new(),
        Some(all @ (Targets::Labels(_) | Targets::Shares { .. } | Targets::Sides { .. })) => {
            all.class(sample).into_iter().collect()
        }
        Some(Targets::Outputs(parts)) => parts.iter().flat_map(|p| class(Some(&p.targets), sample)).collect(),
    }
}

/// How many of each class are held out, `count` in all: one of each that is too rare for more, and
/// that leaves one to train on, the rest by size.
fn quotas(sizes: &[usize], count: usize) -> Vec<usize> {
    let all = sizes.iter().sum::<usize>().max(1);
    let is_rare = |n: usize| n > 1 && n * count < all;
    let rare = sizes.iter().filter(|&&n| is_rare(n)).count();
    // more classes than are held out: chance decides which of them are seen
    let is_rare = |n: usize| is_rare(n) && rare <= count;
    let common = sizes.iter().filter(|&&n| !is_rare(n)).sum::<usize>().max(1);
    let left = if rare <= count { count - rare } else { count };
    let share = |n: usize| n as f64 * left as f64 / common as f64;
    let mut quotas: Vec<usize> = sizes.iter().map(|&n| if is_rare(n) { 1 } else { share(n) as usize }).collect();
    // what rounding down left over goes to those that lost most by it; a single sample is trained
    // on
    let lost = |&c: &usize| if sizes[c] > 1 { share(sizes[c]).fract() } else { share(sizes[c]).fract() - 1.0 };
    let mut order: Vec<usize> = (0..sizes.len()).filter(|&c| !is_rare(sizes[c]) && quotas[c] < sizes[c]).collect();
    order.sort_by(|a, b| lost(b).total_cmp(&lost(a)));
    let over = count.saturating_sub(quotas.iter().sum());
    order.into_iter().take(over).for_each(|c| quotas[c] += 1);
    quotas
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::OutputTargets;

    #[test]
    fn every_class_has_its_share() {
        assert_eq!(quotas(&[1980, 20], 200), [198, 2]);
        assert_eq!(quotas(&[1997, 3], 200), [199, 1]);
        assert_eq!(quotas(&[990, 1, 5, 4], 100), [98, 0, 1, 1]);
        assert_eq!(quotas(&[10, 10, 10], 4), [2, 1, 1]);
        assert_eq!(quotas(&[1000, 2, 2, 2], 100), [97, 1, 1, 1]);
        assert_eq!((quotas(&[7], 3), quotas(&[], 0), quotas(&[3, 1], 3)), (vec![3], vec![], vec![3, 0]));
        // no class with two samples that could be seen is missed, and never more or less is held
        // out than asked for
        assert_eq!(quotas(&[2; 50], 10), [[1; 10].as_slice(), &[0; 40]].concat());
        assert_eq!(quotas(&[1; 50], 10), [[1; 10].as_slice(), &[0; 40]].concat());
        let mut rng = Rng::new(1);
        for _ in 0..2000 {
            let sizes: Vec<usize> = (0..1 + rng.below(9)).map(|_| 1 + (rng.unit().powi(6) * 300.0) as usize).collect();
            let all: usize = sizes.iter().sum();
            let count = rng.below(all.max(2) as u64) as usize;
            let found = quotas(&sizes, count);
            assert_eq!(found.iter().sum::<usize>(), count, "{sizes:?}");
            assert!(found.iter().zip(&sizes).all(|(q, n)| q <= n), "{found:?} of {sizes:?}");
        }
    }

    #[test]
    fn labels_are_split_by_class_and_values_by_chance() {
        let labels = Targets::Labels((0..1000).map(|n| u32::from(n % 50 == 7)).collect());
        let held = |targets: &Targets, seed| {
            let (training, validation) = split(1000, Some(targets), 0.1, seed);
            let mut both = [training, validation.clone()].concat();
            both.sort_unstable();
            assert!(both.into_iter().eq(0..1000) && validation.is_sorted() && validation.len() == 100);
            validation
        };
        for seed in 0..5 {
            assert_eq!(held(&labels, seed).iter().filter(|n| *n % 50 == 7).count(), 2, "{seed}");
        }
        assert_ne!(held(&labels, 1), held(&labels, 2));
        // two outputs: every combination
        let part = |every: usize| OutputTargets {
            width: 1,
            targets: Targets::Labels((0..1000).map(|n| u32::from(n % every == 0)).collect()),
        };
        let rows = held(&Targets::Outputs(vec![part(4), part(100)]), 3);
        let of = |keep: &dyn Fn(usize) -> bool| rows.iter().filter(|n| keep(**n)).count();
        assert_eq!((of(&|n| n % 100 == 0), of(&|n| n % 4 == 0 && n % 100 != 0), of(&|n| n % 4 != 0)), (1, 24, 75));
        let values = Targets::Values { width: 1, values: vec![0.0; 1000] };
        assert_eq!(held(&values, 4), split(1000, None, 0.1, 4).1);
    }
}
