//! How sure a share is.

/// Standard error of a share of `samples`, with one right and one wrong sample added (Laplace):
/// without them a share of 1 would be exact, on however few samples.
pub fn share_error(share: f64, samples: f64) -> f64 {
    let n = samples.max(1.0);
    let p = ((share * n + 1.0) / (n + 2.0)).clamp(0.0, 1.0);
    (p * (1.0 - p) / n).sqrt()
}

#[cfg(test)]
mod tests {
    use super::share_error;

    #[test]
    fn a_share_of_one_is_not_exact() {
        assert!((share_error(1.0, 46.0) - (47.0 / 48.0 / 48.0 / 46.0f64).sqrt()).abs() < 1e-12);
        assert!((share_error(0.9, 1e6) - (0.09f64 / 1e6).sqrt()).abs() < 1e-8);
    }
}
