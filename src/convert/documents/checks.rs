//! What the checks of a conversion found.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What verification found; `mismatches` is 0, or there would be an error instead.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Verification {
    /// Calibration samples that were executed.
    pub samples: usize,
    /// Output elements that were compared.
    pub elements: u64,
    /// Elements that differ.
    pub mismatches: u64,
    /// Elements where f32 arithmetic (tract) gives another value than exact arithmetic because sums
    /// need more than 24 bits, or because hls4ml has a table where ONNX has a function (Elu, Selu).
    pub float_limited: u64,
    /// Samples that tract executed; 0 when it refused the file (see the warnings).
    pub second_opinion_samples: usize,
}

/// The graph as imported against an execution of the file.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ImportCheck {
    /// Largest absolute difference of any output (after a Softmax, if the file has one); `None` if
    /// tract cannot execute the file.
    pub max_abs_diff_vs_source: Option<f64>,
    /// Samples that were compared.
    pub samples: usize,
    /// Elements that differ by more than the tolerance: in annotated files, f32 sums that fall on
    /// the other side of a tie.
    pub outliers: usize,
    /// Why tract did not execute the file.
    #[serde(skip)]
    pub refused: Option<String>,
    /// Elements that were compared.
    #[serde(skip)]
    pub elements: usize,
}
