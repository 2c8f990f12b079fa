//! `report.json` (docs/report.md).

use super::checks::{ImportCheck, Verification};
use super::hardware::HardwareEstimate;
use super::layer::Layer;
use super::purpose::Purpose;
use super::synthesis::Synthesis;
use crate::convert::config::JobConfig;
use crate::diagnostic::Diagnostic;
use crate::proxy::Removed;
use crate::proxy::ports::Ports;
use crate::train::pareto::Count;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What was done, and what came of it. `schema` changes when a field changes its meaning; fields
/// are only added within a version.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// `hgq-onnx/report/1`
    pub schema: Cow<'static, str>,
    /// Which program wrote it.
    pub tool: Tool,
    /// As used, defaults included.
    #[serde(serialize_with = "super::as_written")]
    pub config: JobConfig,
    /// The file sent.
    pub model: ModelFile,
    /// The file made.
    pub proxy: ProxyFile,
    /// Where `proxy.elementwise` asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_elementwise: Option<ElementwiseFile>,
    /// What sizes are counted in: the target, the front, "the smallest model".
    pub count: Count,
    /// HGQ v1's exact count of the proxy.
    pub ebops: u64,
    /// HGQ2's count of the same model before dead channels are removed.
    pub ebops_hgq2: u64,
    /// What the proxy takes of an FPGA.
    #[serde(flatten)]
    pub hardware: HardwareEstimate,
    /// LUTs of the quantized model that training started from.
    pub start_luts: u64,
    /// HGQ v1's count of the quantized model that training started from.
    pub start_ebops: u64,
    /// Its relative error against the source.
    pub start_error: Option<f64>,
    /// What models are judged by.
    pub metric: Cow<'static, str>,
    /// How targets were understood.
    pub task: Purpose,
    /// The model sent, on the rows that models are judged on.
    pub source: Figures,
    /// Nodes that multiply, and quantizers.
    pub layers: Vec<Layer>,
    /// Whether the model has what was asked for.
    pub target: Target,
    /// How the proxy was chosen.
    pub choice: ChoiceMade,
    /// The front of EBOPs and metric, and what was chosen off it.
    pub pareto: Vec<ParetoPoint>,
    /// What synthesis made of points of it, once `hgq-onnx report` has read that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub synthesis: Vec<Synthesis>,
    /// Where training rows are judged on as well: the validation rows alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_alone: Option<Alone>,
    /// Of a model with several outputs and targets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<OutputMetric>,
    /// What comparing the proxy with the trained model gave.
    pub verification: Verified,
    /// The graph as imported against tract's execution of the file.
    pub import: ImportCheck,
    /// Samples, and what they were for.
    pub data: DataUsed,
    /// The call to make.
    pub hls4ml: Hls4mlCall,
    /// Inputs and outputs of the proxy.
    pub ports: Ports,
    /// What the user should know.
    pub warnings: Vec<Diagnostic>,
    /// The course of the training, thinned.
    pub training: Vec<TrainingPoint>,
    /// Seconds by stage.
    pub timing: BTreeMap<String, f64>,
    /// Most memory that the process held meanwhile; null where the system does not say.
    pub peak_memory_bytes: Option<u64>,
}

/// The program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tool {
    /// `hgq-onnx`
    pub name: Cow<'static, str>,
    /// Its version.
    pub version: Cow<'static, str>,
}

/// The file sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelFile {
    /// Of the bytes sent.
    pub sha256: String,
    /// Size.
    pub bytes: usize,
    /// Values that one sample gives.
    pub outputs: usize,
    /// Whether a Softmax at the end was left off.
    pub softmax_dropped: bool,
}

/// A metric with its standard error, and a loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Figures {
    /// As it is shown: of errors less is better.
    pub metric: Option<f64>,
    /// Its standard error.
    pub metric_error: Option<f64>,
    /// The loss.
    pub loss: Option<f64>,
}

/// The file made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProxyFile {
    /// Of `proxy.onnx`.
    pub sha256: String,
    /// Size.
    pub bytes: usize,
    /// `sums`, `concat` or `uniform`.
    pub form: crate::convert::config::proxy::FormName,
    /// Nodes of the file.
    pub nodes: usize,
    /// On the rows judged on.
    #[serde(flatten)]
    pub figures: Figures,
    /// Root of the mean squared difference of its outputs from the source's on the calibration
    /// data, by that of their variance.
    pub relative_error: Option<f64>,
    /// Largest difference of an output from the source's on the calibration data.
    pub max_abs_diff_vs_source: Option<f64>,
    /// Output elements that differ from the source's.
    pub elements_differing_from_source: usize,
    /// Elements that the file does not compute.
    pub removed: Vec<Removed>,
}

