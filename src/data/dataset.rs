//! Samples in the form the graph takes them, checked against the model.

use super::arrays::Arrays;
use super::locate::{InputShape, common, locate, read};
use super::{DataError, OutputShape, Taken, Targets, targets};
use std::sync::Arc;

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
    /// An input takes the array of its name; a single input also takes `x` or else `x_train`.
    /// Samples are in the layout of the model file, flat or not, or else in the graph's. Targets
    /// are `y` or else `y_train` (the other way round where the input is `x_train`), or the array
    /// of the name of the output, of several outputs the arrays of all their names; in the forms
    /// that [`super::targets`] documents. No `outputs`: no targets are read. `what` names the role
    /// of the data in messages ("calibration").
    ///
    /// # Errors
    /// [`DataError::Faults`] with all faults at once: missing arrays, shapes, NaN or infinite
    /// values, labels out of range, different numbers of samples.
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
    // an input that is called `y` is not a target
    let taken: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
    let ys = if from_train { ["y_train", "y"] } else { ["y", "y_train"] };
    targets::find_targets(arrays, outputs, &targets::Names { ys, taken: &taken }, counts, faults)
}
