//! How the proxy is written, and for which settings of hls4ml.

use crate::proxy::target::{Backend, Io, Strategy, Target};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How the proxy is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProxyConfig {
    /// Of `proxy.onnx`.
    pub form: FormName,
    /// Take inputs in the layout of the model file (channels first) through a Transpose, instead of
    /// channels last.
    pub keep_input_layout: bool,
    /// Write `proxy_elementwise.onnx` as well, for the hls4ml plug-in, and say what its activations
    /// do beyond their range.
    pub elementwise: Option<ElementwiseName>,
}

/// What activations of the element-wise form do beyond their range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ElementwiseName {
    /// Saturate, as `proxy.onnx` does.
    Sat,
    /// Wrap around, which needs no comparators, wherever no calibration sample leaves the range.
    Wrap,
}

/// How a layer whose elements have several formats is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FormName {
    /// One product per input format, summed: every multiplication keeps its tight type.
    #[default]
    Sums,
    /// Groups of equal format, joined by Concat: fewest nodes.
    Concat,
    /// One format per layer.
    Uniform,
}

/// The call the user makes with the proxy; recorded in the report and in `hls4ml_config.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Hls4mlConfig {
    /// `Vitis`, `Vivado`, `Quartus` or `Catapult`.
    pub backend: String,
    /// `io_parallel` or `io_stream`.
    pub io_type: String,
    /// How multipliers are laid out.
    pub strategy: StrategyName,
    /// How often one multiplier is used per sample, with strategy `resource`.
    pub reuse_factor: u32,
}

/// hls4ml's strategies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StrategyName {
    /// Everything unrolled; multiplications by 0 vanish.
    #[default]
    Latency,
    /// Multipliers that are used again.
    Resource,
    /// Adders and shifts that da4ml shares among the outputs of a layer.
    DistributedArithmetic,
}

impl StrategyName {
    /// As hls4ml spells it.
    pub fn name(self) -> &'static str {
        self.of_target().name()
    }

    fn of_target(self) -> Strategy {
        match self {
            StrategyName::Latency => Strategy::Latency,
            StrategyName::Resource => Strategy::Resource,
            StrategyName::DistributedArithmetic => Strategy::DistributedArithmetic,
        }
    }
}

impl Default for Hls4mlConfig {
    fn default() -> Self {
        Hls4mlConfig { backend: "Vitis".into(), io_type: "io_parallel".into(), strategy: StrategyName::Latency, reuse_factor: 1 }
    }
}

impl Hls4mlConfig {
    /// The settings as the proxy's writer takes them; names that there are not are faults of the
    /// configuration.
    pub fn target(&self) -> Target {
        Target {
            backend: Backend::ALL.into_iter().find(|b| b.name() == self.backend).unwrap_or_default(),
            io: Io::ALL.into_iter().find(|io| io.name() == self.io_type).unwrap_or_default(),
            strategy: self.strategy.of_target(),
        }
    }
}
