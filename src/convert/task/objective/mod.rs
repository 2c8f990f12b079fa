//! What training minimises besides EBOPs: the loss of every output, its targets, and what a sample
//! weighs.

mod class_weights;
mod columns;
mod spread;

use super::ends::follows_classes;
use super::logits::Logits;
use super::metric::temperature;
use crate::convert::config::JobConfig;
use crate::convert::config::training::LossName;
use crate::data::{Ends, OutputShape, OutputTargets, Targets};
use crate::train::{Head, LossKind, TrainError, TrainSet};
use class_weights::weights_of;
use columns::{columns, sides};
pub use spread::{spread, squared_error};
use std::borrow::Cow;

/// The task of a job.
#[derive(Clone, Debug)]
pub struct Objective<'a> {
    /// Of all outputs alike, where there are no heads.
    pub kind: LossKind,
    /// One per output of several with labels, or of one with class weights.
    heads: Vec<Head>,
    labels: Option<Cow<'a, [u32]>>,
    values: Option<Cow<'a, [f32]>>,
    /// Outputs that are trained on what is in front of their Sigmoid.
    pub logits: Logits,
}

impl<'a> Objective<'a> {
    /// The task that configuration and training targets describe.
    ///
    /// # Errors
    /// Every fault, one line each.
    pub fn new(config: &JobConfig, outputs: &[OutputShape], targets: Option<&'a Targets>) -> Result<Objective<'a>, Vec<String>> {
        let mut faults = Vec::new();
        let logits = Logits::default();
        let mut objective = Objective { kind: LossKind::Mse, heads: Vec::new(), labels: None, values: None, logits };
        match targets {
            None => objective.follow_source(config, outputs, &mut faults),
            Some(Targets::Outputs(parts)) => objective.learn_parts(config, outputs, parts, &mut faults),
            Some(targets) => objective.learn_one(config, outputs, targets, &mut faults),
        }
        let kinds: Vec<LossKind> = objective.kinds(outputs.len());
        objective.logits = Logits::where_(outputs, |at| kinds.get(at) == Some(&LossKind::Bce));
        if faults.is_empty() { Ok(objective) } else { Err(faults) }
    }

    /// Without targets: the source's outputs.
    fn follow_source(&mut self, config: &JobConfig, outputs: &[OutputShape], faults: &mut Vec<String>) {
        let usual = if follows_classes(config, outputs).0 { LossKind::CrossEntropy } else { LossKind::Mse };
        self.kind = config.loss.map_or(usual, kind);
        if self.kind == LossKind::Bce {
            faults.extend(outputs.iter().filter(|o| o.ends == Ends::Bounded).map(no_logits));
        }
        if self.kind == LossKind::CrossEntropy && outputs.len() > 1 {
            // each follows the source by itself; a single value as a probability
            let of = |o: &OutputShape| if o.len > 1 { LossKind::CrossEntropy } else { LossKind::Bce };
            self.heads.extend(outputs.iter().map(|o| unlabelled(o, of(o))));
        }
        if config.class_weights.is_some() {
            faults.push("config: class_weights: they need training data with class labels".into());
        }
    }

    /// Targets of each output by itself.
    fn learn_parts(&mut self, config: &JobConfig, outputs: &[OutputShape], parts: &[OutputTargets], faults: &mut Vec<String>) {
        let mut used = false;
        for (part, shape) in parts.iter().zip(outputs) {
            let loss = config.loss.filter(|&l| fits(kind(l), &part.targets, shape));
            used |= loss.is_some();
            let kind = loss.map_or(usual(&part.targets, part.width), kind);
            self.heads.push(head(config, shape, kind, &part.targets, faults));
        }
        if let (Some(loss), false) = (config.loss, used) {
            faults.push(format!("config: loss: {} fits no output's targets", loss.name()));
        }
        let (labels, values) = columns(parts.iter().map(|p| (p.width, &p.targets)));
        (self.labels, self.values) = (Some(Cow::Owned(labels)), values.map(Cow::Owned));
    }

    /// One array of targets for all outputs.
    fn learn_one(&mut self, config: &JobConfig, outputs: &[OutputShape], targets: &'a Targets, faults: &mut Vec<String>) {
        let width: usize = outputs.iter().map(|o| o.len).sum();
        // floats of several outputs in one array have one loss
        let several = OutputShape::new("", width);
        let shape = if let [one] = outputs { one } else { &several };
        self.kind = config.loss.map_or(usual(targets, width), kind);
        if !fits(self.kind, targets, shape) {
            let needs = needs(self.kind, shape);
            faults.push(format!("config: loss: {} {needs}", config.loss.map_or("the default", LossName::name)));
        }
        match targets {
            Targets::Values { values, .. } | Targets::Shares { values, .. } => {
                self.values = Some(Cow::Borrowed(values));
            }
            Targets::Sides { values, logit, .. } => self.values = Some(sides(values, *logit)),
            Targets::Labels(labels) => self.labels = Some(Cow::Borrowed(labels)),
            Targets::Outputs(_) => {}
        }
        match (&config.class_weights, targets, outputs) {
            (None, ..) => {}
            (Some(_), Targets::Labels(_), [shape]) => {
                self.heads.push(head(config, shape, self.kind, targets, faults));
            }
            _ => {
                let kind = targets.kind();
                faults.push(format!("config: class_weights: they need class labels, the training targets are {kind}"));
            }
        }
    }

    /// The loss of each of `outputs` outputs.
    pub fn kinds(&self, outputs: usize) -> Vec<LossKind> {
        if self.heads.is_empty() { vec![self.kind; outputs] } else { self.heads.iter().map(|h| h.kind).collect() }
    }

    /// Whether there are only the source model's outputs to follow.
    pub fn unlabelled(&self) -> bool {
        self.labels.is_none() && self.values.is_none()
    }

    /// The samples `x` of `inputs` values with the targets and the source's outputs, `width` per
    /// sample.
    ///
    /// # Errors
    /// See [`TrainSet::new`] and [`TrainSet::with_heads`].
    pub fn set<'s>(
        &'s self,
        (inputs, x): (usize, &'s [f32]),
        (width, teacher): (usize, &'s [f32]),
    ) -> Result<TrainSet<'s>, TrainError> {
        let labels = self.labels.as_deref();
        let one = labels.filter(|_| self.heads.is_empty());
        let set = TrainSet::new(inputs, width, x, one, self.values.as_deref(), Some(teacher))?;
        if self.heads.is_empty() { Ok(set) } else { set.with_heads(&self.heads, labels) }
    }

    /// Sharpens the source's logits of each output where they hardly differ; `logits`: samples ×
    /// all outputs.
    pub fn sharpen(&mut self, logits: &[f32], width: usize) {
        let mut first = 0;
        for head in &mut self.heads {
            let last = first + head.outputs;
            let own: Vec<f32> =
                logits.chunks_exact(width.max(1)).flat_map(|row| row.get(first..last).unwrap_or(&[])).copied().collect();
            head.temperature = temperature(&own, head.outputs) as f32;
            first = last;
        }
    }

    /// Magnitude of the task loss on outputs like the source's, `samples × width`: 1 for a cross
    /// entropy, the spread for an error.
    pub fn scale(&self, outputs: &[f32], width: usize) -> f64 {
        if self.heads.is_empty() {
            return spread(self.kind, outputs, width, 0..width);
        }
        let mut first = 0;
        let mut sum = 0.0;
        for head in &self.heads {
            sum += spread(head.kind, outputs, width, first..first + head.outputs);
            first += head.outputs;
        }
        sum
    }
}

fn kind(name: LossName) -> LossKind {
    match name {
        LossName::CrossEntropy => LossKind::CrossEntropy,
        LossName::Mse => LossKind::Mse,
        LossName::Mae => LossKind::Mae,
        LossName::Bce => LossKind::Bce,
    }
}

/// The loss that nobody asked for: by the targets and the output's values per sample.
fn usual(targets: &Targets, width: usize) -> LossKind {
    match targets {
        Targets::Labels(_) if width == 1 => LossKind::Bce,
        Targets::Labels(_) | Targets::Shares { .. } => LossKind::CrossEntropy,
        Targets::Sides { logit: true, .. } => LossKind::Bce,
        Targets::Sides { logit: false, .. } | Targets::Values { .. } | Targets::Outputs(_) => LossKind::Mse,
    }
}

fn fits(kind: LossKind, targets: &Targets, shape: &OutputShape) -> bool {
    match (kind, targets) {
        (LossKind::CrossEntropy, Targets::Labels(_)) => shape.len > 1,
        (LossKind::CrossEntropy, Targets::Shares { .. }) => true,
        (LossKind::CrossEntropy, _) => false,
        (LossKind::Bce, Targets::Labels(_)) => shape.len == 1,
        (LossKind::Bce, Targets::Sides { logit, .. }) => *logit,
        (LossKind::Bce, Targets::Values { values, .. }) => {
            shape.ends != Ends::Bounded && values.iter().all(|v| (0.0..=1.0).contains(v))
        }
        (LossKind::Bce, Targets::Shares { .. } | Targets::Outputs(_)) => false,
        (LossKind::Mse | LossKind::Mae | LossKind::Upstream, Targets::Values { .. }) => true,
        (LossKind::Mse | LossKind::Mae | LossKind::Upstream, Targets::Sides { logit, .. }) => !logit,
        (LossKind::Mse | LossKind::Mae | LossKind::Upstream, _) => false,
    }
}

/// What a loss needs of targets and output, for those that it does not fit.
fn needs(kind: LossKind, shape: &OutputShape) -> &'static str {
    match kind {
        LossKind::CrossEntropy => {
            "needs the class of each sample (integers or one-hot rows) or rows of probabilities, and an output per class"
        }
        LossKind::Bce if shape.ends == Ends::Bounded => "needs logits or a Sigmoid at the end of the model",
        LossKind::Bce => {
            "needs `y` from 0 to 1, as many as the output has values, or an output of one value with the classes 0 and 1"
        }
        LossKind::Mse | LossKind::Mae | LossKind::Upstream => "needs float `y`, not classes",
    }
}

