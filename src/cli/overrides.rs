//! `--config FILE` and the flags that override its fields.

use crate::convert::config::JobConfig;
use crate::convert::config::layers::{Freeze, LayerConfig};
use crate::convert::config::training::{Balanced, Beta, BetaSchedule, ClassWeights};
use crate::convert::error::Error;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::de::DeserializeOwned;
use std::path::PathBuf;

/// Longest configuration file: a few kilobytes are usual; this only keeps a wrong file from being
/// read whole.
const MAX_CONFIG_BYTES: usize = 1 << 20;

#[derive(clap::Args, Default)]
pub struct ConfigFile {
    /// Job configuration as JSON, such as {"target_ebops": 5000}; every field is optional, an
    /// unknown one is an error (all fields: docs/configuration.md)
    #[arg(long, value_name = "job.json", value_hint = clap::ValueHint::FilePath)]
    pub config: Option<PathBuf>,
}

#[derive(clap::Args, Default)]
#[command(next_help_heading = "Settings (each overrides a field of the configuration)")]
pub struct Overrides {
    /// How bit widths are found: by gradient, or from sensitivities on the calibration data alone
    /// [default: fine_tune]
    #[arg(long, value_name = "MODE", value_parser = named(["fine_tune", "calibrate"]))]
    pub mode: Option<String>,
    /// Epochs in all; 0 takes an annotated model over exactly [default: 300]
    #[arg(long, allow_negative_numbers = true, value_name = "N")]
    pub epochs: Option<usize>,
    /// Samples per step [default: a fortieth of the training samples]
    #[arg(long, allow_negative_numbers = true, value_name = "N")]
    pub batch_size: Option<usize>,
    /// Largest exact EBOPs of the wanted model
    #[arg(long, allow_negative_numbers = true, value_name = "EBOPS", conflicts_with_all = ["beta_start", "beta_end"])]
    pub target_ebops: Option<f64>,
    /// Largest LUTs of the wanted model, as estimated
    #[arg(long, allow_negative_numbers = true, value_name = "LUTS", conflicts_with_all = ["target_ebops", "beta_start", "beta_end"])]
    pub target_luts: Option<f64>,
    /// What sizes are counted in: fronts, and "the smallest model"
    /// [default: luts with --target-luts, else ebops]
    #[arg(long, value_name = "COUNT", value_parser = named(["ebops", "luts"]))]
    pub count: Option<String>,
    /// Return the smallest model whose validation metric is at most this much below the source
    /// model's
    #[arg(long, allow_negative_numbers = true, value_name = "DROP")]
    pub max_metric_drop: Option<f64>,
    /// With --mode calibrate: return the smallest model whose outputs differ from the source's by
    /// at most this share of their variance
    #[arg(long, allow_negative_numbers = true, value_name = "SHARE")]
    pub max_output_error: Option<f64>,
    /// Factor of EBOPs in the loss in the first epoch
    #[arg(long, allow_negative_numbers = true, value_name = "BETA")]
    pub beta_start: Option<f32>,
    /// Factor of EBOPs in the loss in the last epoch
    #[arg(long, allow_negative_numbers = true, value_name = "BETA")]
    pub beta_end: Option<f32>,
    /// Loss
    /// [default: cross_entropy for classes, mse for float targets, distillation without targets]
    #[arg(long, value_name = "NAME", value_parser = named(["cross_entropy", "mse", "mae", "bce"]))]
    pub loss: Option<String>,
    /// What a sample weighs in the loss, by its class: `balanced`, or a number for each class,
    /// separated by commas
    #[arg(long, value_name = "WEIGHTS")]
    pub class_weights: Option<String>,
    /// What models are judged by
    /// [default: accuracy for classes, balanced_accuracy where one class is nearly all of them,
    /// mse for float targets; without targets agreement where the model ends in Softmax or
    /// ArgMax, else relative_error]
    #[arg(long, value_name = "NAME", value_parser = named(["accuracy", "balanced_accuracy", "auc", "mse", "mae", "agreement", "relative_error"]))]
    pub metric: Option<String>,
    /// Adam's step size for weights [default: 0.005]
    #[arg(long, allow_negative_numbers = true, value_name = "RATE")]
    pub learning_rate: Option<f32>,
    /// Adam's step size for bit widths [default: 0.02]
    #[arg(long, allow_negative_numbers = true, value_name = "RATE")]
    pub bits_learning_rate: Option<f32>,
    /// Which bit widths are trained: HGQ v1's fractional ones, or HGQ2's with integer bits of
    /// weights and biases [default: hgq1]
    #[arg(long, value_name = "NAME", value_parser = named(["hgq1", "hgq2_kif", "hgq2_kbi"]))]
    pub quantizers: Option<String>,
    /// Where HGQ2's weights and biases clip [default: sat_sym]
    #[arg(long, value_name = "NAME", value_parser = named(["sat", "sat_sym"]))]
    pub overflow: Option<String>,
    /// Whether activations beside HGQ2's weights clip at trained bits or follow the data
    /// [default: sat]
    #[arg(long, value_name = "NAME", value_parser = named(["sat", "wrap"]))]
    pub activation_overflow: Option<String>,
    /// Nodes whose parameters stay as they are, by name; `*` stands for any characters
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub freeze: Vec<String>,
    /// Widens the traced ranges about their middle [default: 1]
    #[arg(long, allow_negative_numbers = true, value_name = "FACTOR")]
    pub cover_factor: Option<f64>,
    /// How the proxy is written [default: sums]
    #[arg(long, value_name = "FORM", value_parser = named(["sums", "concat", "uniform"]))]
    pub form: Option<String>,
    /// Write proxy_elementwise.onnx as well, for the hls4ml plug-in; beyond their range its
    /// activations saturate or wrap around
    #[arg(long, value_name = "OVERFLOW", value_parser = named(["sat", "wrap"]))]
    pub elementwise: Option<String>,
    /// Let the proxy take images with the channels first, as the model does, through a Transpose
    #[arg(long)]
    pub keep_input_layout: bool,
    /// Output positions that a convolution computes in parallel, for its EBOPs [default: all]
    #[arg(long, allow_negative_numbers = true, value_name = "N")]
    pub parallel_factor: Option<usize>,
    /// Seed of shuffling and splitting [default: 0]
    #[arg(long, allow_negative_numbers = true, value_name = "N")]
    pub seed: Option<u64>,
    /// Worker threads; results are the same for the same seed and threads
    /// [default: all cores, at most 8]
    #[arg(long, allow_negative_numbers = true, value_name = "N")]
    pub threads: Option<usize>,
}

