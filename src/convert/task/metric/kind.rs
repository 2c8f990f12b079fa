//! What a model is judged by: which metric fits which targets, how it is read, and how exact it is.

use super::{auc, balanced, share_error};
use crate::convert::config::training::MetricName;
use crate::data::Targets;
use serde::{Serialize, Serializer};

/// What a model is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Share of samples whose largest output (or sign, for one output) is the label; of several
    /// outputs with labels the mean.
    Accuracy,
    /// Mean over the classes of the share of their samples that is found; of several outputs with
    /// labels the mean. `telling`: samples whose accuracy would be as exact.
    BalancedAccuracy { telling: usize },
    /// Area under the receiver operating characteristic of a binary classifier; `positive`: samples
    /// of class 1.
    Auc { positive: usize },
    /// Mean squared error against float targets.
    Mse,
    /// Mean absolute error against float targets.
    Mae,
    /// Root mean square difference from the source model's outputs, against their spread: see
    /// [`super::relative_error`].
    RelativeError,
    /// Share of samples whose largest output is that of the source model.
    Agreement,
    /// Mean squared error against the source model's outputs (a single value or several outputs, no
    /// targets).
    SourceMse,
    /// Mean absolute error against the source model's outputs.
    SourceMae,
}

impl Serialize for MetricKind {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

/// Whether less of the metric of this name is better.
pub fn less_is_better(name: &str) -> bool {
    MetricKind::ALL_ERRORS.iter().any(|kind| kind.name() == name)
}

/// Whether some targets are classes, and whether some are values.
fn labels_and_values(targets: Option<&Targets>) -> (bool, bool) {
    match targets {
        None => (false, false),
        Some(Targets::Labels(_) | Targets::Shares { .. }) => (true, false),
        Some(Targets::Sides { logit, .. }) => (true, !logit),
        Some(Targets::Values { .. }) => (false, true),
        Some(Targets::Outputs(parts)) => {
            let labelled = |labels: bool| parts.iter().any(|p| p.targets.are_classes() == labels);
            (labelled(true), labelled(false))
        }
    }
}

impl MetricKind {
    /// The kind that was asked for, or the one that fits the validation targets at hand. `widths`:
    /// values per sample of each output; `classes`: without targets, whether the outputs are scores
    /// of classes.
    ///
    /// # Errors
    /// All reasons why the metric asked for does not fit, one line each.
    pub fn choose(
        asked: Option<MetricName>,
        targets: Option<&Targets>,
        widths: &[usize],
        classes: bool,
    ) -> Result<MetricKind, Vec<String>> {
        let Some(asked) = asked else { return Ok(MetricKind::of(targets, classes)) };
        let (labels, values) = labels_and_values(targets);
        let mut faults = Vec::new();
        let mut need = |ok: bool, text: String| {
            if !ok {
                faults.push(format!("config: metric: {text}"));
            }
        };
        let floats = "it needs float `y`, the validation data have classes: use accuracy";
        let kind = match asked {
            MetricName::Accuracy => {
                need(labels || !values, "accuracy needs class labels, the validation `y` are values: use mse or mae".into());
                need(targets.is_some(), "accuracy needs `y` with class labels: without it use agreement".into());
                MetricKind::Accuracy
            }
            MetricName::BalancedAccuracy => {
                need(
                    labels,
                    "balanced_accuracy needs `y` with class labels: use mse or mae for values, agreement without `y`".into(),
                );
                MetricKind::balanced(targets)
            }
            MetricName::Auc => MetricKind::choose_auc(targets, widths, &mut need),
            MetricName::Mse if targets.is_none() => MetricKind::SourceMse,
            MetricName::Mae if targets.is_none() => MetricKind::SourceMae,
            MetricName::Mse => {
                need(values, format!("mse: {floats}"));
                MetricKind::Mse
            }
            MetricName::Mae => {
                need(values, format!("mae: {floats}"));
                MetricKind::Mae
            }
            MetricName::RelativeError => MetricKind::RelativeError,
            MetricName::Agreement => {
                need(widths.len() == 1, format!("agreement is of one output, the model has {}: use mse or mae", widths.len()));
                MetricKind::Agreement
            }
        };
        if faults.is_empty() { Ok(kind) } else { Err(faults) }
    }

