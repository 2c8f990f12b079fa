//! Training and validation parts of a data set.

use super::Rng;

/// The samples of each part: the same for the same `seed`, `(training, validation)`, where validation gets `fraction` of the samples (rounded),
/// and each part at least one if there are two samples. Both keep the order of the file.
pub fn split(samples: usize, fraction: f64, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let wanted = (samples as f64 * fraction.clamp(0.0, 1.0)).round() as usize;
    let count = if samples < 2 { 0 } else { wanted.clamp(1, samples - 1) };
    let mut order: Vec<usize> = (0..samples).collect();
    Rng::new(seed).shuffle(&mut order);
    let mut training = order.split_off(count);
    order.sort_unstable();
    training.sort_unstable();
    (training, order)
}
