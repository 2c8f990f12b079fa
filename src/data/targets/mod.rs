//! What the model should answer: class labels, probabilities of classes, yes or no for each output value, or values.
//!
//! The file says it by the type and content of the array, the model by what its output ends in ([`Ends`]); [`read`] has the rules. Every
//! data set remembers what its targets were [`Taken`] for.
//!
//! A model of several outputs takes floats of all of them in one array, or one array per output, each in any of these forms.

mod labels;
mod read;

use super::arrays::{Array, Arrays};
use super::dataset::find;
use read::read;

/// What an output ends in, as far as its targets are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Nothing that bounds it: values, or logits.
    Open,
    /// Softmax (left off) or ArgMax: scores of classes.
    Classes,
    /// Sigmoid: a probability for each value.
    Sigmoid,
    /// Something else with bounds (Relu, HardSigmoid, Tanh): no logits.
    Bounded,
}

/// Targets that the job's loss or metric is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Cross-entropy: probabilities of classes.
    Shares,
    /// Binary cross-entropy: yes or no for each value.
    Sides,
    /// Errors: values.
    Values,
}

/// What a model's output gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputShape {
    pub name: String,
    /// Values of one sample.
    pub len: usize,
    pub ends: Ends,
    /// `None`: the data decide.
    pub asked: Option<Asked>,
}

impl OutputShape {
    pub fn new(name: impl Into<String>, len: usize) -> OutputShape {
        OutputShape { name: name.into(), len, ends: Ends::Open, asked: None }
    }
}

/// Targets of all samples.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// One class per sample, below the number of outputs (0 or 1 of a single one).
    Labels(Vec<u32>),
    /// Probabilities of the classes, `[samples][width]`; each row adds up to 1.
    Shares { width: usize, values: Vec<f32> },
    /// Yes or no for each output value, `[samples][width]`, as two numbers: 0 and 1, or −1 and 1. `one_hot`: one yes in each row, the
    /// class. `logit`: the answer is the sign of a logit; else the side of the middle of the two on which the output is.
    Sides { width: usize, values: Vec<f32>, one_hot: bool, logit: bool },
    /// `[samples][width]`.
    Values { width: usize, values: Vec<f32> },
    /// One per output of a model with several, of which some have classes.
    Outputs(Vec<OutputTargets>),
}

/// Targets of one of several outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputTargets {
    /// Values that the output has per sample.
    pub width: usize,
    /// Anything but [`Targets::Outputs`].
    pub targets: Targets,
}

/// What an array of targets was taken for.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Taken {
    /// Names of the outputs.
    pub outputs: Vec<String>,
    pub array: String,
    /// [`Targets::kind`]
    pub taken_as: &'static str,
    /// By what.
    pub because: String,
}

impl Targets {
    /// What they are, for reports.
    pub fn kind(&self) -> &'static str {
        match self {
            Targets::Labels(_) => "classes",
            Targets::Shares { .. } => "probabilities",
            Targets::Sides { one_hot: true, .. } => "classes",
            Targets::Sides { .. } => "yes_or_no",
            Targets::Values { .. } => "values",
            Targets::Outputs(_) => "by_output",
        }
    }

    /// The class of a sample, where there is one: the most likely of several, 1 for a yes of a single output.
    pub fn class(&self, sample: usize) -> Option<u32> {
        let row = |values: &'_ [f32], width: usize| values.get(sample * width..(sample + 1) * width).map(<[f32]>::to_vec);
        let largest = |row: Vec<f32>| (1..row.len()).fold(0, |best, c| if row[c] > row[best] { c } else { best }) as u32;
        match self {
            Targets::Labels(labels) => labels.get(sample).copied(),
            Targets::Shares { width, values } | Targets::Sides { width, values, one_hot: true, .. } => {
                row(values, *width).map(largest)
            }
            // no is 0 or −1
            Targets::Sides { width: 1, values, .. } => values.get(sample).map(|&v| u32::from(v > 0.0)),
            Targets::Sides { .. } | Targets::Values { .. } | Targets::Outputs(_) => None,
        }
    }

    /// The class of each sample, where each has one.
    pub fn classes(&self) -> Option<Vec<u32>> {
        let samples = match self {
            Targets::Labels(labels) => labels.len(),
            Targets::Shares { width, values } | Targets::Sides { width, values, .. } | Targets::Values { width, values } => {
                values.len() / (*width).max(1)
            }
            Targets::Outputs(_) => return None,
        };
        (0..samples).map(|sample| self.class(sample)).collect()
    }

    /// Whether they say which class a sample has, or which side each value is on.
    pub fn are_classes(&self) -> bool {
        match self {
            Targets::Labels(_) | Targets::Shares { .. } | Targets::Sides { .. } => true,
            Targets::Values { .. } => false,
            Targets::Outputs(parts) => parts.iter().any(|p| p.targets.are_classes()),
        }
    }

    /// The targets of the samples `indices`.
    pub fn select(&self, indices: &[usize]) -> Targets {
        let rows = |values: &[f32], width: usize| -> Vec<f32> {
            indices.iter().flat_map(|&i| &values[i * width..(i + 1) * width]).copied().collect()
        };
        match self {
            Targets::Labels(labels) => Targets::Labels(indices.iter().map(|&i| labels[i]).collect()),
            Targets::Shares { width, values } => Targets::Shares { width: *width, values: rows(values, *width) },
            &Targets::Sides { width, ref values, one_hot, logit } => {
                Targets::Sides { width, values: rows(values, width), one_hot, logit }
            }
            Targets::Values { width, values } => Targets::Values { width: *width, values: rows(values, *width) },
            Targets::Outputs(parts) => Targets::Outputs(
                parts.iter().map(|p| OutputTargets { width: p.width, targets: p.targets.select(indices) }).collect(),
            ),
        }
    }

    /// Whether both are classes, or values, or so output by output.
    pub fn same_kind(&self, other: &Targets) -> bool {
        match (self, other) {
            (Targets::Outputs(a), Targets::Outputs(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.targets.same_kind(&b.targets))
            }
            (Targets::Outputs(_), _) | (_, Targets::Outputs(_)) => false,
            (a, b) => a.are_classes() == b.are_classes(),
        }
    }
}

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

/// Takes the targets of `outputs` out of a file: the usual names, or the outputs' own. Numbers of samples go to `counts`.
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