fn no_logits(output: &OutputShape) -> String {
    format!(
        "config: loss: bce: output `{}` has bounds and is not a logit: take mse, or end the model in Sigmoid or its logits",
        output.name
    )
}

fn head(config: &JobConfig, shape: &OutputShape, kind: LossKind, targets: &Targets, faults: &mut Vec<String>) -> Head {
    let mut class_weights = Vec::new();
    if let (Some(weights), Targets::Labels(labels)) = (&config.class_weights, targets) {
        match weights_of(weights, labels, shape.len.max(2)) {
            Ok(weights) => class_weights = weights,
            Err(what) => faults.push(format!("config: class_weights: output `{}`: {what}", shape.name)),
        }
    }
    Head { labelled: matches!(targets, Targets::Labels(_)), class_weights, ..unlabelled(shape, kind) }
}

fn unlabelled(shape: &OutputShape, kind: LossKind) -> Head {
    Head { outputs: shape.len, kind, temperature: 1.0, labelled: false, class_weights: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::config::training::ClassWeights;

    #[test]
    fn outputs_have_the_loss_that_fits_their_targets() {
        let part = |width, targets| OutputTargets { width, targets };
        let targets = Targets::Outputs(vec![
            part(3, Targets::Labels(vec![2, 0])),
            part(2, Targets::Values { width: 2, values: vec![0.1, 0.2, 0.3, 0.4] }),
            part(1, Targets::Labels(vec![1, 0])),
        ]);
        let shapes = [OutputShape::new("a", 3), OutputShape::new("b", 2), OutputShape::new("c", 1)];
        let kinds = |loss| {
            let config = JobConfig { loss, ..JobConfig::default() };
            Objective::new(&config, &shapes, Some(&targets)).map(|o| o.heads.iter().map(|h| h.kind).collect::<Vec<_>>())
        };
        let usual = vec![LossKind::CrossEntropy, LossKind::Mse, LossKind::Bce];
        assert_eq!(kinds(None).unwrap(), usual);
        assert_eq!(kinds(Some(LossName::Mae)).unwrap(), [LossKind::CrossEntropy, LossKind::Mae, LossKind::Bce]);
        assert_eq!(kinds(Some(LossName::CrossEntropy)).unwrap(), usual);
        let config = JobConfig { class_weights: Some(ClassWeights::Given(vec![1.0; 3])), ..JobConfig::default() };
        let faults = Objective::new(&config, &shapes, Some(&targets)).unwrap_err();
        assert!(faults.len() == 1 && faults[0].contains("`c`") && faults[0].contains("2 classes"), "{faults:?}");
        let objective = Objective::new(&JobConfig::default(), &shapes, Some(&targets)).unwrap();
        assert_eq!(objective.labels.as_deref(), Some(&[2, 1, 0, 0][..]));
        let values = objective.values.as_deref().unwrap();
        assert_eq!(values, [0.0, 0.0, 0.0, 0.1, 0.2, 0.0, 0.0, 0.0, 0.0, 0.3, 0.4, 0.0]);
    }

    #[test]
    fn faults_name_the_field() {
        let shape = [OutputShape::new("a", 3)];
        let labels = Targets::Labels(vec![0, 1]);
        let new = |json: &str, targets| {
            Objective::new(&JobConfig::from_json(json.as_bytes()).unwrap(), &shape, targets).map(|_| ()).unwrap_err()
        };
        let faults = new(r#"{"loss": "mae", "class_weights": [1, 2]}"#, Some(&labels));
        assert!(faults[0].contains("loss: mae needs float") && faults[1].contains("2 numbers for 3 classes"), "{faults:?}");
        assert!(new(r#"{"class_weights": "balanced"}"#, None)[0].contains("class_weights"));
        let values = Targets::Values { width: 3, values: vec![0.0; 6] };
        let faults = new(r#"{"class_weights": "balanced", "loss": "cross_entropy"}"#, Some(&values));
        assert_eq!(faults.len(), 2, "{faults:?}");
    }
}
