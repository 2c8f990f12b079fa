//! Samples of a model's inputs that stay in their file and are read block by block, for passes over
//! more data than should be in memory.

use super::DataError;
use super::arrays::{Arrays, Stored};
use super::locate::{InputShape, common, first_bad, fits, locate, read};
use super::order::to_graph;
use std::borrow::Cow;

/// See the module. Arrays that cannot be read block by block (compressed, column by column) are in
/// memory.
#[derive(Clone, Debug)]
pub struct Samples {
    file: String,
    what: String,
    inputs: Vec<Input>,
    pub samples: usize,
}

#[derive(Clone, Debug)]
struct Input {
    array: String,
    /// Values per sample.
    len: usize,
    values: Values,
}

#[derive(Clone, Debug)]
enum Values {
    Memory(Vec<f32>),
    File { stored: Stored, order: Option<Vec<usize>> },
}

impl Samples {
    /// Finds the arrays of the inputs, as [`super::Dataset::from_arrays`] does.
    ///
    /// # Errors
    /// [`DataError::Faults`]; values in the file are checked as they are read.
    pub fn from_arrays(arrays: &Arrays, inputs: &[InputShape], what: &str) -> Result<Samples, DataError> {
        let (mut faults, mut counts, mut found) = (Vec::new(), Vec::new(), Vec::new());
        for (name, input) in locate(arrays, inputs, &mut faults).into_iter().zip(inputs) {
            let Some(name) = name else { continue };
            let values = match (arrays.stored(name), arrays.shape(name)) {
                (Some(stored), Some(Ok(shape))) => fits(name, shape, input, &mut faults).map(|as_file| {
                    let order = input.order.clone().filter(|_| as_file);
                    (shape[0], Values::File { stored, order })
                }),
                _ => read(arrays, name, input, &mut faults).map(|(count, values)| (count, Values::Memory(values))),
            };
            if let Some((count, values)) = values {
                counts.push((name.to_string(), count));
                found.push(Input { array: name.to_string(), len: input.shape.iter().product(), values });
            }
        }
        let samples = common(&counts, &mut faults);
        let (file, what) = (arrays.file.clone(), what.to_string());
        if faults.is_empty() {
            Ok(Samples { file, what, inputs: found, samples })
        } else {
            Err(DataError::Faults { file, what, faults })
        }
    }

    /// `n` samples from `first` on, one slice `[n][elements]` per graph input, channels last.
    ///
    /// # Errors
    /// [`DataError::Faults`] for NaN and infinite values, and files that cannot be read.
    pub fn rows(&mut self, first: usize, n: usize) -> Result<Vec<Cow<'_, [f32]>>, DataError> {
        let (mut faults, mut rows) = (Vec::new(), Vec::new());
        for Input { array, len, values } in &mut self.inputs {
            match values {
                Values::Memory(values) => rows.push(Cow::Borrowed(&values[first * *len..(first + n) * *len])),
                Values::File { stored, order } => {
                    let read = stored.read(first * *len, n * *len).and_then(|v| first_bad(&v, first * *len).map_or(Ok(v), Err));
                    match read {
                        Ok(values) => rows.push(Cow::Owned(match order {
                            Some(order) => to_graph(&values, order),
                            None => values,
                        })),
                        Err(e) => faults.push(format!("array `{array}`: {e}")),
                    }
                }
            }
        }
        if faults.is_empty() {
            Ok(rows)
        } else {
            Err(DataError::Faults { file: self.file.clone(), what: self.what.clone(), faults })
        }
    }
}
