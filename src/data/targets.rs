//! What the model should answer: class labels or values.
//!
//! Integers of shape `[N]` or `[N, 1]` are class labels, unless the model has a single output, for which they are values
//! (0 and 1 of a binary classifier). Integers of shape `[N, outputs]` are labels where every row is one-hot, values
//! otherwise. Floats are values, as many per sample as the model has outputs.

use super::{arrays::Array, dataset::first_bad, npy::Values};

/// Targets of all samples.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// One class per sample, below the number of outputs.
    Labels(Vec<u32>),
    /// `[samples][width]`.
    Values { width: usize, values: Vec<f32> },
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
        }
    }
}

/// Reads the targets of a model with `outputs` outputs; faults go to the list.
pub fn read(array: &Array, outputs: usize, faults: &mut Vec<String>) -> Option<Targets> {
    let name = &array.name;
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
    let values = array.to_f32();
    if let Some(what) = first_bad(&values) {
        faults.push(format!("array `{name}`: {what}"));
        return None;
    }
    debug_assert_eq!(values.len(), samples * width);
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
