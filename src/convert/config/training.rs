//! How a job trains: rates, schedules, losses, metrics.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Adam's step sizes, and how they change over the run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LearningRate {
    /// For weights and biases.
    pub weights: f32,
    /// For fractional and integer bits.
    pub bits: f32,
    /// How they change over the run.
    pub schedule: RateSchedule,
    /// `constant` and `cosine`: share of each stage over which the rates rise from a hundredth.
    pub warm_up: f64,
    /// `cosine`: how often the rates start again in a stage.
    pub cycles: usize,
    /// `cosine`: share of the rates that is left at the end of a cycle.
    pub end: f64,
}

impl Default for LearningRate {
    fn default() -> Self {
        LearningRate { weights: 5e-3, bits: 2e-2, schedule: RateSchedule::Recipe, warm_up: 0.0, cycles: 1, end: 0.01 }
    }
}

/// How rates change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RateSchedule {
    /// Trunk: weights down to a fifth, bits constant. Branches: half, held and annealed by a
    /// cosine.
    #[default]
    Recipe,
    /// They do not.
    Constant,
    /// Half cosines down to `end`.
    Cosine,
}

/// Factor of EBOPs in the loss, from `start` to `end` over the epochs, or through `points`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Beta {
    /// At the first epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<f32>,
    /// Not used by `constant`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<f32>,
    /// Between the ends.
    pub schedule: BetaSchedule,
    /// `piecewise`: `[u, β]`, u ascending from 0 (first epoch) to 1 (last).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<(f64, f64)>,
}

/// How β changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BetaSchedule {
    /// `start·(end/start)^u`
    #[default]
    Log,
    /// `start + (end − start)·u`
    Linear,
    /// `start`
    Constant,
    /// Straight lines through `points`.
    Piecewise,
}

/// What is minimised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LossName {
    /// Of classes or probabilities.
    CrossEntropy,
    /// Mean squared error.
    Mse,
    /// Mean absolute error.
    Mae,
    /// Binary cross entropy of each output.
    Bce,
}

impl LossName {
    /// As the configuration spells it.
    pub fn name(self) -> &'static str {
        match self {
            LossName::CrossEntropy => "cross_entropy",
            LossName::Mse => "mse",
            LossName::Mae => "mae",
            LossName::Bce => "bce",
        }
    }
}

/// What a sample weighs by its class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged, expecting = "class_weights: \"balanced\", or an array of one number per class")]
pub enum ClassWeights {
    /// `samples / (classes · samples of the class)`
    Balanced(Balanced),
    /// One per class.
    Given(Vec<f32>),
}

/// The only word there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Balanced {
    /// `samples / (classes · samples of the class)`
    Balanced,
}

/// What models are judged by on the validation data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MetricName {
    /// Share of right answers.
    Accuracy,
    /// Every class counts alike, however rare.
    BalancedAccuracy,
    /// Of a binary classifier.
    Auc,
    /// Mean squared error.
    Mse,
    /// Mean absolute error.
    Mae,
    /// With the source model.
    Agreement,
    /// Against the source model, of the spread of its outputs.
    RelativeError,
}
