//! What is quantized how: granularity, starts, overflow.

use crate::quant::Granularity;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What shares a bit width.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GranularityConfig {
    /// Of weights and biases.
    pub weights: Granularity,
    /// Of activations.
    pub activations: Granularity,
}

/// Fractional bits that float weights and activations start with, at unit spread. Default: the
/// fewest with which the outputs follow the source's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InitBits {
    /// Of weights and biases.
    pub weights: Option<f32>,
    /// Of activations.
    pub activations: Option<f32>,
}

/// Rounding of quantizers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoundingName {
    /// `⌊x + ½⌋`
    HalfUp,
    /// `⌊x⌋`
    Floor,
}

/// Which widths are trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum QuantizersName {
    /// Fractional bits; integer bits of weights follow from the weights.
    #[default]
    Hgq1,
    /// Fractional and integer bits of weights, biases and activations.
    Hgq2Kif,
    /// Bits and integer bits of weights and biases, `kif` for activations.
    Hgq2Kbi,
}

/// What weights and biases do beyond their range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OverflowName {
    /// Clip to `[−2^i, 2^i − 2^-f]`.
    Sat,
    /// Clip to `±(2^i − 2^-f)`.
    SatSym,
}

/// What activations do beyond their range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActivationOverflowName {
    /// Clip at trained integer bits.
    Sat,
    /// No bounds in training; integer bits follow the data (HGQ2's WRAP).
    Wrap,
}
