//! What an output is trained towards: the loss of each, and which of its targets.

use crate::train::error::TrainError;
/// Kind of task loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossKind {
    /// Softmax cross-entropy on logits; integer labels, or `values`: probabilities of the classes,
    /// which add up to 1.
    CrossEntropy,
    /// Mean squared error to `values`.
    Mse,
    /// Mean absolute error to `values`; the gradient is a sign, 0 where output and target are
    /// equal.
    Mae,
    /// Binary cross-entropy on logits; `values` in [0, 1], or labels 0/1 with one output.
    Bce,
    /// `Σ y·values`, summed over samples: passes `values` in as the upstream gradient.
    Upstream,
}

/// A run of the model's output columns with its loss. The task loss is the sum over the heads.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// Columns.
    pub outputs: usize,
    pub kind: LossKind,
    /// T of the distillation, see [`super::TaskLoss::temperature`].
    pub temperature: f32,
    /// Whether its targets are labels: one per sample, in the order of the labelled heads.
    pub labelled: bool,
    /// Weight of a sample by the class of its label (0 and 1 of a single column), for labels and
    /// teacher alike: the head's loss is `Σ w·l / batch`, as Keras weights samples. Empty: all 1.
    pub class_weights: Vec<f32>,
}

impl Head {
    /// Classes that its labels may name: a single column has 0 and 1.
    pub fn classes(&self) -> usize {
        self.outputs.max(2)
    }

    /// What is wrong with the head by itself.
    fn fault(&self) -> Option<String> {
        let weights = &self.class_weights;
        let labels = match self.kind {
            // without labels the teacher alone counts
            LossKind::CrossEntropy => true,
            LossKind::Bce => !self.labelled || self.outputs == 1,
            LossKind::Mse | LossKind::Mae | LossKind::Upstream => !self.labelled,
        };
        if self.outputs == 0 {
            Some("no columns".into())
        } else if !labels {
            Some(format!("{:?} does not go with its targets", self.kind))
        } else if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            Some(format!("temperature {} is not positive", self.temperature))
        } else if !weights.is_empty() && (!self.labelled || weights.len() != self.classes()) {
            Some(format!("{} class weights for {} classes", weights.len(), if self.labelled { self.classes() } else { 0 }))
        } else if weights.iter().any(|w| !(w.is_finite() && *w > 0.0)) {
            Some("a class weight is not positive".into())
        } else {
            None
        }
    }
}

/// Checks heads of a model with `outputs` columns in all, and their labels, `samples` rows of one
/// per labelled head.
///
/// # Errors
/// [`TrainError::Data`] naming head or sample.
pub fn check(heads: &[Head], outputs: usize, labels: Option<&[u32]>, samples: usize) -> Result<(), TrainError> {
    let fail = |what: String| Err(TrainError::Data(what));
    if let Some((at, what)) = heads.iter().enumerate().find_map(|(at, h)| Some((at, h.fault()?))) {
        return fail(format!("output {at}: {what}"));
    }
    let columns: usize = heads.iter().map(|h| h.outputs).sum();
    if columns != outputs {
        return fail(format!("losses for {columns} output columns of {outputs}"));
    }
    let labelled: Vec<&Head> = heads.iter().filter(|h| h.labelled).collect();
    let labels = labels.unwrap_or(&[]);
    if labels.len() != samples * labelled.len() {
        return fail(format!("{} labels for {samples} samples of {} labelled outputs", labels.len(), labelled.len()));
    }
    for (at, (&label, head)) in labels.iter().zip(labelled.iter().cycle()).enumerate() {
        if label as usize >= head.classes() || (head.kind == LossKind::CrossEntropy && label as usize >= head.outputs) {
            return fail(format!("label {label} of sample {} is not below {}", at / labelled.len(), head.outputs));
        }
    }
    Ok(())
}
