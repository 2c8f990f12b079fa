//! What `hgq-onnx trace` answers.

use super::hardware::HardwareEstimate;
use super::layer::{FormatCount, Layer};
use crate::diagnostic::Diagnostic;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use utoipa::ToSchema;

/// Ranges and formats on calibration data, without training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Trace {
    /// `hgq-onnx/trace/1`
    pub schema: Cow<'static, str>,
    /// Calibration samples.
    pub samples: usize,
    /// What should be known.
    pub warnings: Vec<Diagnostic>,
    /// Element by element.
    pub quantizers: Vec<TracedQuantizer>,
    /// As in a report.
    pub layers: Vec<Layer>,
    /// HGQ v1's count.
    pub ebops: u64,
    /// HGQ2's count.
    pub ebops_hgq2: u64,
    /// What it takes of an FPGA.
    #[serde(flatten)]
    pub hardware: HardwareEstimate,
}

/// A quantizer: ranges and formats of its elements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TracedQuantizer {
    /// The node's name.
    pub name: String,
    /// The value it writes.
    pub tensor: String,
    /// Smallest value of each element.
    pub min: Option<Vec<Option<f64>>>,
    /// Largest value of each element.
    pub max: Option<Vec<Option<f64>>>,
    /// 1 with a sign, per element.
    pub k: Vec<u8>,
    /// Integer bits without the sign, per element.
    pub i: Vec<i32>,
    /// Fractional bits, per element.
    pub f: Vec<i32>,
    /// The same, counted.
    pub formats: Vec<FormatCount>,
}
