//! Samples in the form the graph takes them, checked against the model.

use super::{
    DataError, OutputShape, Taken, Targets,
    arrays::{Array, Arrays},
    order::to_graph,
    targets,
};
use std::sync::Arc;

/// What a graph input takes.
#[derive(Clone, Debug, PartialEq)]
pub struct InputShape {
    pub name: String,
    /// Of one sample, channels last.
    pub shape: Vec<usize>,
    /// Element `j` of the sample is element `order[j]` of a sample in the layout of the model file, which has the channels first.
    pub order: Option<Vec<usize>>,
}

impl InputShape {
    pub fn new(name: impl Into<String>, shape: Vec<usize>) -> InputShape {
        InputShape { name: name.into(), shape, order: None }
    }

    /// The shape of a sample in the layout of the model file.
    pub fn in_file(&self) -> Vec<usize> {
        match (&self.order, self.shape.split_last()) {
            (Some(_), Some((&channels, rest))) => [&[channels], rest].concat(),
            _ => self.shape.clone(),
        }
    }
}

/// A data set for one model. Clones share the inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// One per graph input: `[samples][elements of a sample]`, row-major.
    pub inputs: Vec<Arc<Vec<f32>>>,
    pub samples: usize,
    pub targets: Option<Targets>,
    /// What the targets were taken for.
    pub taken: Vec<Taken>,
    /// Arrays of the file that are neither inputs nor targets.
    pub unread: Vec<String>,
}

impl Dataset {
    /// Takes the arrays for a model out of a file.
    ///
    /// An input takes the array of its name; a single input also takes `x` or else `x_train`. Samples are in the layout of the
    /// model file, flat or not, or else in the graph's. Targets are `y` or else `y_train` (the other way round where
    /// the input is `x_train`), or the array of the name of the output, of several outputs the arrays of all their names; in the forms
    /// that [`super::targets`] documents. No `outputs`: no targets are read. `what` names the role of the data in messages ("calibration").
    ///
    /// # Errors
    /// [`DataError::Faults`] with all faults at once: missing arrays, shapes, NaN or infinite values, labels out of range,
    /// different numbers of samples.
    pub fn from_arrays(arrays: &Arrays, inputs: &[InputShape], outputs: &[OutputShape], what: &str) -> Result<Self, DataError> {
        let mut faults = Vec::new();
        let mut counts: Vec<(String, usize)> = Vec::new();
        let mut data = Vec::with_capacity(inputs.len());
        let names = locate(arrays, inputs, &mut faults);
        let from_train = names.contains(&Some("x_train"));
        for (name, input) in names.into_iter().zip(inputs) {
            let Some(name) = name else { continue };
            if let Some((count, values)) = read(arrays, name, input, &mut faults) {
                counts.push((name.to_string(), count));
                data.push(Arc::new(values));
            }
        }
        let found = find_targets(arrays, inputs, outputs, from_train, &mut counts, &mut faults);
        let count = common(&counts, &mut faults);
        if !faults.is_empty() {
            return Err(DataError::Faults { file: arrays.file.clone(), what: what.to_string(), faults });
        }
        let unread = arrays.names().filter(|name| !counts.iter().any(|(read, _)| read == name)).map(String::from).collect();
        let (targets, taken) = found.map_or((None, Vec::new()), |found| (Some(found.targets), found.taken));
        Ok(Dataset { inputs: data, samples: count, targets, taken, unread })
    }

    /// The targets in a file whose targets are not needed; `None` where there are none that fit.
    pub fn targets_beside(arrays: &Arrays, inputs: &[InputShape], outputs: &[OutputShape]) -> Option<Targets> {
        let (mut counts, mut faults) = (Vec::new(), Vec::new());
        let from_train = !arrays.contains("x") && arrays.contains("x_train");
        let found = find_targets(arrays, inputs, outputs, from_train, &mut counts, &mut faults);
        found.filter(|_| faults.is_empty()).map(|found| found.targets)
    }

    /// The inputs as slices.
    pub fn rows(&self) -> Vec<&[f32]> {
        self.inputs.iter().map(|x| x.as_slice()).collect()
    }

    /// The samples `indices`, in that order.
    pub fn select(&self, indices: &[usize]) -> Dataset {
        let pick = |values: &Arc<Vec<f32>>| {
            let len = values.len() / self.samples.max(1);
            Arc::new(indices.iter().flat_map(|&i| &values[i * len..(i + 1) * len]).copied().collect())
        };
        Dataset {
            inputs: self.inputs.iter().map(pick).collect(),
            samples: indices.len(),
            targets: self.targets.as_ref().map(|t| t.select(indices)),
            taken: self.taken.clone(),
            unread: self.unread.clone(),
        }
    }
}

