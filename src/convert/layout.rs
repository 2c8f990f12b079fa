//! Several inputs and outputs as the stages take them: joined per sample.

use crate::quant::exact::Exact;
use crate::quant::scale::Scales;

/// What a model of the domain gives for `samples` rows of every input: outputs of `widths` values
/// per sample in the user's units, joined.
pub fn outputs(exact: &Exact, rows: &[&[f32]], samples: usize, widths: &[usize], scales: &Scales) -> Vec<f64> {
    let mut joined = join(&exact.run(rows, samples, &exact.model().outputs), widths, samples);
    scales.outputs_restored(&mut joined);
    joined
}

/// One row per sample: all inputs or outputs of the sample after one another. `widths[n]`: values
/// per sample of part `n`.
pub fn join<T: Copy>(parts: &[impl AsRef<[T]>], widths: &[usize], samples: usize) -> Vec<T> {
    let mut out = Vec::with_capacity(samples * widths.iter().sum::<usize>());
    for s in 0..samples {
        for (part, &w) in parts.iter().zip(widths) {
            out.extend_from_slice(part.as_ref().get(s * w..(s + 1) * w).unwrap_or(&[]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_interleave() {
        assert_eq!(join(&[vec![1, 2], vec![10, 11, 20, 21]], &[1, 2], 2), [1, 10, 11, 2, 20, 21]);
    }
}
