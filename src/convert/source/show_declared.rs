//! What inputs do where the data do not show it and the configuration declares it: hidden values
//! get ranges for that, too.
//!
//! Samples of the data are traced once more with the inputs that never change in them at the ends
//! of their declared ranges, each end by chance, and once with the other ends.

use super::Source;
use super::data::Data;
use super::declare::of_graph_input;
use super::values::{SourceValues, merge_ranges};
use crate::convert::config::JobConfig;
use crate::convert::error::Error;
use crate::data::Rng;
use crate::quant::exact::MinMax;
use std::sync::Arc;

/// Samples that are changed, at most: ranges of a few thousand differ little from those of all.
const MAX_LISTED: usize = 2048;

/// Adds such samples to those that ranges are traced on, and what the source's values are on them
/// to `ranges`.
///
/// # Errors
/// A value of the source that is not finite.
pub fn show_declared(config: &JobConfig, source: &Source, data: &mut Data, ranges: &mut [MinMax]) -> Result<(), Error> {
    let mut still = Vec::new();
    for (at, &input) in source.graph.inputs.iter().enumerate() {
        let Some(ends) = of_graph_input(config, source, input) else { continue };
        let range = &ranges[input];
        let elements = ends.into_iter().enumerate().filter(|&(e, (lo, hi))| range.min[e] == range.max[e] && lo < hi);
        still.extend(elements.map(|(e, ends)| (at, e, ends)));
    }
    if still.is_empty() {
        return Ok(());
    }
    let (widths, all) = (source.input_widths(), data.trace_samples);
    let count = all.min(MAX_LISTED);
    let row = |n: usize| n * all / count.max(1);
    let mut rows: Vec<Vec<f32>> = (data.trace.iter().zip(&widths))
        .map(|(x, &width)| (0..2 * count).flat_map(|n| x[row(n / 2) * width..][..width].iter().copied()).collect())
        .collect();
    let mut rng = Rng::new(0);
    for n in 0..count {
        for &(at, e, (lo, hi)) in &still {
            let (first, second) = if rng.unit() < 0.5 { (lo, hi) } else { (hi, lo) };
            rows[at][2 * n * widths[at] + e] = first as f32;
            rows[at][(2 * n + 1) * widths[at] + e] = second as f32;
        }
    }
    let mut values = SourceValues::none(source);
    values.add(source, &rows.iter().map(|x| &x[..]).collect::<Vec<_>>(), 2 * count, false)?;
    merge_ranges(ranges, &values.ranges);
    for (x, rows) in data.trace.iter_mut().zip(&rows) {
        *x = Arc::new([&x[..], rows].concat());
    }
    data.trace_samples += 2 * count;
    Ok(())
}