/// `from_train`: the samples are those of `x_train`.
fn find_targets(
    arrays: &Arrays,
    inputs: &[InputShape],
    outputs: &[OutputShape],
    from_train: bool,
    counts: &mut Vec<(String, usize)>,
    faults: &mut Vec<String>,
) -> Option<targets::Found> {
    // an input that is called `y` is no target
    let taken: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
    let ys = if from_train { ["y_train", "y"] } else { ["y", "y_train"] };
    targets::find_targets(arrays, outputs, &targets::Names { ys, taken: &taken }, counts, faults)
}

/// The first array that exists; `Some(None)` where it is not usable, which is noted.
pub(super) fn find<'n>(arrays: &Arrays, names: impl Iterator<Item = &'n str>, faults: &mut Vec<String>) -> Option<Option<Array>> {
    let found = names.into_iter().find_map(|name| arrays.get(name))?;
    Some(found.map_err(|error| faults.push(error.to_string())).ok())
}

/// The names of the arrays for the inputs; every one that is missing is a fault.
pub(super) fn locate<'a>(arrays: &'a Arrays, inputs: &'a [InputShape], faults: &mut Vec<String>) -> Vec<Option<&'a str>> {
    let of = |input: &'a InputShape| {
        let name = input.name.as_str();
        let fallbacks: &[&str] = if inputs.len() == 1 { &["x", "x_train"] } else { &[] };
        let found = std::iter::once(name).chain(fallbacks.iter().copied()).find(|n| arrays.contains(n));
        if found.is_none() {
            let names: Vec<&str> = arrays.names().collect();
            let wanted = if inputs.len() == 1 {
                if name == "x" { "`x`".into() } else { format!("`x` (or `{name}`)") }
            } else {
                format!("`{name}`")
            };
            faults.push(format!("there is no array {wanted} for the model's input; the file has {}", names.join(", ")));
        }
        found
    };
    inputs.iter().map(of).collect()
}

/// The number of samples that all arrays have.
pub(super) fn common(counts: &[(String, usize)], faults: &mut Vec<String>) -> usize {
    let count = counts.first().map_or(0, |(_, n)| *n);
    if counts.iter().any(|(_, n)| *n != count) {
        let list: Vec<String> = counts.iter().map(|(name, n)| format!("`{name}` has {n}")).collect();
        faults.push(format!("the arrays differ in their number of samples: {}", list.join(", ")));
    }
    count
}

/// The samples of an input array and their values, channels last.
pub(super) fn read(arrays: &Arrays, name: &str, input: &InputShape, faults: &mut Vec<String>) -> Option<(usize, Vec<f32>)> {
    let array = find(arrays, std::iter::once(name), faults)??;
    let as_file = fits(name, &array.shape, input, faults)?;
    let count = array.shape.first().copied().unwrap_or(0);
    let values = array.into_f32();
    if let Some(what) = first_bad(&values, 0) {
        faults.push(format!("array `{name}`: {what}"));
        return None;
    }
    let values = match &input.order {
        Some(order) if as_file => to_graph(&values, order),
        _ => values,
    };
    Some((count, values))
}

/// Whether an array of this shape holds samples of `input`: in the layout of the model file (true) or of the graph.
pub(super) fn fits(name: &str, shape: &[usize], input: &InputShape, faults: &mut Vec<String>) -> Option<bool> {
    let in_file = input.in_file();
    let len: usize = in_file.iter().product();
    let Some((&count, sample)) = shape.split_first() else {
        faults.push(format!("array `{name}` is a single number; its first axis must be the samples"));
        return None;
    };
    let as_file = sample == in_file || sample == [len];
    if !as_file && sample != input.shape {
        let flat = if in_file.len() > 1 { format!(" or [N, {len}]") } else { String::new() };
        let wanted: String = in_file.iter().map(|d| format!(", {d}")).collect();
        faults.push(format!("array `{name}` has shape {shape:?}, but the model takes [N{wanted}]{flat}"));
        return None;
    }
    if count == 0 {
        faults.push(format!("array `{name}` has no samples"));
        return None;
    }
    Some(as_file)
}

/// Describes the NaN and infinite values, if any; the first value has the flat index `from`.
pub(super) fn first_bad(values: &[f32], from: usize) -> Option<String> {
    let index = values.iter().position(|v| !v.is_finite())?;
    let count = values.iter().filter(|v| !v.is_finite()).count();
    Some(format!("{count} value(s) are NaN or infinite in float32, the first at flat index {}", from + index))
}
