//! The job configuration (JSON). Every field is optional, an unknown field is an error; defaults
//! are the measured recipe (docs/recipe.md).

mod faults;
pub mod layers;
pub mod port_type;
pub mod proxy;
pub mod quantizers;
pub mod rules;
pub mod suggest;
pub mod training;

use super::error::Error;
use crate::proxy::target::Backend;
use crate::quant::insert::Hgq2;
use layers::LayerConfig;
use port_type::PortType;
use proxy::{Hls4mlConfig, ProxyConfig};
use quantizers::{ActivationOverflowName, GranularityConfig, InitBits, OverflowName, QuantizersName, RoundingName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use training::{Beta, BetaSchedule, ClassWeights, LearningRate, LossName, MetricName, Optimize};

/// What a job does. `JobConfig::default()` is the recipe of `docs/training.md`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobConfig {
    /// How bit widths are found.
    pub mode: Mode,
    /// Epochs in all (trunk and branches); 0: no training, the annotated model is taken over exactly.
    pub epochs: usize,
    /// Samples per step; default: a fortieth of the training samples.
    pub batch_size: Option<usize>,
    pub learning_rate: LearningRate,
    /// A fixed schedule of β. Without it a controller follows an EBOPs target.
    pub beta: Option<Beta>,
    /// Factor of the sum of all fractional bits in the loss (HGQ's `l1`).
    pub gamma: f32,
    /// Largest exact EBOPs of the wanted model.
    pub target_ebops: Option<f64>,
    /// EBOPs that training anneals at, one branch each; default: around `target_ebops`, or eight from the start down to 2 % of it.
    pub budgets: Option<Vec<f64>>,
    /// Return the smallest model whose validation metric is at most this much below the source model's.
    pub max_metric_drop: Option<f64>,
    /// Epochs between two checkpoints of a job that keeps them; default: by time, every two seconds.
    pub checkpoint_epochs: Option<usize>,
    /// A stage of the training (trunk, branch, β schedule) ends early when no model of this many epochs was worth keeping.
    pub patience: Option<usize>,
    /// With `mode: calibrate`: return the smallest model whose output error is at most this. The output error is the mean squared
    /// difference of the model's outputs (logits, before a Softmax) from the source's, over all validation samples and outputs, divided
    /// by the variance of the source's outputs (the mean over the outputs of the variance over the samples): 0 is exact, 1 is no better than a
    /// constant. With `target_ebops` or `max_metric_drop` as well, the candidates beyond it are left out.
    pub max_output_error: Option<f64>,
    /// Default: cross entropy for classes, mean squared error for float targets, distillation without targets.
    pub loss: Option<LossName>,
    /// What a sample weighs in the loss, by its class; scaled to a mean of 1 over the training samples.
    pub class_weights: Option<ClassWeights>,
    /// Default: accuracy for classes (balanced accuracy where one class makes up nearly all of them), mean squared error for float targets;
    /// without targets agreement with the source where the file ends in Softmax or ArgMax, else the relative error.
    pub metric: Option<MetricName>,
    /// Weight of the source model's outputs as targets, 0…1; 1 when there are no labels.
    pub teacher_weight: f32,
    pub optimize: Optimize,
    /// Divides the EBOPs gradient of a shared width by the square root of how many share it (HGQ v1).
    pub group_norm: bool,
    /// Search behind the training: single weights and biases move by a bit where that lowers the loss and costs no EBOPs.
    pub polish: bool,
    pub granularity: GranularityConfig,
    /// Which widths are trained (docs/quantizers.md).
    pub quantizers: QuantizersName,
    /// Outside the range of HGQ2's weights and biases; default: `sat_sym` (docs/hgq-spec.md#b1-4).
    pub overflow: Option<OverflowName>,
    /// Outside the range of hidden activations and inputs beside HGQ2's weights; default: `sat`.
    pub activation_overflow: Option<ActivationOverflowName>,
    pub init_bits: InitBits,
    /// Rounding of quantizers that the file does not annotate.
    pub rounding: RoundingName,
    /// Widens the traced ranges about their middle (HGQ `cover_factor`).
    pub cover_factor: f64,
    /// Share of the training samples kept for choosing the model when no validation data are given.
    pub validation_fraction: f64,
    pub seed: u64,
    /// Worker threads; default: all cores, at most 8. Part of what makes a result reproducible.
    pub threads: Option<usize>,
    /// Output positions that a convolution computes in parallel, for its EBOPs (HGQ's `parallel_factor`); default: all.
    pub parallel_factor: Option<usize>,
    /// Names of nodes (as in the file) whose parameters stay as they are; `*` stands for any characters.
    pub freeze: Vec<String>,
    /// Settings of single layers, by the names of nodes.
    pub layers: Vec<LayerConfig>,
    /// Types of model inputs by name (`fixed<16,6>`): what they may be, whatever the data show.
    pub inputs: BTreeMap<String, PortType>,
    pub proxy: ProxyConfig,
    pub hls4ml: Hls4mlConfig,
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
            budgets: None,
            max_metric_drop: None,
            checkpoint_epochs: None,
            patience: None,
            max_output_error: None,
            loss: None,
            class_weights: None,
            metric: None,
            teacher_weight: 0.5,
            optimize: Optimize::default(),
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
            freeze: Vec::new(),
            layers: Vec::new(),
            inputs: BTreeMap::new(),
            proxy: ProxyConfig::default(),
            hls4ml: Hls4mlConfig::default(),
        }
    }
}

