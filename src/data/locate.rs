//! Which array of a file belongs to which input, and whether it fits.

use super::arrays::{Array, Arrays};
use super::order::to_graph;
/// What a graph input takes.
#[derive(Clone, Debug, PartialEq)]
pub struct InputShape {
    pub name: String,
    /// Of one sample, channels last.
    pub shape: Vec<usize>,
    /// Element `j` of the sample is element `order[j]` of a sample in the layout of the model file,
    /// which has the channels first.
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

/// Whether an array of this shape holds samples of `input`: in the layout of the model file (true)
/// or of the graph.
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
