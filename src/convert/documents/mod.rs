//! What the program says of a job, a plan, a model and a trace: types, whose JSON and schemas
//! (docs/schema) follow from them.

mod checks;
mod hardware;
mod inspection;
mod layer;
mod plan;
mod purpose;
mod report;
mod schema;
mod synthesis;
mod trace;

pub use checks::{ImportCheck, Verification};
pub use hardware::HardwareEstimate;
pub use inspection::{InspectedLayer, Inspection, Opset, Tensor};
pub use layer::{Activation, FormatCount, Layer, Weights};
pub use plan::{
    BetaControl, Plan, PlannedData, PlannedInput, PlannedModel, PlannedOutput, PlannedStart, PlannedTraining, Training,
};
pub use purpose::{Purpose, Purposed};
pub use report::{
    Alone, ChoiceMade, DataUsed, ElementwiseFile, Figures, Hls4mlCall, ModelFile, OneAnswer, OutputMetric, ParetoPoint,
    ProxyFile, Report, Target, Tool, TrainingPoint, Verified,
};
pub use schema::schemas;
pub use synthesis::{HlsEstimate, Resources, Synthesis};
pub use trace::{Trace, TracedQuantizer};

use super::error::Error;
use serde::{Serialize, Serializer};
use serde_json::Value;

/// A number, or null for what is none.
pub fn finite(v: f64) -> Option<f64> {
    Some(v).filter(|v| v.is_finite())
}

/// A document as JSON, its fields in the order of their names.
///
/// # Errors
/// [`Error::Internal`]: there is a test for every document.
pub fn json(document: &impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(document).map_err(|e| Error::Internal(e.to_string()))
}

/// [`json`] as the text of a file.
///
/// # Errors
/// As [`json`].
pub fn text(document: &impl Serialize) -> Result<String, Error> {
    Ok(format!("{:#}\n", json(document)?))
}

/// By way of text, where 0.01 in f32 stays 0.01.
///
/// # Errors
/// What cannot be written as JSON.
pub fn by_text(value: &impl Serialize) -> serde_json::Result<Value> {
    serde_json::from_str(&serde_json::to_string(value)?)
}

fn as_written<S: Serializer>(value: &impl Serialize, to: S) -> Result<S::Ok, S::Error> {
    by_text(value).map_err(serde::ser::Error::custom)?.serialize(to)
}