/// `proxy_elementwise.onnx`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ElementwiseFile {
    /// Of the file.
    pub sha256: String,
    /// Size.
    pub bytes: usize,
    /// Nodes of the file.
    pub nodes: usize,
    /// Quantizers that wrap around.
    pub wrapping_quantizers: usize,
    /// What comparing it gave.
    pub verification: Verification,
}

/// Whether the model has what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Target {
    /// Measured, in every mode.
    pub met: bool,
    /// If not: why; the proxy is then the nearest to it.
    pub reason: Option<String>,
}

/// How the proxy was chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChoiceMade {
    /// The rule, with its figures.
    pub why: String,
    /// What models are judged on.
    pub judged_on: Cow<'static, str>,
    /// How many samples these are.
    pub samples: usize,
    /// Why it is not accuracy that classes are judged by.
    pub metric_because: Option<String>,
}

/// A model of the front, or one chosen off it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ParetoPoint {
    /// Its folder in `pareto/`.
    pub number: usize,
    /// When it was found.
    pub epoch: usize,
    /// HGQ v1's count.
    pub ebops: u64,
    /// HGQ2's count.
    pub ebops_hgq2: u64,
    /// What it takes of an FPGA.
    #[serde(flatten)]
    pub hardware: HardwareEstimate,
    /// Its metric, its standard error and its loss.
    #[serde(flatten)]
    pub figures: Figures,
    /// Loss on training and validation data together, of an annealed model.
    pub train_val_loss: Option<f64>,
    /// Whether it is annealed (docs/training.md).
    pub annealed: bool,
    /// Whether no other model is better in one of EBOPs and metric and as good in the other.
    pub on_front: bool,
    /// Whether it is the proxy.
    pub chosen: bool,
    /// Those of the job's budgets that it is the choice for.
    pub chosen_within: Vec<f64>,
}

/// Source and proxy on the validation rows alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Alone {
    /// Validation samples.
    pub samples: usize,
    /// The model sent.
    pub source: Figures,
    /// The model returned.
    pub proxy: Figures,
}

/// The metric of one output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OutputMetric {
    /// The output.
    pub name: String,
    /// `accuracy`, `mse` or `mae`.
    pub metric: Cow<'static, str>,
    /// Of the model sent.
    pub source: Option<f64>,
    /// Of the proxy.
    pub proxy: Option<f64>,
}

/// What comparing the proxy with the trained model gave, and what it clips.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Verified {
    /// What was compared.
    #[serde(flatten)]
    pub compared: Verification,
    /// Values clipped on the validation data.
    pub saturations: u64,
    /// Validation samples.
    pub validation_samples: usize,
}

/// Samples, and what they were for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DataUsed {
    /// Samples that ranges were traced on.
    pub calibration_samples: usize,
    /// Samples trained on.
    pub train_samples: usize,
    /// Samples that models were chosen by.
    pub validation_samples: usize,
    /// Where these come from.
    pub validation: Cow<'static, str>,
    /// The most frequent class alone.
    pub one_answer: Option<OneAnswer>,
}

/// Always the same answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OneAnswer {
    /// On the rows judged on; of several outputs the mean.
    pub accuracy: f64,
    /// The most frequent class of a single output.
    pub class: Option<u32>,
}

/// What to ask hls4ml for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hls4mlCall {
    /// The call that makes its configuration.
    pub config: String,
    /// `io_parallel` or `io_stream`.
    pub io_type: String,
    /// `Latency`, `Resource` or `distributed_arithmetic`.
    pub strategy: Cow<'static, str>,
    /// How often one multiplier is used per sample.
    pub reuse_factor: u32,
    /// Layers that keep `Latency` with another strategy.
    pub latency_layers: Vec<String>,
    /// Type of the inputs that the proxy needs.
    pub input_port: String,
}

/// An epoch, or one candidate of `mode: calibrate`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrainingPoint {
    /// From 1.
    pub epoch: u64,
    /// Training loss; of a candidate its validation loss.
    pub loss: Option<f64>,
    /// Metric of the last snapshot that was scored.
    pub metric: Option<f64>,
    /// Smooth EBOPs.
    pub ebops: Option<f64>,
    /// LUTs of the last snapshot that was scored.
    #[serde(default)]
    pub luts: Option<f64>,
    /// Factor of EBOPs in the loss; of a candidate the price per EBOP.
    pub beta: Option<f64>,
}
