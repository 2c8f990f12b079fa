//! What the model should answer: class labels, probabilities of classes, yes or no for each output
//! value, or values.
//!
//! The file says it by the type and content of the array, the model by what its output ends in
//! ([`shape::Ends`]); [`mod@read`] has the rules. Every data set remembers what its targets were
//! [`Taken`] for.
//!
//! A model of several outputs takes floats of all of them in one array, or one array per output,
//! each in any of these forms.

pub mod kinds;
mod labels;
mod read;
pub mod shape;

use super::arrays::{Array, Arrays};
use super::locate::find;
use kinds::{OutputTargets, Taken, Targets};
use read::read;
use shape::{Asked, OutputShape};

/// Where the targets of a file are looked for.
pub(super) struct Names<'a> {
    /// The usual names in their order.
    pub ys: [&'a str; 2],
    /// Those of inputs.
    pub taken: &'a [&'a str],
}

/// Targets as found in a file.
pub(super) struct Found {
    pub targets: Targets,
    pub taken: Vec<Taken>,
}

/// Takes the targets of `outputs` out of a file: the usual names, or the outputs' own. Numbers of
/// samples go to `counts`.
pub(super) fn find_targets(
    arrays: &Arrays,
    outputs: &[OutputShape],
    names: &Names,
    counts: &mut Vec<(String, usize)>,
    faults: &mut Vec<String>,
) -> Option<Found> {
    let Names { ys, taken } = *names;
    let mut take = |names: &[&str], faults: &mut Vec<String>| {
        let free = names.iter().copied().filter(|n| !taken.contains(n));
        let before = faults.len();
        let found = find(arrays, free, faults)?;
        faults[before..].iter_mut().for_each(labels::add_cure);
        let array = found?;
        counts.extend(array.shape.first().map(|&n| (array.name.clone(), n)));
        Some(array)
    };
    if let [output] = outputs {
        return take(&[ys[0], ys[1], &output.name], faults).and_then(|array| one(array, output, faults));
    }
    if outputs.is_empty() {
        return None;
    }
    let (given, missing): (Vec<&OutputShape>, Vec<_>) =
        outputs.iter().partition(|o| !taken.contains(&&*o.name) && arrays.contains(&o.name));
    // an output may be called `y`: alone, that array has the values of all
    if given.iter().all(|o| ys.contains(&&*o.name)) && !missing.is_empty() {
        return take(&ys, faults).and_then(|array| of_all(array, outputs, faults));
    }
    if !missing.is_empty() {
        faults.push(format!(
            "there are targets for {}, but none for {}: give one array per output",
            listed(&given),
            listed(&missing)
        ));
    }
    let (mut parts, mut taken) = (Vec::with_capacity(outputs.len()), Vec::new());
    for output in given {
        if let Some(found) = take(&[&output.name], faults).and_then(|array| one(array, output, faults)) {
            parts.push(OutputTargets { width: output.len, targets: found.targets });
            taken.extend(found.taken);
        }
    }
    (parts.len() == outputs.len()).then(|| Found { targets: joined(parts), taken })
}

fn listed(outputs: &[&OutputShape]) -> String {
    outputs.iter().map(|o| format!("`{}`", o.name)).collect::<Vec<_>>().join(", ")
}

fn one(array: Array, output: &OutputShape, faults: &mut Vec<String>) -> Option<Found> {
    let name = array.name.clone();
    let (targets, because) = read(array, output, faults)?;
    let taken = Taken { outputs: vec![output.name.clone()], array: name, taken_as: targets.kind(), because };
    Some(Found { targets, taken: vec![taken] })
}

/// Floats of all outputs in one array.
fn of_all(array: Array, outputs: &[OutputShape], faults: &mut Vec<String>) -> Option<Found> {
    let len = outputs.iter().map(|o| o.len).sum();
    let all = OutputShape { asked: Some(Asked::Values), ..OutputShape::new("", len) };
    let name = array.name.clone();
    let (targets, because) = read(array, &all, faults)?;
    if targets.are_classes() {
        faults.push(format!(
            "array `{name}` has class labels, but the model has {} outputs: give one array per output by its name ({}), or floats of all of them ({len} per sample), or no `y` to follow the model sent",
            outputs.len(),
            listed(&outputs.iter().collect::<Vec<_>>()),
        ));
        return None;
    }
    let outputs = outputs.iter().map(|o| o.name.clone()).collect();
    let taken = Taken { outputs, array: name, taken_as: targets.kind(), because };
    Some(Found { targets, taken: vec![taken] })
}

/// Values of all outputs are those of one output that has them all.
fn joined(parts: Vec<OutputTargets>) -> Targets {
    let mut columns: Vec<(usize, &[f32])> = Vec::with_capacity(parts.len());
    for part in &parts {
        let Targets::Values { width, values } = &part.targets else { return Targets::Outputs(parts) };
        columns.push((*width, values));
    }
    let samples = columns.iter().map(|(width, values)| values.len() / width.max(&1)).min().unwrap_or(0);
    let row = |s: usize| columns.iter().flat_map(move |(width, values)| &values[s * width..(s + 1) * width]).copied();
    Targets::Values { width: columns.iter().map(|(width, _)| width).sum(), values: (0..samples).flat_map(row).collect() }
}
