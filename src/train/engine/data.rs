//! Training data as the engine sees it: row-major samples with labels, target values and teacher
//! outputs.

use super::head::{self, Head};
use crate::train::error::TrainError;

/// Borrowed training data, checked once.
#[derive(Clone, Copy, Debug)]
pub struct TrainSet<'a> {
    pub x: &'a [f32],
    pub labels: Option<&'a [u32]>,
    pub values: Option<&'a [f32]>,
    pub teacher: Option<&'a [f32]>,
    /// Empty: all outputs have the one loss asked for.
    pub heads: &'a [Head],
    pub(super) inputs: usize,
    pub outputs: usize,
    pub(super) samples: usize,
}

impl<'a> TrainSet<'a> {
    /// `x`: samples × `inputs`; `labels`: one class per sample, `< outputs` (0 or 1 with one
    /// output); `values` and `teacher`: samples × `outputs`.
    ///
    /// # Errors
    /// [`TrainError::Data`] for lengths that do not fit, a label out of range or a number that is
    /// not finite.
    pub fn new(
        inputs: usize,
        outputs: usize,
        x: &'a [f32],
        labels: Option<&'a [u32]>,
        values: Option<&'a [f32]>,
        teacher: Option<&'a [f32]>,
    ) -> Result<TrainSet<'a>, TrainError> {
        let fail = |what: String| Err(TrainError::Data(what));
        if inputs == 0 || outputs == 0 || x.is_empty() || !x.len().is_multiple_of(inputs) {
            return fail(format!("{} input values are not a positive number of samples of {inputs}", x.len()));
        }
        let samples = x.len() / inputs;
        for (what, array) in [("target values", values), ("teacher outputs", teacher)] {
            if let Some(array) = array {
                if array.len() != samples * outputs {
                    return fail(format!("{} {what} for {samples} samples of {outputs} outputs", array.len()));
                }
                if let Some(at) = array.iter().position(|v| !v.is_finite()) {
                    return fail(format!("{what}: sample {} is not finite", at / outputs));
                }
            }
        }
        if let Some(at) = x.iter().position(|v| !v.is_finite()) {
            return fail(format!("input of sample {} is not finite", at / inputs));
        }
        if let Some(labels) = labels {
            if labels.len() != samples {
                return fail(format!("{} labels for {samples} samples", labels.len()));
            }
            let classes = outputs.max(2);
            if let Some(at) = labels.iter().position(|&l| l as usize >= classes) {
                return fail(format!("label {} of sample {at} is not below {classes}", labels[at]));
            }
        }
        Ok(TrainSet { x, labels, values, teacher, heads: &[], inputs, outputs, samples })
    }

    /// Gives every output its own loss. `labels`: samples × labelled heads; the columns of labelled
    /// heads in the values are not read.
    ///
    /// # Errors
    /// [`TrainError::Data`] for heads or labels that do not fit.
    pub fn with_heads(self, heads: &'a [Head], labels: Option<&'a [u32]>) -> Result<TrainSet<'a>, TrainError> {
        head::check(heads, self.outputs, labels, self.samples)?;
        Ok(TrainSet { heads, labels, ..self })
    }

    /// Labels per sample.
    pub(super) fn labels_per_sample(&self) -> usize {
        if self.heads.is_empty() { 1 } else { self.heads.iter().filter(|h| h.labelled).count() }
    }

    /// Number of samples.
    pub fn samples(&self) -> usize {
        self.samples
    }
}
