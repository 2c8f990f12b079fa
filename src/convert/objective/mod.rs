//! What training minimises besides EBOPs: the loss of every output, its targets, and what a sample weighs.

mod class_weights;
mod spread;

use super::config::{JobConfig, LossName};
use super::metric::temperature;
use crate::data::{OutputShape, Targets};
use crate::train::{Head, LossKind, TrainError, TrainSet};
use class_weights::weights_of;
pub(super) use spread::spread;
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
}

impl<'a> Objective<'a> {
    /// The task that configuration and training targets describe.
    ///
    /// # Errors
    /// Every fault, one line each.
    pub fn new(config: &JobConfig, outputs: &[OutputShape], targets: Option<&'a Targets>) -> Result<Objective<'a>, Vec<String>> {
        let width: usize = outputs.iter().map(|o| o.len).sum();
        let mut faults = Vec::new();
        let mut objective = Objective { kind: LossKind::Mse, heads: Vec::new(), labels: None, values: None };
        match targets {
            None => {
                objective.kind = config.loss.map_or(usual(None, width, outputs.len()), kind);
                if objective.kind == LossKind::CrossEntropy && outputs.len() > 1 {
                    // each follows the source by itself; a single value as a probability
                    let of = |o: &OutputShape| if o.len > 1 { LossKind::CrossEntropy } else { LossKind::Bce };
                    objective.heads.extend(outputs.iter().map(|o| unlabelled(o, of(o))));
                }
                if config.class_weights.is_some() {
                    faults.push("config: class_weights: they need training data with class labels".into());
                }
            }
            Some(Targets::Outputs(parts)) => {
                let loss_fits = |p: &crate::data::OutputTargets| config.loss.is_some_and(|l| fits(kind(l), &p.targets, p.width));
                if let (Some(loss), false) = (config.loss, parts.iter().any(loss_fits)) {
                    faults.push(format!("config: loss: {} fits no output's targets", loss.name()));
                }
                for (part, shape) in parts.iter().zip(outputs) {
                    let loss = config.loss.filter(|_| loss_fits(part));
                    let kind = loss.map_or(usual(Some(&part.targets), part.width, 1), kind);
                    objective.heads.push(head(config, shape, kind, &part.targets, &mut faults));
                }
                let (labels, values) = columns(parts.iter().map(|p| (p.width, &p.targets)));
                (objective.labels, objective.values) = (Some(Cow::Owned(labels)), values.map(Cow::Owned));
            }
            Some(targets) => {
                objective.kind = config.loss.map_or(usual(Some(targets), width, outputs.len()), kind);
                if !fits(objective.kind, targets, width) {
                    let needs = match objective.kind {
                        LossKind::CrossEntropy => "needs integer `y`, the class of each sample, and an output per class",
                        LossKind::Bce => "needs float `y` or an output of one value with the classes 0 and 1",
                        _ => "needs float `y`, not classes",
                    };
                    faults.push(format!("config: loss: {} {needs}", config.loss.map_or("the default", LossName::name)));
                }
                match targets {
                    Targets::Values { values, .. } => objective.values = Some(Cow::Borrowed(values)),
                    Targets::Labels(labels) => objective.labels = Some(Cow::Borrowed(labels)),
                    Targets::Outputs(_) => {}
                }
                match (&config.class_weights, targets, outputs) {
                    (None, ..) => {}
                    (Some(_), Targets::Labels(_), [shape]) => {
                        objective.heads.push(head(config, shape, objective.kind, targets, &mut faults));
                    }
                    _ => faults.push("config: class_weights: they need class labels, the training `y` are values".into()),
                }
            }
        }
        if faults.is_empty() { Ok(objective) } else { Err(faults) }
    }

    /// Whether there are only the source model's outputs to follow.
    pub fn unlabelled(&self) -> bool {
        self.labels.is_none() && self.values.is_none()
    }

    /// The samples `x` of `inputs` values with the targets and the source's outputs, `width` per sample.
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

    /// Sharpens the source's logits of each output where they hardly differ; `logits`: samples × all outputs.
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

    /// Magnitude of the task loss on outputs like the source's, `samples × width`: 1 for a cross entropy, the spread for an error.
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
fn usual(targets: Option<&Targets>, width: usize, outputs: usize) -> LossKind {
    match targets {
        Some(Targets::Values { .. }) => LossKind::Mse,
        _ if outputs > 1 => LossKind::Mse,
        _ if width > 1 => LossKind::CrossEntropy,
        Some(_) => LossKind::Bce,
        None => LossKind::Mse,
    }
}

fn fits(kind: LossKind, targets: &Targets, width: usize) -> bool {
    let labels = matches!(targets, Targets::Labels(_));
    match kind {
        LossKind::CrossEntropy => labels && width > 1,
        LossKind::Bce => !labels || width == 1,
        LossKind::Mse | LossKind::Mae | LossKind::Upstream => !labels,
    }
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

/// Labels, samples × outputs that have them, and values, samples × all columns (0 in those of labels).
fn columns<'t>(parts: impl Iterator<Item = (usize, &'t Targets)> + Clone) -> (Vec<u32>, Option<Vec<f32>>) {
    let samples = |(width, targets): (usize, &Targets)| match targets {
        Targets::Labels(labels) => labels.len(),
        Targets::Values { values, .. } => values.len() / width.max(1),
        Targets::Outputs(_) => 0,
    };
    let samples = parts.clone().map(samples).min().unwrap_or(0);
    let (mut labels, mut values, mut floats) = (Vec::new(), Vec::new(), false);
    for s in 0..samples {
        for (width, targets) in parts.clone() {
            match targets {
                Targets::Values { values: own, .. } => {
                    floats = true;
                    values.extend_from_slice(&own[s * width..(s + 1) * width]);
                }
                Targets::Labels(own) => {
                    labels.push(own[s]);
                    values.resize(values.len() + width, 0.0);
                }
                Targets::Outputs(_) => {}
            }
        }
    }
    (labels, floats.then_some(values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::config::ClassWeights;
    use crate::data::OutputTargets;

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
