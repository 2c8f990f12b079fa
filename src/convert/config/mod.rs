//! The job configuration (JSON). Every field is optional, an unknown field is an error; defaults
//! are the measured recipe (docs/recipe.md).

mod check;
mod deprecated;
mod faults;
pub mod layers;
pub mod port_type;
pub mod proxy;
pub mod quantizers;
pub mod rules;
pub mod suggest;
pub mod training;

use super::error::Error;
use crate::quant::insert::Hgq2;
use crate::train::pareto::Count;
use layers::LayerConfig;
use port_type::PortType;
use proxy::{Hls4mlConfig, ProxyConfig};
use quantizers::{ActivationOverflowName, GranularityConfig, InitBits, OverflowName, QuantizersName, RoundingName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use training::{Beta, ClassWeights, LearningRate, LossName, MetricName};
use utoipa::ToSchema;

/// What a job does. `JobConfig::default()` is the recipe of `docs/training.md`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JobConfig {
    /// How bit widths are found.
    pub mode: Mode,
    /// Epochs in all (trunk and branches); 0: no training, the annotated model is taken over
    /// exactly.
    pub epochs: usize,
    /// Samples per step; default: a fortieth of the training samples.
    pub batch_size: Option<usize>,
    /// Adam's step sizes.
    pub learning_rate: LearningRate,
    /// A fixed schedule of β. Without it a controller follows an EBOPs target.
    pub beta: Option<Beta>,
    /// Factor of the sum of all fractional bits in the loss (HGQ's `l1`).
    pub gamma: f32,
    /// Largest exact EBOPs of the wanted model.
    pub target_ebops: Option<f64>,
    /// Largest LUTs of the wanted model, as estimated (docs/hardware.md).
    pub target_luts: Option<f64>,
    /// What sizes are counted in: `budgets`, fronts, "the smallest model". Default: LUTs with
    /// `target_luts`, else EBOPs.
    pub count: Option<Count>,
    /// Sizes that training anneals at, one branch each; default: around the target, or eight from
    /// the start down to 2 % of it.
    pub budgets: Option<Vec<f64>>,
    /// Return the smallest model whose validation metric is at most this much below the source
    /// model's.
    pub max_metric_drop: Option<f64>,
    /// Epochs between two checkpoints of a job that keeps them; default: by time, every two
    /// seconds.
    pub checkpoint_epochs: Option<usize>,
    /// With `mode: calibrate`: return the smallest model whose output error is at most this. The
    /// output error is the mean squared difference of the model's outputs (logits, before a
    /// Softmax) from the source's, over all validation samples and outputs, divided by the variance
    /// of the source's outputs (the mean over the outputs of the variance over the samples): 0 is
    /// exact, 1 is no better than a constant. With `target_ebops` or `max_metric_drop` as well, the
    /// candidates beyond it are left out.
    pub max_output_error: Option<f64>,
    /// Default: cross entropy for classes, mean squared error for float targets, distillation
    /// without targets.
    pub loss: Option<LossName>,
    /// What a sample weighs in the loss, by its class; scaled to a mean of 1 over the training
    /// samples.
    pub class_weights: Option<ClassWeights>,
    /// Default: accuracy for classes (balanced accuracy where one class makes up nearly all of
    /// them), mean squared error for float targets; without targets agreement with the source where
    /// the file ends in Softmax or ArgMax, else the relative error.
    pub metric: Option<MetricName>,
    /// Weight of the source model's outputs as targets, 0…1; 1 when there are no labels.
    pub teacher_weight: f32,
    /// Divides the EBOPs gradient of a shared width by the square root of how many share it (HGQ
    /// v1).
    pub group_norm: bool,
    /// Search after the training: single weights and biases move by a bit where that lowers the
    /// loss and costs no EBOPs.
    pub polish: bool,
    /// What shares a bit width.
    pub granularity: GranularityConfig,
    /// Which widths are trained (docs/quantizers.md).
    pub quantizers: QuantizersName,
    /// Outside the range of HGQ2's weights and biases; default: `sat_sym` (docs/hgq-spec.md#b1-4).
    pub overflow: Option<OverflowName>,
    /// Outside the range of hidden activations and inputs beside HGQ2's weights; default: `sat`.
    pub activation_overflow: Option<ActivationOverflowName>,
    /// Fractional bits to start with.
    pub init_bits: InitBits,
    /// Rounding of quantizers that the file does not annotate.
    pub rounding: RoundingName,
    /// Widens the traced ranges about their middle (HGQ `cover_factor`).
    pub cover_factor: f64,
    /// Share of the training samples kept for choosing the model when no validation data are given.
    pub validation_fraction: f64,
    /// The same seed, data and threads give the same bytes.
    pub seed: u64,
    /// Worker threads; default: all cores, at most 8. Part of what makes a result reproducible.
    pub threads: Option<usize>,
    /// Output positions that a convolution computes in parallel, for its EBOPs (HGQ's
    /// `parallel_factor`); default: all.
    pub parallel_factor: Option<usize>,
    /// Settings of single layers, by the names of nodes.
    pub layers: Vec<LayerConfig>,
    /// Types of model inputs by name (`fixed<16,6>`): what they may be, whatever the data show.
    pub inputs: BTreeMap<String, PortType>,
    /// How the proxy is written.
    pub proxy: ProxyConfig,
    /// The settings of hls4ml that it is written for.
    pub hls4ml: Hls4mlConfig,
    /// What was read for fields of earlier versions.
    #[serde(skip)]
    pub deprecated: Vec<String>,
}

