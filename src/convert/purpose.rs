//! What a job trains for and is judged by, as it was understood: for the report and `--dry-run`.

use super::config::JobConfig;
use super::config::training::LossName;
use super::source::data::Data;
use super::task::ends::follows_classes;
use super::task::metric::MetricKind;
use super::task::objective::Objective;
use crate::convert::documents::{Purpose, Purposed};
use crate::data::{OutputShape, Taken, Targets};
use crate::train::LossKind;
use std::borrow::Cow;

impl Purpose {
    /// From the configuration and the data as they were read.
    pub fn new(config: &JobConfig, data: &Data, outputs: &[OutputShape], objective: &Objective, metric: MetricKind) -> Purpose {
        let (follows, why) = follows_classes(config, outputs);
        let kinds = objective.kinds(outputs.len());
        let trains = config.trains() && config.epochs > 0;
        let loss = |name: &str| {
            let at = outputs.iter().position(|o| o.name == name).unwrap_or(0);
            kinds.get(at).map(|&kind| spelled(kind)).filter(|_| trains)
        };
        // where nothing is trained there may be targets to judge by
        let taken = if data.train.taken.is_empty() { &data.validation.taken } else { &data.train.taken };
        let mut targets: Vec<Purposed> = taken.iter().map(|t| purposed(t, &loss)).collect();
        if targets.is_empty() {
            let first = outputs.first().map_or("", |o| &o.name);
            targets.push(Purposed {
                outputs: outputs.iter().map(|o| o.name.clone()).collect(),
                array: None,
                taken_as: "source".into(),
                because: why.into(),
                loss: loss(first).map(Cow::Borrowed),
            });
        }
        let judged_by = data.validation.targets.as_ref();
        let metric_because = match (config.metric, judged_by) {
            (Some(_), _) => format!("{} is asked for", metric.name()),
            (None, None) => why.to_string(),
            (None, Some(targets)) => because(targets),
        };
        let classes = match judged_by {
            Some(Targets::Labels(_) | Targets::Shares { .. }) => matches!(outputs, [output] if output.len > 1),
            Some(Targets::Sides { .. } | Targets::Values { .. } | Targets::Outputs(_)) => false,
            None => follows,
        };
        Purpose { targets, metric_because, classes }
    }
}

fn purposed(taken: &Taken, loss: &dyn Fn(&str) -> Option<&'static str>) -> Purposed {
    let Taken { outputs, array, taken_as, because } = taken.clone();
    let loss = outputs.first().and_then(|name| loss(name));
    Purposed { outputs, array: Some(array), taken_as: taken_as.into(), because, loss: loss.map(Cow::Borrowed) }
}

fn because(targets: &Targets) -> String {
    let text = match targets {
        Targets::Labels(_) => "the validation targets are classes",
        Targets::Shares { .. } => "the validation targets are probabilities of classes: the most likely one is right",
        Targets::Sides { one_hot: true, .. } => "the validation targets are classes",
        Targets::Sides { .. } => "the validation targets are yes or no: the side on which an output is counts",
        Targets::Values { .. } => "the validation targets are values",
        Targets::Outputs(_) => "some of the validation targets are classes: those of the other outputs count in the loss",
    };
    text.into()
}

/// As the configuration spells it.
pub fn spelled(kind: LossKind) -> &'static str {
    match kind {
        LossKind::CrossEntropy => LossName::CrossEntropy.name(),
        LossKind::Mse => LossName::Mse.name(),
        LossKind::Mae => LossName::Mae.name(),
        LossKind::Bce => LossName::Bce.name(),
        LossKind::Upstream => "given by the caller",
    }
}
