//! Layers and quantizers of an exact model, as the report and a trace have them.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A node that takes hardware, or a quantizer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Layer {
    /// The node's name.
    pub name: String,
    /// Its operation.
    pub op: Cow<'static, str>,
    /// Of a node that multiplies: HGQ v1's count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ebops: Option<u64>,
    /// Of a node that multiplies: HGQ2's count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ebops_hgq2: Option<u64>,
    /// Of a node that takes hardware: LUTs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub luts: Option<u64>,
    /// The same: adders behind the last registers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub levels: Option<u32>,
    /// The same: registers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ff: Option<u64>,
    /// Of a node that has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Weights>,
    /// Of a quantizer: `HalfUp`, `HalfEven`, `Floor`, `Ceil`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounding: Option<String>,
    /// Of a quantizer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
}

/// The weights of a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Weights {
    /// How many there are.
    pub count: usize,
    /// How many are not 0.
    pub nonzero: usize,
    /// Enclosed bits → weights.
    pub bits_histogram: BTreeMap<String, usize>,
}

/// What a quantizer gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Activation {
    /// Formats with the number of elements that have them.
    pub formats: Vec<FormatCount>,
    /// Smallest value traced, before rounding.
    pub min: Option<f64>,
    /// Largest value traced, before rounding.
    pub max: Option<f64>,
}

/// A fixed-point format, and how many elements have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FormatCount {
    /// 1 with a sign.
    pub k: u8,
    /// Integer bits, without the sign.
    pub i: i32,
    /// Fractional bits.
    pub f: i32,
    /// `k + i + f`, 0 for what is always 0.
    pub bits: u32,
    /// Elements.
    pub count: usize,
}