    /// The area under the curve, and what it needs.
    fn choose_auc(targets: Option<&Targets>, widths: &[usize], need: &mut impl FnMut(bool, String)) -> MetricKind {
        need(widths.len() == 1, format!("auc is of one output, the model has {}: use accuracy", widths.len()));
        let width: usize = widths.iter().sum();
        let binary = widths.len() != 1 || matches!(width, 1 | 2);
        need(binary, format!("auc is of two classes, the output has {width} values: use accuracy"));
        let classes = targets.and_then(auc::classes);
        need(targets.is_some(), "auc needs `y` with the classes 0 and 1".into());
        need(targets.is_none() || classes.is_some(), "auc needs the classes 0 and 1 as `y` of the validation data".into());
        let positive = classes.as_ref().map_or(0, |c| c.iter().filter(|&&c| c).count());
        let both = classes.as_ref().is_none_or(|c| positive > 0 && positive < c.len());
        let only = (positive > 0) as u8;
        need(both, format!("auc: all validation samples are of class {only}: give validation data of both classes"));
        MetricKind::Auc { positive }
    }

    /// Balanced accuracy on these targets.
    pub fn balanced(targets: Option<&Targets>) -> MetricKind {
        MetricKind::BalancedAccuracy { telling: targets.and_then(balanced::telling).unwrap_or(0.0).round() as usize }
    }

    /// The same metric on rows with these targets.
    pub fn on(self, targets: Option<&Targets>) -> MetricKind {
        match self {
            MetricKind::BalancedAccuracy { .. } => MetricKind::balanced(targets),
            MetricKind::Auc { .. } => {
                let classes = targets.and_then(auc::classes).unwrap_or_default();
                MetricKind::Auc { positive: classes.into_iter().filter(|&c| c).count() }
            }
            MetricKind::Accuracy
            | MetricKind::Agreement
            | MetricKind::Mse
            | MetricKind::Mae
            | MetricKind::RelativeError
            | MetricKind::SourceMse
            | MetricKind::SourceMae => self,
        }
    }

    /// The kind that fits the targets at hand.
    pub fn of(targets: Option<&Targets>, classes: bool) -> MetricKind {
        match targets {
            // where some outputs have classes, the values of the others count in the loss
            Some(targets) if targets.are_classes() => MetricKind::Accuracy,
            Some(_) => MetricKind::Mse,
            None if classes => MetricKind::Agreement,
            None => MetricKind::RelativeError,
        }
    }

    /// As the configuration and the report spell it.
    pub fn name(self) -> &'static str {
        match self {
            MetricKind::Accuracy => "accuracy",
            MetricKind::BalancedAccuracy { .. } => "balanced_accuracy",
            MetricKind::Auc { .. } => "auc",
            MetricKind::Mse => "mse",
            MetricKind::Mae => "mae",
            MetricKind::RelativeError => "relative_error",
            MetricKind::Agreement => "agreement",
            MetricKind::SourceMse => "source_mse",
            MetricKind::SourceMae => "source_mae",
        }
    }

    /// True for an error, of which less is better.
    fn is_error(self) -> bool {
        MetricKind::ALL_ERRORS.contains(&self)
    }

    const ALL_ERRORS: [MetricKind; 5] =
        [MetricKind::Mse, MetricKind::Mae, MetricKind::RelativeError, MetricKind::SourceMse, MetricKind::SourceMae];

    /// The value as a user reads it, from "larger is better".
    pub fn shown(self, goodness: f64) -> f64 {
        if self.is_error() { -goodness } else { goodness }
    }

