//! One array of targets, by these rules:
//!
//! | array | output | taken as |
//! |---|---|---|
//! | integers `[N]` or `[N, 1]` | several values | class labels |
//! | rows with a single 1 among zeros, or among −1 | several values | class labels |
//! | rows that add up to 1, none negative | after a Softmax, or the loss is a cross-entropy | probabilities of the classes |
//! | 0 and 1, or −1 and 1 | one value | two classes |
//! | the same | several values after a Sigmoid, or the loss is binary | yes or no for each value |
//! | other numbers | as many values | values |

use super::kinds::Targets;
use super::labels::{labels, no_two_classes};
use super::shape::{Asked, Ends, OutputShape};
use crate::data::arrays::Array;
use crate::data::locate::first_bad;
use crate::data::npy::Values;

/// How far a row of probabilities may be from 1: what rounding to two digits leaves, and Softmax in
/// half precision.
const SUM_TOLERANCE: f32 = 0.02;

/// Reads the targets of one output, and says by what it is what it was taken for; faults go to the
/// list.
pub fn read(array: Array, output: &OutputShape, faults: &mut Vec<String>) -> Option<(Targets, String)> {
    let (name, outputs) = (array.name.clone(), output.len);
    let Some((_, rest)) = array.shape.split_first() else {
        faults.push(format!("array `{name}` is a single number; targets need one entry per sample"));
        return None;
    };
    let (width, axes): (usize, usize) = (rest.iter().product(), rest.len());
    let integers: Option<Vec<i64>> = match &array.values {
        Values::I64(v) => Some(v.clone()),
        Values::U64(v) => Some(v.iter().map(|&x| i64::try_from(x).unwrap_or(i64::MAX)).collect()),
        Values::F32(_) | Values::F64(_) => None,
    };
    if let (Some(integers), true) = (&integers, width == 1 && outputs > 1) {
        let labels = labels(&name, integers, outputs, faults)?;
        return Some((classes(labels, output), "whole numbers, one per sample".into()));
    }
    if width != outputs || axes > 1 {
        let hint = if width == 1 { "; class labels must be of an integer type" } else { "" };
        let shape = &array.shape;
        faults.push(format!("array `{name}` has shape {shape:?}, but the model has {outputs} output(s) per sample{hint}"));
        return None;
    }
    let values = array.into_f32();
    if let Some(what) = first_bad(&values, 0) {
        faults.push(format!("array `{name}`: {what}"));
        return None;
    }
    if output.asked == Some(Asked::Values) && integers.is_none() {
        return Some(plain(values, width, "floats, and the loss or metric asked for is an error"));
    }
    if width == 1 {
        return single(&name, values, integers.is_some(), output, faults);
    }
    several(&name, values, integers.is_some(), output, faults)
}

/// Of an output of one value.
fn single(
    name: &str,
    values: Vec<f32>,
    whole: bool,
    output: &OutputShape,
    faults: &mut Vec<String>,
) -> Option<(Targets, String)> {
    if let Some(because) = two_sides(&values) {
        if output.ends == Ends::Bounded {
            return Some((Targets::Sides { width: 1, values, one_hot: false, logit: false }, because.into()));
        }
        return Some((Targets::Labels(values.iter().map(|&v| u32::from(v > 0.0)).collect()), because.into()));
    }
    if whole && let Some(fault) = no_two_classes(name, &values, output) {
        faults.push(fault);
        return None;
    }
    Some(plain(values, 1, if whole { "whole numbers of an output of one value" } else { "floats" }))
}

/// Of an output of several values.
fn several(
    name: &str,
    values: Vec<f32>,
    whole: bool,
    output: &OutputShape,
    faults: &mut Vec<String>,
) -> Option<(Targets, String)> {
    let width = output.len;
    if let Some(labels) = one_hot(&values, width, 0.0) {
        return Some((classes(labels, output), "rows with a single 1 (one-hot)".into()));
    }
    if let (true, Some(labels)) = (output.ends != Ends::Bounded, one_hot(&values, width, -1.0)) {
        return Some((classes(labels, output), "rows with a single 1 among −1".into()));
    }
    let sides = output.ends == Ends::Sigmoid || output.asked == Some(Asked::Sides);
    if let (true, Some(because)) = (sides && output.ends != Ends::Bounded, two_sides(&values)) {
        return Some((Targets::Sides { width, values, one_hot: false, logit: true }, format!("{because} for each value")));
    }
    let shares = output.ends == Ends::Classes || output.asked == Some(Asked::Shares);
    if shares && values.iter().all(|v| (0.0..=1.0).contains(v)) {
        return probabilities(name, values, width, faults);
    }
    Some(plain(values, width, if whole { "whole numbers, as many as the output has values" } else { "floats" }))
}

fn plain(values: Vec<f32>, width: usize, because: &str) -> (Targets, String) {
    (Targets::Values { width, values }, because.into())
}

/// Classes of an output of several values: after a Sigmoid each of them is a yes or no.
fn classes(labels: Vec<u32>, output: &OutputShape) -> Targets {
    if output.ends != Ends::Sigmoid {
        return Targets::Labels(labels);
    }
    let width = output.len;
    let row = |&label: &u32| (0..width).map(move |c| if c == label as usize { 1.0 } else { 0.0 });
    Targets::Sides { width, values: labels.iter().flat_map(row).collect(), one_hot: true, logit: true }
}

/// What is said of numbers of which there are two, on both sides.
fn two_sides(values: &[f32]) -> Option<&'static str> {
    let only = |a: f32, b: f32| values.iter().all(|&v| v == a || v == b);
    if only(0.0, 1.0) {
        return Some("0 and 1 only");
    }
    only(-1.0, 1.0).then_some("−1 and 1 only")
}

/// The position of the one in each row, if every row has a single one among numbers that are all
/// `low`.
fn one_hot(values: &[f32], width: usize, low: f32) -> Option<Vec<u32>> {
    let row = |row: &[f32]| {
        let hot = row.iter().position(|&v| v == 1.0)?;
        row.iter().enumerate().all(|(at, &v)| v == if at == hot { 1.0 } else { low }).then_some(hot as u32)
    };
    values.chunks(width).map(row).collect()
}

/// Rows of numbers from 0 to 1 for classes: made to add up to 1 exactly.
fn probabilities(name: &str, mut values: Vec<f32>, width: usize, faults: &mut Vec<String>) -> Option<(Targets, String)> {
    for (row, shares) in values.chunks_mut(width).enumerate() {
        let sum: f32 = shares.iter().sum();
        if (sum - 1.0).abs() > SUM_TOLERANCE {
            faults.push(format!(
                "array `{name}`: row {row} adds up to {sum}, but probabilities of classes add up to 1: give one class per sample (integers), or rows that add up to 1; several classes at once need a model that ends in Sigmoid, or its logits with the loss bce"
            ));
            return None;
        }
        shares.iter_mut().for_each(|v| *v /= sum);
    }
    Some((Targets::Shares { width, values }, "rows of numbers from 0 to 1 that add up to 1".into()))
}
