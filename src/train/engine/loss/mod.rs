//! Task losses and their gradients at the output, one block of rows at a time.
//!
//! With weight α on the teacher: `(1−α)·L(labels) + α·L(teacher)`. Cross-entropy: mean over
//! samples, distillation `T²·CE(softmax(t/T), softmax(z/T))`. MSE, MAE and BCE (on logits; teacher
//! = sigmoid of its logits): mean over samples and outputs. A model of several outputs has the sum
//! of their losses; a sample may weigh as its class says ([`Head`]).

mod cross_entropy;
mod elementwise;

use super::data::TrainSet;
use super::head::LossKind;
use crate::simd::{Has, Isa, Lane, Vectorized, dispatch};
pub use crate::train::engine::head::Head;
use crate::train::error::TrainError;

/// The task part of the loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TaskLoss {
    /// Of all outputs alike; of a [`TrainSet`] with heads, each has its own.
    pub kind: LossKind,
    /// α in [0, 1]: 0 uses labels or values only, 1 the teacher only.
    pub teacher_weight: f32,
    /// T > 0 of the distillation, cross-entropy only: logits are divided by it; above 1 the term is
    /// multiplied by T². Heads have their own.
    pub temperature: f32,
}

impl TaskLoss {
    /// A loss without teacher.
    pub fn new(kind: LossKind) -> TaskLoss {
        TaskLoss { kind, teacher_weight: 0.0, temperature: 1.0 }
    }

    /// Whether `set` holds what the loss needs.
    ///
    /// # Errors
    /// [`TrainError::Option`] for α or T out of range, [`TrainError::Data`] for missing targets.
    pub fn check(&self, set: &TrainSet) -> Result<(), TrainError> {
        if !(0.0..=1.0).contains(&self.teacher_weight) {
            return Err(TrainError::Option {
                option: "teacher_weight",
                what: format!("{} is not in [0, 1]", self.teacher_weight),
            });
        }
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            return Err(TrainError::Option { option: "temperature", what: format!("{} is not positive", self.temperature) });
        }
        let missing = |kind: LossKind, what: &str| Err(TrainError::Data(format!("the {kind:?} loss needs {what}")));
        if self.teacher_weight > 0.0 && set.teacher.is_none() {
            return missing(self.kind, "teacher outputs");
        }
        if !set.heads.is_empty() {
            // their labels were checked with them
            let lacks = |h: &&Head| !h.labelled && set.values.is_none();
            return match set.heads.iter().find(lacks) {
                Some(head) if self.teacher_weight < 1.0 => missing(head.kind, "targets for each output"),
                _ => Ok(()),
            };
        }
        if self.teacher_weight < 1.0 {
            match self.kind {
                LossKind::CrossEntropy if set.labels.is_none() && set.values.is_none() => {
                    return missing(self.kind, "labels, or probabilities of the classes");
                }
                LossKind::Mse | LossKind::Mae | LossKind::Upstream if set.values.is_none() => {
                    return missing(self.kind, "target values");
                }
                LossKind::Bce if set.values.is_none() && !(set.outputs == 1 && set.labels.is_some()) => {
                    return missing(self.kind, "target values, or labels 0/1 with one output");
                }
                _ => {}
            }
        }
        if let (LossKind::CrossEntropy, Some(labels)) = (self.kind, set.labels) {
            // TrainSet allows label 1 with one output, for BCE
            if set.outputs == 1 && labels.contains(&1) {
                return Err(TrainError::Data("cross-entropy with one output cannot have a label 1; use BCE".into()));
            }
        }
        Ok(())
    }
}

/// The targets of some rows, compact.
#[derive(Clone, Default)]
pub struct Targets {
    /// rows × labelled outputs (one without heads), or empty.
    pub labels: Vec<u32>,
    /// rows × outputs, or empty.
    pub values: Vec<f32>,
    pub teacher: Vec<f32>,
}

/// One block: `z`, `dz` rows × `stride`, `outputs` columns used; `first`: index of the block's
/// first row in `targets`.
pub struct LossBlock<'a> {
    pub loss: TaskLoss,
    /// Empty: all columns are one output.
    pub heads: &'a [Head],
    pub z: &'a [f32],
    pub dz: &'a mut [f32],
    pub stride: usize,
    pub outputs: usize,
    pub rows: usize,
    pub targets: &'a Targets,
    pub first: usize,
    /// Rows of the whole batch.
    pub batch: usize,
    /// Two padded rows.
    pub scratch: &'a mut [f32],
}

/// Sum of the samples' losses divided by the batch, and how many predictions were right, over all
/// labelled outputs.
#[derive(Clone, Copy, Debug, Default)]
pub struct LossSum {
    pub loss: f64,
    pub correct: u32,
}

/// Columns with one loss.
#[derive(Clone, Copy)]
struct Part<'a> {
    kind: LossKind,
    temperature: f32,
    column: usize,
    outputs: usize,
    class_weights: &'a [f32],
    /// Position of its label among a row's.
    label: usize,
    /// Labels of a row.
    labels: usize,
    labelled: bool,
}

impl Part<'_> {
    /// The label of row `row`, if there is one.
    #[inline(always)]
    fn label(&self, targets: &Targets, row: usize) -> Option<usize> {
        if self.labelled { targets.labels.get(row * self.labels + self.label).map(|&l| l as usize) } else { None }
    }

    /// Probabilities of the classes in row `row` of `outputs` columns, where there are no labels
    /// but values.
    #[inline(always)]
    fn shares<'t>(&self, targets: &'t Targets, row: usize, outputs: usize) -> Option<&'t [f32]> {
        targets.values.get(row * outputs + self.column..)?.get(..self.outputs)
    }

    /// What a sample with `label` counts.
    #[inline(always)]
    fn weight(&self, label: Option<usize>) -> f32 {
        label.and_then(|l| self.class_weights.get(l)).copied().unwrap_or(1.0)
    }
}

impl LossBlock<'_> {
    /// Loss of the block; writes `dz`, padding included.
    pub fn compute(self, isa: Isa) -> LossSum {
        dispatch(isa, self)
    }
}

impl Vectorized for LossBlock<'_> {
    type Out = LossSum;
    #[inline(always)]
    fn run<L: Lane>(mut self, _: Has<L>) -> LossSum {
        let heads = self.heads;
        let TaskLoss { kind, temperature, .. } = self.loss;
        let all =
            Part { kind, temperature, column: 0, outputs: self.outputs, class_weights: &[], label: 0, labels: 1, labelled: true };
        let labels = heads.iter().filter(|h| h.labelled).count();
        self.dz[..self.rows * self.stride].fill(0.0);
        let (mut column, mut label) = (0, 0);
        let mut sum = LossSum::default();
        for n in 0..heads.len().max(1) {
            let part = heads.get(n).map_or(all, |h| {
                let (kind, temperature, outputs, labelled) = (h.kind, h.temperature, h.outputs, h.labelled);
                Part { kind, temperature, column, outputs, class_weights: &h.class_weights, label, labels, labelled }
            });
            column += part.outputs;
            label += part.labelled as usize;
            let of = match part.kind {
                LossKind::CrossEntropy => self.cross_entropy(part),
                _ => self.elementwise(part),
            };
            sum.loss += of.loss;
            sum.correct += of.correct;
        }
        sum
    }
}
