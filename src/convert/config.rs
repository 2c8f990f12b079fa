//! The job configuration (JSON). Every field is optional, an unknown field is an error; defaults are the measured recipe.

use crate::quant::Granularity;
use serde::{Deserialize, Serialize};

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
    /// Return the smallest model whose validation metric is at most this much below the source model's.
    pub max_metric_drop: Option<f64>,
    /// With `mode: calibrate`: return the smallest model whose output error is at most this. The output error is the mean squared
    /// difference of the model's outputs (logits, before a Softmax) from the source's, over all validation samples and outputs, divided
    /// by the variance of the source's outputs (the mean over the outputs of the variance over the samples): 0 is exact, 1 is no better than a
    /// constant. With `target_ebops` or `max_metric_drop` as well, the candidates beyond it are left out.
    pub max_output_error: Option<f64>,
    /// Default: cross entropy for integer labels, mean squared error for float targets, distillation without targets.
    pub loss: Option<LossName>,
    /// Weight of the source model's outputs as targets, 0…1; 1 when there are no labels.
    pub teacher_weight: f32,
    pub optimize: Optimize,
    pub granularity: GranularityConfig,
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
    /// Names of nodes (as in the file) whose parameters stay as they are; `*` at the end matches a prefix.
    pub freeze: Vec<String>,
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
            max_metric_drop: None,
            max_output_error: None,
            loss: None,
            teacher_weight: 0.5,
            optimize: Optimize::default(),
            granularity: GranularityConfig::default(),
            init_bits: InitBits::default(),
            rounding: RoundingName::HalfUp,
            cover_factor: 1.0,
            validation_fraction: 0.1,
            seed: 0,
            threads: None,
            parallel_factor: None,
            freeze: Vec::new(),
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

/// Adam's step sizes at the start of the run; they decay with the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LearningRate {
    pub weights: f32,
    /// For fractional and integer bits.
    pub bits: f32,
}

impl Default for LearningRate {
    fn default() -> Self {
        LearningRate { weights: 1e-2, bits: 2e-2 }
    }
}

/// Factor of EBOPs in the loss, from `start` to `end` over the epochs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beta {
    pub start: f32,
    pub end: f32,
    #[serde(default)]
    pub schedule: BetaSchedule,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BetaSchedule {
    /// `start·(end/start)^u`
    #[default]
    Log,
    /// `start + (end − start)·u`
    Linear,
    /// `start`
    Constant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossName {
    CrossEntropy,
    Mse,
    Bce,
}

/// Which parameters are trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Optimize {
    pub weights: bool,
    pub bits: bool,
}

impl Default for Optimize {
    fn default() -> Self {
        Optimize { weights: true, bits: true }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GranularityConfig {
    pub weights: Granularity,
    pub activations: Granularity,
}

/// Fractional bits that float weights and activations start with (absolute, the same for all).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InitBits {
    pub weights: f32,
    pub activations: f32,
}

impl Default for InitBits {
    fn default() -> Self {
        InitBits { weights: 4.0, activations: 4.0 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoundingName {
    HalfUp,
    Floor,
}

/// How the proxy is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProxyConfig {
    pub form: FormName,
    /// Take inputs in the layout of the model file (channels first) through a Transpose, instead of channels last.
    pub keep_input_layout: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

/// The call the user makes with the proxy; recorded in the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hls4mlConfig {
    pub backend: String,
    pub io_type: String,
}

impl Default for Hls4mlConfig {
    fn default() -> Self {
        Hls4mlConfig { backend: "Vitis".into(), io_type: "io_parallel".into() }
    }
}

/// Most epochs of one job: far beyond the point where more helped in any measurement.
const MAX_EPOCHS: usize = 100_000;
/// Largest step of Adam, which moves every parameter by about this much per step.
const MAX_RATE: f32 = 1.0;
/// Most threads: shards beyond the cores of the largest common server only cost memory.
const MAX_THREADS: usize = 256;

impl JobConfig {
    /// Reads a configuration and checks it.
    ///
    /// # Errors
    /// Every fault found, one line each.
    pub fn from_json(text: &[u8]) -> Result<JobConfig, Vec<String>> {
        // serde would take an array for a struct, field by field
        if text.iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'{') {
            return Err(vec!["config: a JSON object is needed, {\"field\": value, …}".into()]);
        }
        let config: JobConfig = serde_json::from_slice(text).map_err(|e| vec![format!("config: {e}")])?;
        config.check()?;
        Ok(config)
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
        if let Some(b) = self.beta {
            need(
                b.start.is_finite() && b.start >= 0.0 && b.end.is_finite() && b.end >= 0.0,
                "beta: start and end must not be negative",
            );
            need(
                b.schedule != BetaSchedule::Log || (b.start > 0.0 && b.end > 0.0),
                "beta: a log schedule needs start and end above 0",
            );
            need(self.target_ebops.is_none(), "beta and target_ebops exclude each other: give one");
        }
        need(self.gamma.is_finite() && self.gamma >= 0.0, "gamma: not negative");
        need(self.target_ebops.is_none_or(|t| t.is_finite() && t >= 1.0), "target_ebops: at least 1");
        need(self.max_metric_drop.is_none_or(|t| t.is_finite() && t >= 0.0), "max_metric_drop: not negative");
        need((0.0..=1.0).contains(&self.teacher_weight), "teacher_weight: between 0 and 1");
        need((-8.0..=23.0).contains(&self.init_bits.weights), "init_bits.weights: between -8 and 23");
        need((-8.0..=23.0).contains(&self.init_bits.activations), "init_bits.activations: between -8 and 23");
        need(
            self.cover_factor.is_finite() && self.cover_factor > 0.0 && self.cover_factor <= 1024.0,
            "cover_factor: above 0, at most 1024",
        );
        need((0.0..0.9).contains(&self.validation_fraction), "validation_fraction: from 0 to below 0.9");
        need(self.threads.is_none_or(|t| (1..=MAX_THREADS).contains(&t)), "threads: 1 to 256");
        need(self.parallel_factor != Some(0), "parallel_factor: at least 1");
        need(matches!(self.hls4ml.io_type.as_str(), "io_parallel" | "io_stream"), "hls4ml.io_type: io_parallel or io_stream");
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// Threads to use: as asked, else the cores of this machine, at most 8.
    pub fn thread_count(&self) -> usize {
        self.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get()).min(8))
    }
}
