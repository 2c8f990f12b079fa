//! Class weights as numbers.

use crate::convert::config::training::ClassWeights;

/// The weight of each class, scaled to a mean of 1 over the samples: what counts is their ratio. A
/// class without samples has 1.
pub fn weights_of(weights: &ClassWeights, labels: &[u32], classes: usize) -> Result<Vec<f32>, String> {
    let mut counts = vec![0usize; classes];
    for &label in labels {
        if let Some(count) = counts.get_mut(label as usize) {
            *count += 1;
        }
    }
    let weights: Vec<f64> = match weights {
        ClassWeights::Given(given) if given.len() != classes => {
            return Err(format!("{} numbers for {classes} classes", given.len()));
        }
        ClassWeights::Given(given) => given.iter().map(|&w| w as f64).collect(),
        ClassWeights::Balanced(_) => counts.iter().map(|&n| labels.len() as f64 / (classes * n.max(1)) as f64).collect(),
    };
    let sum: f64 = weights.iter().zip(&counts).map(|(w, &n)| w * n as f64).sum();
    let mean = sum / labels.len().max(1) as f64;
    let scaled = |(w, &n): (&f64, &usize)| if n > 0 && mean > 0.0 { (w / mean) as f32 } else { 1.0 };
    Ok(weights.iter().zip(&counts).map(scaled).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::config::training::Balanced;

    #[test]
    fn class_weights_have_a_mean_of_one_over_the_samples() {
        let labels = [0, 0, 0, 0, 0, 0, 1, 1, 3, 3];
        let balanced = weights_of(&ClassWeights::Balanced(Balanced::Balanced), &labels, 4).unwrap();
        // n / (present·count); class 2 has no samples
        let want = [10.0 / 18.0, 10.0 / 6.0, 1.0, 10.0 / 6.0];
        for (got, want) in balanced.iter().zip(want) {
            assert!((got - want).abs() < 1e-6, "{balanced:?}");
        }
        let given = |w: &[f32]| weights_of(&ClassWeights::Given(w.to_vec()), &labels, 4).unwrap();
        assert_eq!(given(&[3.0; 4]), [1.0, 1.0, 1.0, 1.0]);
        let doubled = given(&[1.0, 2.0, 1.0, 2.0]);
        assert!((doubled[1] / doubled[0] - 2.0).abs() < 1e-6);
        let mean: f32 = labels.iter().map(|&l| doubled[l as usize]).sum::<f32>() / 10.0;
        assert!((mean - 1.0).abs() < 1e-6);
        assert!(weights_of(&ClassWeights::Given(vec![1.0]), &labels, 4).unwrap_err().contains("1 numbers for 4"));
    }
}