    /// Standard error of a share estimated on `samples` samples, of an AUC by Hanley and McNeil
    /// (1982). 0 for errors, where it decides nothing: all models share the spread of the targets,
    /// and their differences are far more exact than each of them.
    pub fn standard_error(self, metric: f64, samples: usize) -> f64 {
        match self {
            MetricKind::Accuracy | MetricKind::Agreement | MetricKind::BalancedAccuracy { .. } => {
                share_error(metric, self.telling(samples) as f64)
            }
            MetricKind::Auc { positive } => auc::standard_error(metric, positive, samples.saturating_sub(positive)),
            MetricKind::Mse | MetricKind::Mae | MetricKind::RelativeError | MetricKind::SourceMse | MetricKind::SourceMae => 0.0,
        }
    }

    /// How many of `samples` tell models apart: less than all where some classes are rare.
    pub fn telling(self, samples: usize) -> usize {
        match self {
            MetricKind::BalancedAccuracy { telling } => telling,
            MetricKind::Auc { positive } => {
                let (p, n) = (positive as f64, samples.saturating_sub(positive) as f64);
                if p * n > 0.0 { (4.0 * p * n / (p + n)).round() as usize } else { 0 }
            }
            MetricKind::Accuracy
            | MetricKind::Agreement
            | MetricKind::Mse
            | MetricKind::Mae
            | MetricKind::RelativeError
            | MetricKind::SourceMse
            | MetricKind::SourceMae => samples,
        }
    }

    /// Loss of the metric that is accepted when a job names neither a target nor a drop: one point
    /// of a share or of a relative error, 5 % of another error.
    pub fn default_drop(self, source: f64) -> f64 {
        if self == MetricKind::RelativeError {
            0.01
        } else if self.is_error() {
            0.05 * source.abs()
        } else {
            0.01
        }
    }

    /// The same in words.
    pub fn default_drop_name(self) -> &'static str {
        let error = self.is_error() && self != MetricKind::RelativeError;
        if error { "5 %" } else { "a point" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::OutputTargets;

    #[test]
    fn metrics_that_do_not_fit_say_all_reasons() {
        let labels = Targets::Labels(vec![1, 1, 1]);
        let choose = |asked, targets: Option<&Targets>, widths: &[usize]| MetricKind::choose(asked, targets, widths, false);
        let faults = choose(Some(MetricName::Auc), Some(&labels), &[10]).unwrap_err();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].contains("10 values") && faults[1].contains("of class 1"), "{faults:?}");
        assert_eq!(choose(Some(MetricName::Auc), None, &[2, 3]).unwrap_err().len(), 2);
        assert!(choose(Some(MetricName::Auc), Some(&Targets::Values { width: 1, values: vec![0.5, 1.0] }), &[1]).is_err());
        assert_eq!(
            choose(Some(MetricName::Auc), Some(&Targets::Values { width: 1, values: vec![0.0, 1.0, 1.0] }), &[1]),
            Ok(MetricKind::Auc { positive: 2 })
        );
        assert!(choose(Some(MetricName::Mse), Some(&labels), &[10]).is_err());
        assert!(choose(Some(MetricName::Accuracy), None, &[10]).is_err());
        assert!(choose(Some(MetricName::Agreement), None, &[2, 2]).is_err());
        assert_eq!(choose(Some(MetricName::Mae), None, &[10]), Ok(MetricKind::SourceMae));
        let mixed = Targets::Outputs(vec![
            OutputTargets { width: 3, targets: labels.clone() },
            OutputTargets { width: 1, targets: Targets::Values { width: 1, values: vec![0.1; 3] } },
        ]);
        assert_eq!(choose(None, Some(&mixed), &[3, 1]), Ok(MetricKind::Accuracy));
        assert_eq!(choose(Some(MetricName::Mae), Some(&mixed), &[3, 1]), Ok(MetricKind::Mae));
    }
}
