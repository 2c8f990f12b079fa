//! What the model should answer: class labels or values.
//!
//! Integers of shape `[N]` or `[N, 1]` are class labels, unless the output has a single value, for which they are values
//! (0 and 1 of a binary classifier). Integers of shape `[N, values]` are labels where every row is one-hot, values
//! otherwise. Floats are values, as many per sample as the output has.
//!
//! A model of several outputs takes floats of all of them in one array, or one array per output, each in any of these forms.

use super::{
    arrays::{Array, Arrays},
    dataset::{find, first_bad},
    npy::Values,
};

/// What a model's output gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputShape {
    pub name: String,
    /// Values of one sample.
    pub len: usize,
    /// A single value that is a logit: targets of zeros and ones only are classes.
    pub logit: bool,
}

impl OutputShape {
    pub fn new(name: impl Into<String>, len: usize) -> OutputShape {
        OutputShape { name: name.into(), len, logit: false }
    }
}

/// Targets of all samples.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// One class per sample, below the number of outputs.
    Labels(Vec<u32>),
    /// `[samples][width]`.
    Values { width: usize, values: Vec<f32> },
    /// One per output of a model with several, of which some have labels.
    Outputs(Vec<OutputTargets>),
}

/// Targets of one of several outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputTargets {
    /// Values that the output has per sample.
    pub width: usize,
    /// Labels or values.
    pub targets: Targets,
}

impl Targets {
    /// The targets of the samples `indices`.
    pub fn select(&self, indices: &[usize]) -> Targets {
        match self {
            Targets::Labels(labels) => Targets::Labels(indices.iter().map(|&i| labels[i]).collect()),
            Targets::Values { width, values } => Targets::Values {
                width: *width,
                values: indices.iter().flat_map(|&i| &values[i * width..(i + 1) * width]).copied().collect(),
            },
            Targets::Outputs(parts) => Targets::Outputs(
                parts.iter().map(|p| OutputTargets { width: p.width, targets: p.targets.select(indices) }).collect(),
            ),
        }
    }

    /// Whether both are labels, or values, or so output by output.
    pub fn same_kind(&self, other: &Targets) -> bool {
        match (self, other) {
            (Targets::Labels(_), Targets::Labels(_)) | (Targets::Values { .. }, Targets::Values { .. }) => true,
            (Targets::Outputs(a), Targets::Outputs(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.targets.same_kind(&b.targets))
            }
            _ => false,
        }
    }
}

/// Takes the targets of `outputs` out of a file: `ys`, the usual names in their order, or the outputs' own. Names that are `taken` are inputs.
/// Numbers of samples go to `counts`.
pub(super) fn find_targets(
    arrays: &Arrays,
    outputs: &[OutputShape],
    ys: [&str; 2],
    taken: &[&str],
    counts: &mut Vec<(String, usize)>,
    faults: &mut Vec<String>,
) -> Option<Targets> {
    let mut take = |names: &[&str], faults: &mut Vec<String>| {
        let free = names.iter().copied().filter(|n| !taken.contains(n));
        let array = find(arrays, free, faults)??;
        counts.extend(array.shape.first().map(|&n| (array.name.clone(), n)));
        Some(array)
    };
    if let [output] = outputs {
        return take(&[ys[0], ys[1], &output.name], faults).and_then(|array| read(array, output, faults));
    }
    if outputs.is_empty() {
        return None;
    }
    let listed = |outputs: &[&OutputShape]| outputs.iter().map(|o| format!("`{}`", o.name)).collect::<Vec<_>>().join(", ");
    let (given, missing): (Vec<&OutputShape>, Vec<_>) =
        outputs.iter().partition(|o| !taken.contains(&&*o.name) && arrays.contains(&o.name));
    // an output may be called `y`: alone, that array has the values of all
    if given.iter().all(|o| ys.contains(&&*o.name)) && !missing.is_empty() {
        let all = OutputShape::new("", outputs.iter().map(|o| o.len).sum());
        let array = take(&ys, faults)?;
        let name = array.name.clone();
        let targets = read(array, &all, faults)?;
        if matches!(targets, Targets::Labels(_)) {
            faults.push(format!(
                "array `{}` has class labels, but the model has {} outputs: give one array per output by its name ({}), or floats of all of them ({} per sample), or no `y` to follow the model sent",
                name,
                outputs.len(),
                listed(&outputs.iter().collect::<Vec<_>>()),
                all.len
            ));
            return None;
        }
        return Some(targets);
    }
    if !missing.is_empty() {
        faults.push(format!(
            "there are targets for {}, but none for {}: give one array per output",
            listed(&given),
            listed(&missing)
        ));
    }
    let mut parts = Vec::with_capacity(outputs.len());
    for output in given {
        let array = take(&[&output.name], faults);
        parts.extend(
            array.and_then(|array| read(array, output, faults)).map(|targets| OutputTargets { width: output.len, targets }),
        );
    }
    (parts.len() == outputs.len()).then(|| joined(parts))
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

/// Reads the targets of one output; faults go to the list.
fn read(array: Array, output: &OutputShape, faults: &mut Vec<String>) -> Option<Targets> {
    let (name, outputs) = (&array.name.clone(), output.len);
    let Some((&samples, rest)) = array.shape.split_first() else {
        faults.push(format!("array `{name}` is a single number; targets need one entry per sample"));
        return None;
    };
    let width: usize = rest.iter().product();
    let integers: Option<Vec<i64>> = match &array.values {
        Values::I64(v) => Some(v.clone()),
        Values::U64(v) => Some(v.iter().map(|&x| i64::try_from(x).unwrap_or(i64::MAX)).collect()),
        Values::F32(_) | Values::F64(_) => None,
    };
    if let Some(integers) = integers {
        if width == 1 && outputs > 1 {
            return labels(name, &integers, outputs, faults);
        }
        if width == outputs
            && let Some(labels) = one_hot(&integers, width)
        {
            return Some(Targets::Labels(labels));
        }
    }
    if width != outputs || rest.len() > 1 {
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
    debug_assert_eq!(values.len(), samples * width);
    if output.logit && width == 1 && values.iter().all(|&v| v == 0.0 || v == 1.0) {
        return Some(Targets::Labels(values.iter().map(|&v| v as u32).collect()));
    }
    Some(Targets::Values { width, values })
}

fn labels(name: &str, integers: &[i64], outputs: usize, faults: &mut Vec<String>) -> Option<Targets> {
    let valid = |&label: &i64| u32::try_from(label).ok().filter(|&l| (l as usize) < outputs);
    match integers.iter().position(|label| valid(label).is_none()) {
        None => Some(Targets::Labels(integers.iter().filter_map(valid).collect())),
        Some(index) => {
            let value = integers[index];
            faults.push(format!("array `{name}`: label {value} at index {index} is not in 0..{outputs} (the model's outputs)"));
            None
        }
    }
}

/// The position of the one in each row, if every row has a single one among zeros.
fn one_hot(integers: &[i64], width: usize) -> Option<Vec<u32>> {
    if width < 2 {
        return None;
    }
    let row = |row: &[i64]| {
        let hot = row.iter().position(|&v| v == 1)?;
        row.iter().enumerate().all(|(at, &v)| v == i64::from(at == hot)).then_some(hot as u32)
    };
    integers.chunks(width).map(row).collect()
}