fn named<const N: usize>(names: [&'static str; N]) -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new(names)
}

/// A name as the configuration file spells it.
fn spelled<T: DeserializeOwned>(field: &str, name: &str) -> Result<T, String> {
    serde_json::from_value(name.into()).map_err(|e| format!("config: {field}: {e}"))
}

fn class_weights(text: &str) -> Result<ClassWeights, String> {
    if text == "balanced" {
        return Ok(ClassWeights::Balanced(Balanced::Balanced));
    }
    let number = |part: &str| part.trim().parse::<f32>().ok();
    let numbers: Option<Vec<f32>> = text.split(',').map(number).collect();
    let fault = || format!("options: --class-weights `{text}`: `balanced`, or a number for each class, separated by commas");
    numbers.map(ClassWeights::Given).ok_or_else(fault)
}

impl ConfigFile {
    /// Reads the file (if any), applies the flags and checks the result.
    ///
    /// # Errors
    /// [`Error::Config`] with every fault.
    pub fn load(&self, flags: &Overrides) -> Result<JobConfig, Error> {
        let mut config = match &self.config {
            None => JobConfig::default(),
            Some(path) => {
                let fault = |text: String| Error::Config(vec![format!("{}: {text}", path.display())]);
                let bytes = std::fs::read(path).map_err(|e| fault(format!("cannot read the file: {e}")))?;
                if bytes.len() > MAX_CONFIG_BYTES {
                    return Err(fault("larger than 1 MiB: not a job configuration".into()));
                }
                let named = |e: String| format!("{}: {}", path.display(), e.trim_start_matches("config: "));
                JobConfig::parse(&bytes).map_err(|faults| Error::Config(faults.into_iter().map(named).collect()))?
            }
        };
        let mut faults = Vec::new();
        if let Err(fault) = flags.apply(&mut config) {
            faults.push(fault);
        }
        faults.extend(config.check().err().into_iter().flatten());
        if faults.is_empty() { Ok(config) } else { Err(Error::Config(faults)) }
    }
}

impl Overrides {
    fn apply(&self, config: &mut JobConfig) -> Result<(), String> {
        fn set<T: Clone>(field: &mut T, flag: &Option<T>) {
            if let Some(v) = flag {
                *field = v.clone();
            }
        }
        set(&mut config.epochs, &self.epochs);
        set(&mut config.learning_rate.weights, &self.learning_rate);
        set(&mut config.learning_rate.bits, &self.bits_learning_rate);
        set(&mut config.cover_factor, &self.cover_factor);
        set(&mut config.seed, &self.seed);
        config.batch_size = self.batch_size.or(config.batch_size);
        config.max_metric_drop = self.max_metric_drop.or(config.max_metric_drop);
        config.max_output_error = self.max_output_error.or(config.max_output_error);
        config.threads = self.threads.or(config.threads);
        config.parallel_factor = self.parallel_factor.or(config.parallel_factor);
        config.proxy.keep_input_layout |= self.keep_input_layout;
        let frozen = |pattern: &String| LayerConfig { freeze: Some(Freeze::All(true)), ..LayerConfig::new(pattern) };
        config.layers.splice(0..0, self.freeze.iter().map(frozen));
        self.apply_goal(config)?;
        self.apply_names(config)
    }

    /// Targets and a β schedule exclude each other: the one on the command line wins over those in
    /// the file.
    fn apply_goal(&self, config: &mut JobConfig) -> Result<(), String> {
        if self.target_ebops.is_some() || self.target_luts.is_some() {
            (config.target_ebops, config.target_luts) = (self.target_ebops, self.target_luts);
            (config.beta, config.count) = (None, None);
        }
        if let Some(name) = &self.count {
            config.count = Some(spelled("count", name)?);
        }
        if self.beta_start.is_some() || self.beta_end.is_some() {
            let given = config.beta.take().unwrap_or_default();
            let start = self.beta_start.or(given.start);
            let end = self.beta_end.or(given.end);
            let (Some(start), Some(end)) = (start, end) else {
                return Err("options: --beta-start and --beta-end belong together: give both".into());
            };
            // Equal ends need no logarithm, so a constant 0 is possible.
            let schedule = match given.schedule {
                _ if start == end => BetaSchedule::Constant,
                BetaSchedule::Piecewise => BetaSchedule::Log,
                other => other,
            };
            config.beta = Some(Beta { start: Some(start), end: Some(end), schedule, points: Vec::new() });
            (config.target_ebops, config.target_luts) = (None, None);
        }
        Ok(())
    }

    /// What is spelled as in the configuration file.
    fn apply_names(&self, config: &mut JobConfig) -> Result<(), String> {
        if let Some(name) = &self.mode {
            config.mode = spelled("mode", name)?;
        }
        if let Some(name) = &self.loss {
            config.loss = Some(spelled("loss", name)?);
        }
        if let Some(name) = &self.metric {
            config.metric = Some(spelled("metric", name)?);
        }
        if let Some(text) = &self.class_weights {
            config.class_weights = Some(class_weights(text)?);
        }
        if let Some(name) = &self.quantizers {
            config.quantizers = spelled("quantizers", name)?;
        }
        if let Some(name) = &self.overflow {
            config.overflow = Some(spelled("overflow", name)?);
        }
        if let Some(name) = &self.activation_overflow {
            config.activation_overflow = Some(spelled("activation_overflow", name)?);
        }
        if let Some(name) = &self.elementwise {
            config.proxy.elementwise = Some(spelled("proxy.elementwise", name)?);
        }
        if let Some(name) = &self.form {
            config.proxy.form = spelled("proxy.form", name)?;
        }
        Ok(())
    }
}
