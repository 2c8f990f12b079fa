//! Spans of convolutions and pooling.
//!
//! Where every position of a channel holds the same span (formats per channel), outputs differ only
//! by which taps lie in the padding: one result per pattern of taps.

use super::error::Unfit;
use super::span::Span;
use crate::graph::Window;
use crate::graph::channels::per_channel;
use crate::ops::Merge;
use crate::quant::model::FixedDense;
use std::collections::HashMap;

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

/// Calls `at` for every position, once per pattern of taps where `x` is uniform; returns all
/// positions' results in order.
fn positions(
    window: &Window,
    x: &[Span],
    mut at: impl FnMut(&[Option<usize>]) -> Result<Vec<Span>, Unfit>,
) -> Result<Vec<Span>, Unfit> {
    let alike = per_channel(x, window.input[2]).is_some();
    let mut known: HashMap<Vec<bool>, Vec<Span>> = HashMap::new();
    let mut out = Vec::new();
    for position in 0..window.positions() {
        let pixels: Vec<Option<usize>> = (0..window.taps()).map(|tap| window.pixel(position, tap)).collect();
        if !alike {
            out.extend(at(&pixels)?);
            continue;
        }
        let pattern: Vec<bool> = pixels.iter().map(Option::is_some).collect();
        if let Some(result) = known.get(&pattern) {
            out.extend_from_slice(result);
        } else {
            let result = at(&pixels)?;
            out.extend_from_slice(&result);
            known.insert(pattern, result);
        }
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