/// How bit widths are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// By gradient, with training or calibration data.
    #[default]
    FineTune,
    /// From sensitivities on the calibration data, in seconds: no training data, no epochs.
    Calibrate,
}

/// Most epochs of one job: far beyond the point where more helped in any measurement.
const MAX_EPOCHS: usize = 100_000;
/// Largest step of Adam, which moves every parameter by about this much per step.
const MAX_RATE: f32 = 1.0;
/// Largest class weight, and the inverse of the smallest: their ratios stay far within the precision of a sum of losses.
const MAX_CLASS_WEIGHT: f32 = 1e6;
/// Most branches of one run: more would leave each of them too few epochs to anneal in.
const MAX_BUDGETS: usize = 64;
/// Most threads: shards beyond the cores of the largest common server only cost memory.
const MAX_THREADS: usize = 256;

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
    /// All unknown fields and values that do not fit, one line each; what is no JSON.
    pub fn parse(text: &[u8]) -> Result<JobConfig, Vec<String>> {
        let read = serde_json::from_slice::<JobConfig>(text);
        match read {
            // an array would be taken for the fields in their order
            Ok(config) if text.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{') => Ok(config),
            Ok(_) => Err(vec!["config: a JSON object is needed, {\"field\": value, …}".into()]),
            Err(e) => Err(faults::faults::<JobConfig>(text, &e)),
        }
    }

    /// Checks ranges.
    ///
    /// # Errors
    /// Every fault found, one line each, naming the field.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let mut faults = Vec::new();
        let mut need = |ok: bool, text: &str| {
            if !ok {
                faults.push(format!("config: {text}"));
            }
        };
        if self.mode == Mode::Calibrate {
            let default = JobConfig::default();
            let trained_only = [
                ("epochs", self.epochs != default.epochs),
                ("batch_size", self.batch_size.is_some()),
                ("learning_rate", self.learning_rate != default.learning_rate),
                ("beta", self.beta.is_some()),
                ("gamma", self.gamma != default.gamma),
                ("loss", self.loss.is_some()),
                ("teacher_weight", self.teacher_weight != default.teacher_weight),
                ("optimize", self.optimize != default.optimize),
                ("budgets", self.budgets.is_some()),
                ("patience", self.patience.is_some()),
                ("checkpoint_epochs", self.checkpoint_epochs.is_some()),
                ("class_weights", self.class_weights.is_some()),
                ("quantizers", self.quantizers != default.quantizers),
                ("validation_fraction", self.validation_fraction != default.validation_fraction),
            ];
            for (field, given) in trained_only {
                need(!given, &format!("{field}: mode calibrate does not train and does not use it: leave it out"));
            }
        }
        need(
            self.max_output_error.is_none() || self.mode == Mode::Calibrate,
            "max_output_error: for mode calibrate only; fine-tuning has max_metric_drop",
        );
        need(self.max_output_error.is_none_or(|t| t.is_finite() && t >= 0.0), "max_output_error: not negative");
        let positive = |v: f32| v.is_finite() && v > 0.0;
        need(self.epochs <= MAX_EPOCHS, "epochs: at most 100000");
        need(self.batch_size != Some(0), "batch_size: at least 1");
        let rate = |v: f32| positive(v) && v <= MAX_RATE;
        need(rate(self.learning_rate.weights), "learning_rate.weights: a positive number up to 1");
        need(rate(self.learning_rate.bits), "learning_rate.bits: a positive number up to 1");
        let (warm_up, end) = (self.learning_rate.warm_up, self.learning_rate.end);
        need((0.0..1.0).contains(&warm_up), "learning_rate.warm_up: from 0 to below 1");
        need((0.0..=1.0).contains(&end), "learning_rate.end: between 0 and 1");
        need((1..=MAX_EPOCHS).contains(&self.learning_rate.cycles), "learning_rate.cycles: at least 1");
        need(self.checkpoint_epochs != Some(0), "checkpoint_epochs: at least 1");
        need(self.patience != Some(0), "patience: at least 1 epoch");
        if let Some(b) = &self.beta {
            let points = &b.points;
            let rising = points.windows(2).all(|p| p[0].0 <= p[1].0);
            let sound = |&(u, beta): &(f64, f64)| (0.0..=1.0).contains(&u) && beta.is_finite() && beta >= 0.0;
            need(
                (b.schedule == BetaSchedule::Piecewise) != points.is_empty() && rising && points.iter().all(sound),
                "beta.points: with schedule piecewise (and only then) [u, beta] pairs, u rising from 0 to 1, beta not negative",
            );
            let ends: &[Option<f32>] = match b.schedule {
                BetaSchedule::Piecewise => &[],
                BetaSchedule::Constant => &[b.start],
                BetaSchedule::Linear | BetaSchedule::Log => &[b.start, b.end],
            };
            let least = if b.schedule == BetaSchedule::Log { f32::MIN_POSITIVE } else { 0.0 };
            let sound = |v: &Option<f32>| v.is_some_and(|v| v.is_finite() && v >= least);
            need(
                ends.iter().all(sound),
                "beta: start and end are needed (constant: start), not negative, and above 0 for a log schedule",
            );
            need(
                self.target_ebops.is_none() && self.budgets.is_none(),
                "beta excludes target_ebops and budgets: give one of them",
            );
        }
        if let Some(budgets) = &self.budgets {
            let sound = (1..=MAX_BUDGETS).contains(&budgets.len()) && budgets.iter().all(|b| b.is_finite() && *b >= 1.0);
            need(sound, "budgets: 1 to 64 numbers of at least 1");
        }
        need(self.gamma.is_finite() && self.gamma >= 0.0, "gamma: not negative");
        need(self.target_ebops.is_none_or(|t| t.is_finite() && t >= 1.0), "target_ebops: at least 1");
        need(self.max_metric_drop.is_none_or(|t| t.is_finite() && t >= 0.0), "max_metric_drop: not negative");
        let v1 = self.quantizers == QuantizersName::Hgq1;
        need(!v1 || self.overflow.is_none(), "overflow: only with quantizers hgq2_kif or hgq2_kbi");
        need(!v1 || self.activation_overflow.is_none(), "activation_overflow: only with quantizers hgq2_kif or hgq2_kbi");
        need((0.0..=1.0).contains(&self.teacher_weight), "teacher_weight: between 0 and 1");
        let bits = |v: f32| (-8.0..=23.0).contains(&v);
        need(self.init_bits.weights.is_none_or(bits), "init_bits.weights: between -8 and 23");
        need(self.init_bits.activations.is_none_or(bits), "init_bits.activations: between -8 and 23");
        for fault in self.layers.iter().enumerate().flat_map(|(n, layer)| layer.check(n, bits)) {
            need(false, &fault);
        }
        if let Some(ClassWeights::Given(weights)) = &self.class_weights {
            let in_range = |w: &f32| (1.0 / MAX_CLASS_WEIGHT..=MAX_CLASS_WEIGHT).contains(w);
            need(
                !weights.is_empty() && weights.iter().all(in_range),
                "class_weights: numbers between 1e-6 and 1e6, one per class",
            );
        }
        need(
            self.cover_factor.is_finite() && self.cover_factor > 0.0 && self.cover_factor <= 1024.0,
            "cover_factor: above 0, at most 1024",
        );
        need((0.0..0.9).contains(&self.validation_fraction), "validation_fraction: from 0 to below 0.9");
        need(self.threads.is_none_or(|t| (1..=MAX_THREADS).contains(&t)), "threads: 1 to 256");
        need(self.parallel_factor != Some(0), "parallel_factor: at least 1");
        need(matches!(self.hls4ml.io_type.as_str(), "io_parallel" | "io_stream"), "hls4ml.io_type: io_parallel or io_stream");
        let backend = Backend::ALL.iter().any(|b| b.name() == self.hls4ml.backend);
        need(backend, "hls4ml.backend: Vitis, Vivado, Quartus or Catapult; with others nothing was compared");
        need(self.hls4ml.reuse_factor >= 1, "hls4ml.reuse_factor: at least 1");
        if faults.is_empty() { Ok(()) } else { Err(faults) }
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