impl Default for JobConfig {
    fn default() -> Self {
        JobConfig {
            mode: Mode::FineTune,
            epochs: 300,
            batch_size: None,
            learning_rate: LearningRate::default(),
            beta: None,
            gamma: 0.0,
            target_ebops: None,
            target_luts: None,
            count: None,
            budgets: None,
            max_metric_drop: None,
            checkpoint_epochs: None,
            max_output_error: None,
            loss: None,
            class_weights: None,
            metric: None,
            teacher_weight: 0.5,
            group_norm: true,
            polish: true,
            granularity: GranularityConfig::default(),
            quantizers: QuantizersName::default(),
            overflow: None,
            activation_overflow: None,
            init_bits: InitBits::default(),
            rounding: RoundingName::HalfUp,
            cover_factor: 1.0,
            validation_fraction: 0.1,
            seed: 0,
            threads: None,
            parallel_factor: None,
            layers: Vec::new(),
            inputs: BTreeMap::new(),
            proxy: ProxyConfig::default(),
            hls4ml: Hls4mlConfig::default(),
            deprecated: Vec::new(),
        }
    }
}

/// How bit widths are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// By gradient, with training or calibration data.
    #[default]
    FineTune,
    /// From sensitivities on the calibration data, in seconds: no training data, no epochs.
    Calibrate,
}

impl JobConfig {
    /// Reads a configuration and checks it.
    ///
    /// # Errors
    /// Every fault found, one line each.
    pub fn from_json(text: &[u8]) -> Result<JobConfig, Vec<String>> {
        let config = JobConfig::parse(text)?;
        config.check()?;
        Ok(config)
    }

    /// Reads a configuration without checking ranges.
    ///
    /// # Errors
    /// All unknown fields and values that do not fit, one line each; what is not JSON.
    pub fn parse(text: &[u8]) -> Result<JobConfig, Vec<String>> {
        if let Some((text, deprecated)) = deprecated::translated(text) {
            return JobConfig::parse(&text).map(|config| JobConfig { deprecated, ..config });
        }
        let read = serde_json::from_slice::<JobConfig>(text);
        match read {
            // an array would be taken for the fields in their order
            Ok(config) if text.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{') => Ok(config),
            Ok(_) => Err(vec!["config: a JSON object is needed, {\"field\": value, …}".into()]),
            Err(e) => Err(faults::faults::<JobConfig>(text, &e)),
        }
    }

    /// HGQ2's quantizers, where they are asked for.
    pub fn hgq2(&self) -> Option<Hgq2> {
        let kbi = match self.quantizers {
            QuantizersName::Hgq1 => return None,
            QuantizersName::Hgq2Kif => false,
            QuantizersName::Hgq2Kbi => true,
        };
        let symmetric = self.overflow != Some(OverflowName::Sat);
        Some(Hgq2 { kbi, symmetric, tracked: self.activation_overflow == Some(ActivationOverflowName::Wrap) })
    }

    /// What sizes are counted in.
    pub fn count(&self) -> Count {
        match self.count {
            Some(count) => count,
            None if self.target_luts.is_some() => Count::Luts,
            None => Count::Ebops,
        }
    }

    /// The largest size of the wanted model, in the unit of [`JobConfig::count`].
    pub fn target(&self) -> Option<f64> {
        match self.count() {
            Count::Ebops => self.target_ebops,
            Count::Luts => self.target_luts,
        }
    }

    /// Whether there are epochs.
    pub fn trains(&self) -> bool {
        self.mode == Mode::FineTune
    }

    /// Threads to use: as asked, else the cores of this machine, at most 8.
    pub fn thread_count(&self) -> usize {
        self.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get()).min(8))
    }
}

/// Runs `work` where exact evaluation uses as many threads as the job asks for.
pub fn on_threads<T: Send>(config: &JobConfig, work: impl FnOnce() -> Result<T, Error> + Send) -> Result<T, Error> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(config.thread_count()).build();
    pool.map_err(|e| Error::Internal(e.to_string()))?.install(work)
}
