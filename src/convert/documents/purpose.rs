//! What a job trains for and is judged by, as it was understood.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use utoipa::ToSchema;

/// How targets were understood.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Purpose {
    /// What the targets of each array were taken for; without targets one entry for all outputs.
    pub targets: Vec<Purposed>,
    /// Why this metric.
    pub metric_because: String,
    /// Whether a single output is scores of classes, of which one is the answer.
    #[serde(skip)]
    pub classes: bool,
}

/// The targets of some outputs.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Purposed {
    /// Names of the outputs.
    pub outputs: Vec<String>,
    /// Name in the data file; null: the model sent is the teacher.
    pub array: Option<String>,
    /// `classes`, `probabilities`, `yes_or_no`, `values`, or `source` without an array.
    pub taken_as: Cow<'static, str>,
    /// Why they were taken as that.
    pub because: String,
    /// As the configuration spells it; `mode` calibrate trains for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<Cow<'static, str>>,
}
