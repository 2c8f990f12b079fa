//! What `convert --dry-run` answers.

use super::hardware::HardwareEstimate;
use super::purpose::Purpose;
use super::report::Figures;
use crate::diagnostic::Diagnostic;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use utoipa::ToSchema;

/// What a job would do.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// `hgq-onnx/plan/1`
    pub schema: Cow<'static, str>,
    /// What was read.
    pub model: PlannedModel,
    /// Samples, and what they are for.
    pub data: PlannedData,
    /// The quantized model before training.
    pub start: PlannedStart,
    /// The model sent.
    pub source: Figures,
    /// What models are judged by.
    pub metric: Cow<'static, str>,
    /// Why it is not accuracy that classes are judged by.
    pub metric_because: Option<String>,
    /// How targets were understood.
    pub task: Purpose,
    /// Which of the models found is returned.
    pub choice: String,
    /// How it would train, or why it does not.
    pub training: Training,
    /// For model and data.
    pub memory_estimate_bytes: u64,
    /// Worker threads.
    pub threads: usize,
    /// What is known before the start.
    pub warnings: Vec<Diagnostic>,
    /// Of the command line: where the files would go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out: Option<Value>,
    /// Of the command line: the service that would do it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Value>,
}

/// The model of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlannedModel {
    /// Whether the file says how anything is quantized.
    pub annotated: bool,
    /// Nodes that multiply.
    pub multiplying_layers: usize,
    /// Channels last.
    pub inputs: Vec<PlannedInput>,
    /// What one sample gives.
    pub outputs: Vec<PlannedOutput>,
}

/// An input of the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlannedInput {
    /// In the file.
    pub name: String,
    /// Of one sample.
    pub shape: Vec<usize>,
}

/// An output of the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlannedOutput {
    /// In the file.
    pub name: String,
    /// Values of one sample.
    pub values: usize,
}

/// The data of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlannedData {
    /// Samples that ranges are traced on.
    pub calibration_samples: usize,
    /// Samples trained on.
    pub training_samples: usize,
    /// Samples that models are chosen by.
    pub validation_samples: usize,
    /// Where these come from.
    pub validation: Cow<'static, str>,
    /// What models are judged on.
    pub judged_on: Cow<'static, str>,
    /// How many samples these are.
    pub judged_samples: usize,
    /// Accuracy of always giving the most frequent class.
    pub one_answer_accuracy: Option<f64>,
}

/// The quantized model before training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlannedStart {
    /// HGQ v1's count.
    pub ebops: u64,
    /// What it takes of an FPGA.
    #[serde(flatten)]
    pub hardware: HardwareEstimate,
    /// Its metric, its standard error and its loss.
    #[serde(flatten)]
    pub figures: Figures,
    /// Root of the mean squared difference of its outputs from the source's, by that of their
    /// variance.
    pub relative_error: Option<f64>,
}

/// How a job would train, or why it does not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Training {
    /// Why it does not.
    None(Cow<'static, str>),
    /// How it would.
    Epochs(PlannedTraining),
}

/// A training as planned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlannedTraining {
    /// In all.
    pub epochs: usize,
    /// Samples of a step.
    pub batch_size: usize,
    /// Steps in all.
    pub steps: usize,
    /// `cross_entropy`, `mse`, …, or `distillation`.
    pub loss: Cow<'static, str>,
    /// Weight of the source's outputs.
    #[serde(serialize_with = "super::as_written")]
    pub teacher_weight: f32,
    /// What β follows.
    pub beta_control: BetaControl,
}

/// What β follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum BetaControl {
    /// From one value to another.
    Ramp {
        /// Start and end.
        beta: [f64; 2],
    },
    /// Straight lines through points.
    Piecewise {
        /// `[u, β]`, `u` from 0 to 1.
        beta: Vec<(f64, f64)>,
    },
    /// Budgets in EBOPs.
    Budgets {
        /// From the largest.
        budgets: Vec<f64>,
    },
    /// Budgets among which the one is searched that the metric allows.
    Searched {
        /// From the largest.
        searched_budgets: Vec<f64>,
    },
}
