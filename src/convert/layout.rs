//! Several inputs and outputs as the stages take them: joined per sample.

/// One row per sample: all inputs or outputs of the sample after one another. `widths[n]`: values per sample of part `n`.
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
