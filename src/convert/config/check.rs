//! The ranges of a job's fields, part by part; the order of the faults is that of the parts.

use super::quantizers::QuantizersName;
use super::training::{Beta, BetaSchedule, ClassWeights};
use super::{JobConfig, Mode};
use crate::proxy::target::{Backend, Strategy};
use crate::train::pareto::Count;

/// Most epochs of one job: far beyond the point where more helped in any measurement.
const MAX_EPOCHS: usize = 100_000;
/// Largest step of Adam, which moves every parameter by about this much per step.
const MAX_RATE: f32 = 1.0;
/// Largest class weight, and the inverse of the smallest: their ratios stay far within the
/// precision of a sum of losses.
const MAX_CLASS_WEIGHT: f32 = 1e6;
/// Most branches of one run: more would leave each of them too few epochs to anneal in.
const MAX_BUDGETS: usize = 64;
/// Most threads: shards beyond the cores of the largest common server only cost memory.
const MAX_THREADS: usize = 256;

impl JobConfig {
    /// Checks ranges.
    ///
    /// # Errors
    /// Every fault found, one line each, naming the field.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let mut faults = Vec::new();
        let need = &mut |ok: bool, text: &str| {
            if !ok {
                faults.push(format!("config: {text}"));
            }
        };
        self.check_mode(need);
        self.check_training(need);
        if let Some(beta) = &self.beta {
            self.check_beta(beta, need);
        }
        self.check_budgets(need);
        self.check_overflow(need);
        need((0.0..=1.0).contains(&self.teacher_weight), "teacher_weight: between 0 and 1");
        self.check_starting_bits(need);
        self.check_class_weights(need);
        need(
            self.cover_factor.is_finite() && self.cover_factor > 0.0 && self.cover_factor <= 1024.0,
            "cover_factor: above 0, at most 1024",
        );
        need((0.0..0.9).contains(&self.validation_fraction), "validation_fraction: from 0 to below 0.9");
        need(self.threads.is_none_or(|t| (1..=MAX_THREADS).contains(&t)), "threads: 1 to 256");
        need(self.parallel_factor != Some(0), "parallel_factor: at least 1");
        self.check_hls4ml(need);
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// What only one of the modes uses.
    fn check_mode(&self, need: &mut impl FnMut(bool, &str)) {
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
                ("budgets", self.budgets.is_some()),
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
    }

    /// Epochs, batches and rates.
    fn check_training(&self, need: &mut impl FnMut(bool, &str)) {
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
    }

    /// A schedule of β, and what it excludes.
    fn check_beta(&self, b: &Beta, need: &mut impl FnMut(bool, &str)) {
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
    }

    /// What the wanted model may cost and lose.
    fn check_budgets(&self, need: &mut impl FnMut(bool, &str)) {
        if let Some(budgets) = &self.budgets {
            let sound = (1..=MAX_BUDGETS).contains(&budgets.len()) && budgets.iter().all(|b| b.is_finite() && *b >= 1.0);
            need(sound, "budgets: 1 to 64 numbers of at least 1");
        }
        need(self.gamma.is_finite() && self.gamma >= 0.0, "gamma: not negative");
        self.check_size(need);
        need(self.max_metric_drop.is_none_or(|t| t.is_finite() && t >= 0.0), "max_metric_drop: not negative");
    }

    /// The size that is wanted, in one unit.
    fn check_size(&self, need: &mut impl FnMut(bool, &str)) {
        let sound = |target: Option<f64>| target.is_none_or(|t| t.is_finite() && t >= 1.0);
        need(sound(self.target_ebops), "target_ebops: at least 1");
        need(sound(self.target_luts), "target_luts: at least 1");
        need(
            self.target_ebops.is_none() || self.target_luts.is_none(),
            "target_ebops and target_luts: one model is the best within one of them; give one",
        );
        let other = match self.count {
            Some(Count::Ebops) => self.target_luts,
            Some(Count::Luts) => self.target_ebops,
            None => None,
        };
        need(other.is_none(), "count: ebops goes with target_ebops, luts with target_luts");
        need(
            self.beta.is_none() || (self.target_ebops.is_none() && self.target_luts.is_none() && self.budgets.is_none()),
            "beta excludes target_ebops, target_luts and budgets: give one of them",
        );
    }

    /// What HGQ2's quantizers have and those of HGQ v1 do not.
    fn check_overflow(&self, need: &mut impl FnMut(bool, &str)) {
        let v1 = self.quantizers == QuantizersName::Hgq1;
        need(!v1 || self.overflow.is_none(), "overflow: only with quantizers hgq2_kif or hgq2_kbi");
        need(!v1 || self.activation_overflow.is_none(), "activation_overflow: only with quantizers hgq2_kif or hgq2_kbi");
    }

    /// Starting widths, of all layers and of single ones, with what else is said of these.
    fn check_starting_bits(&self, need: &mut impl FnMut(bool, &str)) {
        let bits = |v: f32| (-8.0..=23.0).contains(&v);
        need(self.init_bits.weights.is_none_or(bits), "init_bits.weights: between -8 and 23");
        need(self.init_bits.activations.is_none_or(bits), "init_bits.activations: between -8 and 23");
        for fault in self.layers.iter().enumerate().flat_map(|(n, layer)| layer.check(n, bits)) {
            need(false, &fault);
        }
    }

    fn check_class_weights(&self, need: &mut impl FnMut(bool, &str)) {
        if let Some(ClassWeights::Given(weights)) = &self.class_weights {
            let in_range = |w: &f32| (1.0 / MAX_CLASS_WEIGHT..=MAX_CLASS_WEIGHT).contains(w);
            need(
                !weights.is_empty() && weights.iter().all(in_range),
                "class_weights: numbers between 1e-6 and 1e6, one per class",
            );
        }
    }

    fn check_hls4ml(&self, need: &mut impl FnMut(bool, &str)) {
        need(matches!(self.hls4ml.io_type.as_str(), "io_parallel" | "io_stream"), "hls4ml.io_type: io_parallel or io_stream");
        let backend = Backend::ALL.iter().any(|b| b.name() == self.hls4ml.backend);
        need(backend, "hls4ml.backend: Vitis, Vivado, Quartus or Catapult; with others nothing was compared");
        need(self.hls4ml.reuse_factor >= 1, "hls4ml.reuse_factor: at least 1");
        let target = self.hls4ml.target();
        if let Some(why) = target.refused() {
            need(false, &format!("hls4ml.strategy: no {} with backend {}: {why}", target.strategy.name(), self.hls4ml.backend));
        }
        // hls4ml says so too, in the middle of its conversion
        let once = target.strategy != Strategy::DistributedArithmetic || self.hls4ml.reuse_factor <= 1;
        need(once, "hls4ml.reuse_factor: 1 with strategy distributed_arithmetic, which has no multipliers to use again");
    }
}
