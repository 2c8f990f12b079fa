//! What `hgq-onnx inspect` answers.

use crate::convert::error::NodeFault;
use crate::diagnostic::Diagnostic;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What is in a model, and what of it can be converted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Inspection {
    /// `hgq-onnx/inspect/1`
    pub schema: Cow<'static, str>,
    /// Of the file.
    pub sha256: String,
    /// Size of the file.
    pub bytes: usize,
    /// Version of the format.
    pub ir_version: Option<i64>,
    /// Who wrote it.
    pub producer: Option<String>,
    /// Operator sets.
    pub opsets: Vec<Opset>,
    /// Operators with their domains → nodes.
    pub operators: BTreeMap<String, usize>,
    /// Constants of the file.
    pub initializers: usize,
    /// Whether it can be converted.
    pub supported: bool,
    /// Every node that cannot.
    pub unsupported: Vec<NodeFault>,
    /// Why not, where it is not about single nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Inputs as they are computed with, channels last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Vec<Tensor>>,
    /// Outputs as they are computed with, channels last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Vec<Tensor>>,
    /// What was changed while reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<Vec<Diagnostic>>,
    /// Nodes after reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<InspectedLayer>>,
    /// Weights and biases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<usize>,
    /// Whether the file says how anything is quantized.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotated: Option<bool>,
    /// HGQ v1's count, where the file says everything that it needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ebops: Option<u64>,
    /// HGQ2's count, where the file says everything that it needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ebops_hgq2: Option<u64>,
    /// LUTs of an FPGA, where the file says everything that is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub luts: Option<u64>,
    /// Adders one behind the other, where the file says everything that is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub levels: Option<u32>,
    /// Registers, where the file says everything that is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ff: Option<u64>,
}

/// An operator set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Opset {
    /// Empty: ONNX's own.
    pub domain: String,
    /// Its version.
    pub version: Option<i64>,
}

/// An input or output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tensor {
    /// In the file.
    pub name: String,
    /// Of one sample.
    pub shape: Vec<usize>,
}

/// A node after reading; the fields from `inputs` on are those of a node with weights, the first
/// three of them only of a convolution.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InspectedLayer {
    /// The node's name.
    pub name: String,
    /// Its operation.
    pub op: Cow<'static, str>,
    /// Size of the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<[usize; 2]>,
    /// Steps of the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stride: Option<[usize; 2]>,
    /// Groups of channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<usize>,
    /// Values that one output reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<usize>,
    /// Outputs, or output channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<usize>,
    /// How many weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<usize>,
    /// Whether the file quantizes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_annotated: Option<bool>,
    /// Whether the file quantizes the bias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias_annotated: Option<bool>,
}
