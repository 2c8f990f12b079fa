//! Spans of convolutions and pooling: one result for all positions that are alike.

use super::alike::Alike;
use super::error::Unfit;
use super::span::Span;
use crate::graph::Window;
use crate::ops::Merge;
use crate::quant::model::FixedDense;

fn fits(window: &Window, x: &[Span]) -> Result<(), Unfit> {
    let wanted = window.input.iter().product();
    if x.len() != wanted {
        return Err(Unfit::Shape { what: "elements under the window", found: x.len(), wanted });
    }
    if window.groups == 0 || !window.input[2].is_multiple_of(window.groups) || window.stride.contains(&0) || window.taps() == 0 {
        return Err(Unfit::Structure("its window has no kernel, stride or whole groups".into()));
    }
    Ok(())
}

/// Calls `at` for one position of each pattern of what lies under its taps; returns all positions'
/// results in order.
fn positions(
    window: &Window,
    x: &[Span],
    mut at: impl FnMut(&[Option<usize>]) -> Result<Vec<Span>, Unfit>,
) -> Result<Vec<Span>, Unfit> {
    let Alike { pattern, first } = Alike::new(window, x);
    let mut results = Vec::with_capacity(first.len());
    for position in first {
        let pixels: Vec<Option<usize>> = (0..window.taps()).map(|tap| window.pixel(position, tap)).collect();
        results.push(at(&pixels)?);
    }
    let mut out = Vec::with_capacity(results.first().map_or(0, Vec::len) * pattern.len());
    for number in pattern {
        out.extend_from_slice(&results[number as usize]);
    }
    Ok(out)
}

/// A convolution.
pub(super) fn dense(d: &FixedDense, x: &[Span]) -> Result<Vec<Span>, Unfit> {
    let Some(window) = &d.window else { return Err(Unfit::Structure("has no window".into())) };
    fits(window, x)?;
    let per_group = window.group_channels();
    if d.inputs != window.patch() || d.weight.ints.len() != d.inputs * d.outputs || d.bias.ints.len() != d.outputs {
        return Err(Unfit::Shape { what: "weights", found: d.weight.ints.len(), wanted: window.patch() * d.outputs });
    }
    if !d.outputs.is_multiple_of(window.groups) {
        return Err(Unfit::Structure(format!("{} outputs do not split into {} groups", d.outputs, window.groups)));
    }
    let share = window.group_outputs(d.outputs);
    let bias: Vec<Span> = (0..d.outputs).map(|o| Span::constant(&d.bias, o)).collect();
    positions(window, x, |pixels| {
        let mut out = bias.clone();
        for (tap, pixel) in pixels.iter().enumerate() {
            let Some(pixel) = pixel else { continue };
            for c in 0..per_group {
                let row = &d.weight.ints[(tap * per_group + c) * d.outputs..][..d.outputs];
                for (o, (sum, &w)) in out.iter_mut().zip(row).enumerate().filter(|(_, (_, w))| **w != 0) {
                    let s = x[pixel * window.input[2] + o / share * per_group + c];
                    *sum = s.times(w, d.weight.frac).and_then(|p| sum.plus(p)).ok_or(Unfit::Wide)?;
                }
            }
        }
        Ok(out)
    })
}

/// The largest under a window; padding never wins.
pub(super) fn max(window: &Window, x: &[Span]) -> Result<Vec<Span>, Unfit> {
    fits(window, x)?;
    let channels = window.input[2];
    positions(window, x, |pixels| {
        (0..channels)
            .map(|c| {
                let mut spans = pixels.iter().flatten().map(|pixel| x[pixel * channels + c]);
                let first = spans.next().ok_or_else(|| Unfit::Structure("a window lies in the padding".into()))?;
                spans.try_fold(first, |a, b| a.merged(Merge::Max, b)).ok_or(Unfit::Wide)
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::model::FixedTensor;

    #[test]
    fn positions_that_are_alike_are_computed_once_and_right() {
        let window = Window { input: [4, 5, 2], kernel: [3, 3], stride: [1, 1], pads: [1, 1, 1, 1], groups: 1 };
        // all alike, another border, and no two pixels alike
        let of_pixel: [fn(usize) -> i128; 3] = [|_| 3, |p| if p < 5 || p.is_multiple_of(5) { 1 } else { 3 }, |p| 1 + p as i128];
        for of in of_pixel {
            let x: Vec<Span> = (0..40).map(|e| Span::new(-(e as i128 % 2), of(e / 2), 1)).collect();
            let weights: Vec<i64> = (0..36).map(|n| (n * 7 % 11) - 5).collect();
            let d = FixedDense {
                inputs: 18,
                outputs: 2,
                weight: FixedTensor { ints: weights.clone(), frac: 2 },
                bias: FixedTensor { ints: vec![1, 0], frac: 0 },
                weight_bits: vec![0; 36],
                bias_bits: vec![0; 2],
                window: Some(window.clone()),
                ebops_scale: 1.0,
            };
            let found = dense(&d, &x).unwrap();
            for (at, found) in found.iter().enumerate() {
                let (p, o) = (at / 2, at % 2);
                let mut want = Span::constant(&d.bias, o);
                for (k, row) in weights.chunks(2).enumerate() {
                    if let Some(e) = window.element(p, k, o, 2) {
                        want = want.plus(x[e].times(row[o], 2).unwrap()).unwrap();
                    }
                }
                let (a, b) = (found.lifted(5).unwrap(), want.lifted(5).unwrap());
                assert_eq!(a, b, "{at}");
            }
        }
    }
}
