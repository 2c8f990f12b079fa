//! The settings of hls4ml that a job asks for, against what its model needs: before anything is
//! trained.

use super::config::JobConfig;
use super::error::{Error, unsupported};
use crate::proxy::{ProxyError, target};
use crate::quant::FixedModel;

/// Refuses `model` where some node is not exact with the settings asked for.
///
/// # Errors
/// [`Error::Unsupported`] with every such node.
pub fn check(model: &FixedModel, config: &JobConfig) -> Result<(), Error> {
    let faults = target::faults(model, config.hls4ml.target());
    if faults.is_empty() { Ok(()) } else { Err(unsupported(model, ProxyError { faults })) }
}
