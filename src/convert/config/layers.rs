//! `layers` and `freeze` of the configuration: settings of the nodes whose names match a pattern.

use crate::quant::Granularity;
use crate::quant::insert::Learns;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Settings of the nodes whose names match; a field that is left out says nothing. Of several
/// entries that match, the last that has a field decides on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LayerConfig {
    /// Name of a node as in the file, or of a graph input; `*` stands for any characters.
    #[serde(rename = "match")]
    pub pattern: String,
    /// Factor of β for the EBOPs of the layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta_scale: Option<f32>,
    /// What shares a bit width.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granularity: Option<PartGranularity>,
    /// Fractional bits that float tensors start with, at unit spread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_bits: Option<PartBits>,
    /// What of it is not trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze: Option<Freeze>,
    /// Smallest and largest value of the activation: one number for all of them, or one per element
    /// or channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[Reach; 2]>,
}

/// An end of a range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged, expecting = "range: two numbers, or two arrays of a number per element or channel")]
pub enum Reach {
    /// The same for all elements.
    All(f64),
    /// One per element or channel.
    Each(Vec<f64>),
}

impl Reach {
    fn numbers(&self) -> &[f64] {
        match self {
            Reach::All(v) => std::slice::from_ref(v),
            Reach::Each(each) => each,
        }
    }
}

/// [`super::quantizers::GranularityConfig`] of which a part may be left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PartGranularity {
    /// Of weights and biases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<Granularity>,
    /// Of the activation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activations: Option<Granularity>,
}

/// [`super::quantizers::InitBits`] of which a part may be left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PartBits {
    /// Of weights and biases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<f32>,
    /// Of the activation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activations: Option<f32>,
}

/// What stays as it is: `true`, `false`, `"weights"` (and biases) or `"bits"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged, expecting = "freeze: true, false, \"weights\" or \"bits\"")]
pub enum Freeze {
    /// Everything, or nothing.
    All(bool),
    /// One of the two.
    Part(FreezePart),
}

/// What may stay by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FreezePart {
    /// Weights and biases.
    Weights,
    /// Bit widths.
    Bits,
}

impl Freeze {
    /// What is trained.
    pub fn learns(self) -> Learns {
        match self {
            Freeze::All(frozen) => Learns { weights: !frozen, bits: !frozen },
            Freeze::Part(part) => Learns { weights: part != FreezePart::Weights, bits: part != FreezePart::Bits },
        }
    }
}

/// Largest magnitude in a declared range: beyond it the products of a layer leave 64 bits.
const MAX_REACH: f64 = 1e9;
/// Largest factor of β: beyond it one layer alone decides on every step.
const MAX_BETA_SCALE: f32 = 1000.0;

impl LayerConfig {
    /// An entry that says nothing yet.
    pub fn new(pattern: &str) -> LayerConfig {
        LayerConfig { pattern: pattern.into(), ..LayerConfig::default() }
    }

    /// What is wrong with entry `number`; `bits` tells whether a start is possible.
    pub fn check(&self, number: usize, bits: impl Fn(f32) -> bool) -> Vec<String> {
        let mut faults = Vec::new();
        let mut need = |ok: bool, text: &str| {
            if !ok {
                faults.push(format!("layers[{number}] (`{}`): {text}", self.pattern));
            }
        };
        need(!self.pattern.is_empty(), "match: the name of a node, or a pattern with `*`");
        let scale = |s: f32| (0.0..=MAX_BETA_SCALE).contains(&s);
        need(self.beta_scale.is_none_or(scale), "beta_scale: between 0 and 1000");
        if let Some([lo, hi]) = &self.range {
            let (lo, hi) = (lo.numbers(), hi.numbers());
            let fits = |v: &f64| v.abs() <= MAX_REACH;
            let rising = (0..lo.len().max(hi.len())).all(|e| {
                let at = |end: &[f64]| if end.len() == 1 { end[0] } else { end.get(e).copied().unwrap_or(f64::NAN) };
                at(lo) <= at(hi)
            });
            need(
                rising && !lo.is_empty() && !hi.is_empty() && lo.iter().chain(hi).all(fits),
                "range: [smallest, largest], rising and within ±1e9; each a number, or an array of one per element or channel",
            );
        }
        let start = self.init_bits.unwrap_or_default();
        need(start.weights.is_none_or(&bits), "init_bits.weights: between -8 and 23");
        need(start.activations.is_none_or(&bits), "init_bits.activations: between -8 and 23");
        faults
    }
}
