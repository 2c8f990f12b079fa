//! What a loss is large or small against.

use crate::train::LossKind;

/// Mean squared or absolute deviation of `columns` from their means; 1 for a cross entropy, or
/// where nothing deviates.
pub fn spread(kind: LossKind, outputs: &[f32], width: usize, columns: std::ops::Range<usize>) -> f64 {
    let power = match kind {
        LossKind::Mse => 2,
        LossKind::Mae => 1,
        _ => return 1.0,
    };
    let n = (outputs.len() / width.max(1)).max(1) as f64;
    let column = |c: usize| outputs.iter().skip(c).step_by(width.max(1)).map(|&v| v as f64);
    let of = |c: usize| {
        let mean = column(c).sum::<f64>() / n;
        column(c).map(|v| (v - mean).abs().powi(power)).sum::<f64>() / n
    };
    let mean = columns.clone().map(of).sum::<f64>() / columns.len().max(1) as f64;
    if mean > 0.0 && mean.is_finite() { mean } else { 1.0 }
}

/// Mean squared difference of outputs from the source's.
pub fn squared_error(outputs: &[f64], source: &[f32]) -> f64 {
    let sum: f64 = outputs.iter().zip(source).map(|(a, &b)| (a - f64::from(b)).powi(2)).sum();
    sum / outputs.len().max(1) as f64
}
