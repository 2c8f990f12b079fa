//! Targets in the form in which the engine takes them.

use crate::data::Targets;
use std::borrow::Cow;

/// Yes and no as a binary cross-entropy takes them: 1 and 0. For other losses they are what the
/// output is to reach.
pub fn sides(values: &[f32], logit: bool) -> Cow<'_, [f32]> {
    if logit && values.iter().any(|&v| v < 0.0) {
        return Cow::Owned(values.iter().map(|&v| f32::from(u8::from(v > 0.0))).collect());
    }
    Cow::Borrowed(values)
}

/// Labels, samples × outputs that have them, and values, samples × all columns (0 in those of
/// labels).
pub fn columns<'t>(parts: impl Iterator<Item = (usize, &'t Targets)> + Clone) -> (Vec<u32>, Option<Vec<f32>>) {
    let samples = |(width, targets): (usize, &Targets)| match targets {
        Targets::Labels(labels) => labels.len(),
        Targets::Values { values, .. } | Targets::Shares { values, .. } | Targets::Sides { values, .. } => {
            values.len() / width.max(1)
        }
        Targets::Outputs(_) => 0,
    };
    let samples = parts.clone().map(samples).min().unwrap_or(0);
    let (mut labels, mut values, mut floats) = (Vec::new(), Vec::new(), false);
    for s in 0..samples {
        for (width, targets) in parts.clone() {
            match targets {
                Targets::Values { values: own, .. } | Targets::Shares { values: own, .. } => {
                    floats = true;
                    values.extend_from_slice(&own[s * width..(s + 1) * width]);
                }
                Targets::Sides { values: own, logit, .. } => {
                    floats = true;
                    values.extend_from_slice(&sides(&own[s * width..(s + 1) * width], *logit));
                }
                Targets::Labels(own) => {
                    labels.push(own[s]);
                    values.resize(values.len() + width, 0.0);
                }
                Targets::Outputs(_) => {}
            }
        }
    }
    (labels, floats.then_some(values))
}
