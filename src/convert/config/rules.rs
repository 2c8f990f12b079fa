//! The configuration as rules for quantizers.

use super::JobConfig;
use super::layers::Freeze;
use super::quantizers::GranularityConfig;
use crate::quant::insert::rule::Rule;
/// The rules of a job, the later the stronger: the usual settings, and the entries of `layers`.
pub fn rules(config: &JobConfig) -> Vec<Rule> {
    let GranularityConfig { weights, activations } = config.granularity;
    let usual = Rule {
        weights: Some(weights),
        activations: Some(activations),
        init_weight_f: config.init_bits.weights,
        init_activation_f: config.init_bits.activations,
        ..Rule::new("*")
    };
    let layers = config.layers.iter().map(|l| Rule {
        weights: l.granularity.and_then(|g| g.weights),
        activations: l.granularity.and_then(|g| g.activations),
        init_weight_f: l.init_bits.and_then(|b| b.weights),
        init_activation_f: l.init_bits.and_then(|b| b.activations),
        learns: l.freeze.map(Freeze::learns),
        beta_scale: l.beta_scale,
        ..Rule::new(&l.pattern)
    });
    std::iter::once(usual).chain(layers).collect()
}
