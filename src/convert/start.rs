//! Where float tensors start: the fewest bits with which the outputs follow the source's (docs/training.md, "Start").

use super::layout::join;
use super::objective::spread;
use super::prepare::{Data, Source};
use super::training::training_error;
use super::{Error, JobConfig};
use crate::data::Dataset;
use crate::quant::Model;
use crate::quant::build::{self, Built};
use crate::quant::exact::Exact;
use crate::quant::scale::Scales;
use crate::trace::{FormatOptions, fix, trace_minmax};
use crate::train::LossKind;
use crate::train::sensitivity::{CalibrationSet, Faithful, Given, Measure};
use std::sync::atomic::AtomicBool;

/// Largest output error of the start: root of the mean squared difference from the source's outputs, by the root of their variance.
pub const MOST_ERROR: f64 = 0.01;
/// Samples on which prices are tried; what was found is measured on all of them for the report.
const SAMPLES: usize = 512;
/// Values of activations on these samples that the search holds at most: large images are tried on fewer.
const VALUES: usize = 1 << 25;
/// Fewest samples all the same.
const LEAST_SAMPLES: usize = 16;
/// What is aimed at: between these shares of [`MOST_ERROR`]² all is well.
const AIM: (f64, f64) = (0.6, 0.9);
/// Prices tried at most. The error grows nearly in proportion to the price, so a few do.
const TRIES: usize = 8;
/// A price at which nothing is rounded that matters: what error is left is that of tables, slopes and reciprocals.
const CHEAPEST: f64 = 1e-12;
/// Where such an error is above the aim already, a start this much above it will do.
const ABOVE_FLOOR: f64 = 1.21;

/// What a start is found from.
pub struct Start<'a> {
    pub config: &'a JobConfig,
    pub source: &'a Source,
    pub data: &'a Data,
    pub domain: &'a Data,
    /// The source's outputs on the calibration samples, in the user's units.
    pub teacher: &'a [f32],
    pub scales: &'a Scales,
}

impl Start<'_> {
    /// Gives the float tensors of `built` their widths. Annotated models keep theirs.
    ///
    /// # Errors
    /// [`Error::Internal`] for what training cannot compute either.
    pub fn find(&self, built: &mut Built) -> Result<(), Error> {
        let given = self.given(&built.model);
        if built.annotated || given.iter().all(|g| g.weights && g.activations) {
            return Ok(());
        }
        let (rows, teacher) = self.some();
        let widths = self.source.input_widths();
        let x = join(&rows.rows(), &widths, rows.samples);
        let exponents = self.scales.of_outputs();
        let variance = spread(LossKind::Mse, &teacher, self.source.width, 0..self.source.width);
        let set = CalibrationSet {
            x: &x,
            teacher: &teacher,
            inputs: widths.iter().sum(),
            outputs: self.source.width,
            measure: Measure::SquaredError { variance },
            seed: self.config.seed,
            output_exponents: &exponents,
        };
        let model = built.model.clone();
        let sensitivity = Faithful::measure(&model, &given, &set, &AtomicBool::new(false)).map_err(training_error)?;
        let Some(mut sensitivity) = sensitivity else { return Err(Error::Canceled) };
        let mut tried = |price: f64| {
            let model = sensitivity.model(price);
            let error = self.error(&model, &rows, &teacher, variance);
            (model, error)
        };
        built.model = search(&mut tried);
        Ok(())
    }

    /// Tensors whose start the configuration gives, by node.
    fn given(&self, model: &Model) -> Vec<Given> {
        let rules = super::layers::rules(self.config);
        let of = |name: &str| {
            let settings = build::settings(&rules, &[name, name.strip_suffix("_q").unwrap_or(name)]);
            Given { weights: settings.init_weight_f.is_some(), activations: settings.init_activation_f.is_some() }
        };
        model.nodes.iter().map(|n| of(&n.name)).collect()
    }

    /// An even share of the calibration samples, with the source's outputs.
    fn some(&self) -> (Dataset, Vec<f32>) {
        let elements: usize = self.source.graph.values.iter().map(|v| v.len()).sum();
        let all = self.data.calibration.samples;
        let most = (VALUES / elements.max(1)).clamp(LEAST_SAMPLES, SAMPLES);
        let rows: Vec<usize> = (0..all.min(most)).map(|n| n * all / all.min(most)).collect();
        let width = self.source.width;
        let teacher = rows.iter().flat_map(|&r| &self.teacher[r * width..][..width]).copied().collect();
        (self.domain.calibration.select(&rows), teacher)
    }

    /// Mean squared difference of the outputs from the source's, by their variance; infinite for what cannot be computed exactly.
    fn error(&self, model: &Model, rows: &Dataset, teacher: &[f32], variance: f64) -> f64 {
        let options = FormatOptions { cover_factor: self.config.cover_factor, lower_annotated: self.config.epochs > 0 };
        let of = || {
            let inputs = rows.rows();
            let ranges = trace_minmax(model, &inputs, rows.samples).ok()?;
            let fixed = fix(model, &ranges, &options).ok()?;
            let exact = Exact::new(&fixed).ok()?;
            let mut outputs = join(&exact.run(&inputs, rows.samples, &fixed.outputs), &self.source.widths, rows.samples);
            self.scales.outputs_restored(&mut outputs);
            Some(squared_error(&outputs, teacher) / variance)
        };
        of().unwrap_or(f64::INFINITY)
    }
}

/// Mean squared difference.
pub fn squared_error(outputs: &[f64], source: &[f32]) -> f64 {
    let sum: f64 = outputs.iter().zip(source).map(|(a, &b)| (a - f64::from(b)).powi(2)).sum();
    sum / outputs.len().max(1) as f64
}

/// The model at the highest price whose error is within the aim, or near the least there is.
fn search(tried: &mut dyn FnMut(f64) -> (Model, f64)) -> Model {
    let bound = MOST_ERROR * MOST_ERROR;
    let (mut price, mut found): (f64, Option<(Model, f64)>) = (1e-7, None);
    let (mut low, mut high) = (0f64, f64::INFINITY);
    let mut limit = AIM.1 * bound;
    for n in 0..TRIES {
        let (model, error) = tried(price);
        if error <= limit {
            low = price;
            found = Some((model, error));
            if error >= AIM.0 * limit {
                break;
            }
        } else {
            high = price;
            if n == TRIES / 2 && found.is_none() {
                let (model, floor) = tried(CHEAPEST);
                limit = limit.max(ABOVE_FLOOR * floor);
                (low, found) = (CHEAPEST, Some((model, floor)));
            }
        }
        // in proportion to the error, but never beyond what is known
        let next = price * (0.8 * limit / error.max(1e-3 * limit)).clamp(1e-3, 1e3);
        let between = if low > 0.0 { (low * high).sqrt() } else { high / 8.0 };
        price = if next > low && next < high {
            next
        } else if high.is_finite() {
            between
        } else {
            price * 8.0
        };
    }
    found.unwrap_or_else(|| tried(CHEAPEST)).0
}
