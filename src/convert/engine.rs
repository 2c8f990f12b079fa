//! The training engine as a job asks for it.

use super::config::JobConfig;
use super::error::{Error, training_error};
use crate::quant::insert::{Built, Learns};
use crate::train::{Engine, EngineOptions, LayerOptions};

/// Whether the training of the job can begin: everything that it would refuse, without a step of
/// it.
///
/// # Errors
/// [`Error::Config`], [`Error::Internal`] as training.
pub fn check(config: &JobConfig, built: &Built) -> Result<(), Error> {
    Engine::accepts(&built.model, &engine_options(config, built)).map_err(training_error)
}

/// What the engine is told.
pub fn engine_options(config: &JobConfig, built: &Built) -> EngineOptions {
    EngineOptions {
        threads: config.thread_count(),
        // HGQ2 takes plain sums (docs/hgq-spec.md#b1-3)
        group_norm: config.group_norm && config.hgq2().is_none(),
        isa: None,
        layers: layer_options(built),
        ..EngineOptions::default()
    }
}

/// Layers whose rules ask for another training than the rest.
fn layer_options(built: &Built) -> Vec<LayerOptions> {
    let dense = built.model.nodes.iter().zip(&built.settings).filter(|(n, _)| n.op.layer().is_some());
    let other = dense.filter(|(_, s)| s.learns.weights != s.learns.bits || s.beta_scale != 1.0);
    other
        .map(|(node, s)| {
            let Learns { weights, bits } = s.learns;
            LayerOptions { node: node.name.clone(), weights, bits, beta_scale: s.beta_scale }
        })
        .collect()
}
