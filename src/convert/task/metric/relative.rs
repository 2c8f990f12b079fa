//! How far outputs are from the source's, against how far the source's outputs spread.

/// `√(mean squared difference / variance)`, the root of the mean over the outputs of a model, whose
/// values per sample are `widths`: 0 is exact, 1 no better than a constant. Where the source's
/// outputs do not vary, against 1.
pub fn relative_error(outputs: &[f64], source: &[f32], widths: &[usize]) -> f64 {
    let width: usize = widths.iter().sum();
    let samples = outputs.len() / width.max(1);
    if samples == 0 {
        return 0.0;
    }
    let mut first = 0;
    let mut sum = 0.0;
    for &len in widths {
        let (mut error, mut variance) = (0.0, 0.0);
        for c in first..first + len {
            let column = || (0..samples).map(|s| (outputs[s * width + c], f64::from(source[s * width + c])));
            let mean = column().map(|(_, b)| b).sum::<f64>() / samples as f64;
            error += column().map(|(a, b)| (a - b).powi(2)).sum::<f64>();
            variance += column().map(|(_, b)| (b - mean).powi(2)).sum::<f64>();
        }
        first += len;
        let per_value = (samples * len.max(1)) as f64;
        sum += if variance > 0.0 { error / variance } else { error / per_value };
    }
    (sum / widths.len().max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_has_an_error_of_one() {
        // columns 0, 2, 4 and 10, 10, 40: variances 8/3 and 200
        let source = [0.0f32, 10.0, 2.0, 10.0, 4.0, 40.0];
        let means = [2.0, 20.0, 2.0, 20.0, 2.0, 20.0];
        assert!((relative_error(&means, &source, &[2]) - 1.0).abs() < 1e-12);
        assert!((relative_error(&means, &source, &[1, 1]) - 1.0).abs() < 1e-12);
        let exact: Vec<f64> = source.iter().map(|&v| f64::from(v)).collect();
        assert_eq!(relative_error(&exact, &source, &[2]), 0.0);
        // each output of several counts alike, whatever its scale: 1 of 8/3 in the first, nothing
        // in the second
        let off: Vec<f64> = exact.iter().enumerate().map(|(n, v)| if n % 2 == 0 { v + 1.0 } else { *v }).collect();
        assert!((relative_error(&off, &source, &[1, 1]) - (3.0f64 / 8.0 / 2.0).sqrt()).abs() < 1e-12);
        assert!((relative_error(&off, &source, &[2]) - (3.0f64 / 608.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn what_does_not_vary_is_compared_with_one() {
        assert_eq!(relative_error(&[3.0, 5.0], &[4.0, 4.0], &[1]), 1.0);
    }
}
