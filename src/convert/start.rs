//! Where float tensors start: the fewest bits with which the outputs follow the source's (docs/training.md, "Start").

use super::layout::{join, outputs};
use super::objective::{spread, squared_error};
use super::prepare::{Data, Source};
use super::training::training_error;
use super::{Error, JobConfig};
use crate::data::Dataset;
use crate::quant::build::{self, Built};
use crate::quant::exact::Exact;
use crate::quant::scale::Scales;
use crate::quant::{Model, QOp};
use crate::trace::{FormatOptions, fix, trace_minmax};
use crate::train::LossKind;
use crate::train::sensitivity::{CalibrationSet, Faithful, Given, Measure};
use std::sync::atomic::AtomicBool;

/// Largest output error of the start: root of the mean squared difference from the source's outputs, by the root of their variance.
pub const MOST_ERROR: f64 = 0.01;
/// The same of what is trained: the recipe's four bits at unit spread had as much (jets 38 %, digits 28 %, a MNIST CNN 71 %) and trained better
/// than a start within 1 %; deeper networks begin with a bit or two more.
const TRAINED_ERROR: f64 = 0.75;
/// Bits more than the recipe's, at most.
const MOST_MORE: usize = 8;
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
/// The price tried first.
const FIRST_PRICE: f64 = 1e-7;
/// A price at which nothing is rounded that matters: what error is left is that of tables, slopes and reciprocals.
const CHEAPEST: f64 = 1e-12;
/// Where such an error is above the aim already, a start this much above it will do.
const ABOVE_FLOOR: f64 = 1.21;

/// What a start is found from.
pub struct Start<'a> {
    pub config: &'a JobConfig,
    pub source: &'a Source,
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
        let found = if self.config.trains() && self.config.epochs > 0 {
            Some(self.to_train(&built.model, &given, (&rows, &teacher)))
        } else {
            self.faithful(&built.model, &given, (&rows, &teacher))?
        };
        if let Some(model) = found {
            built.model = model;
        }
        Ok(())
    }

    /// The fewest bits, the same for all, from which training finds its way.
    fn to_train(&self, model: &Model, given: &[Given], on: (&Dataset, &[f32])) -> Model {
        let mut start = model.clone();
        for more in 1..=MOST_MORE {
            if self.error(&start, on) <= TRAINED_ERROR * TRAINED_ERROR {
                break;
            }
            let finer = finer(model, given, more as f32);
            // more bits than can be computed exactly help nobody
            if !self.error(&finer, on).is_finite() {
                break;
            }
            start = finer;
        }
        start
    }

    /// The fewest bits with which the outputs follow the source's; `None` where none can be computed exactly.
    fn faithful(&self, model: &Model, given: &[Given], on: (&Dataset, &[f32])) -> Result<Option<Model>, Error> {
        let (rows, teacher) = on;
        let widths = self.source.input_widths();
        let x = join(&rows.rows(), &widths, rows.samples);
        let exponents = self.scales.of_outputs();
        let set = CalibrationSet {
            x: &x,
            teacher,
            inputs: widths.iter().sum(),
            outputs: self.source.width,
            measure: Measure::SquaredError { variance: self.variance(teacher) },
            seed: self.config.seed,
            output_exponents: &exponents,
        };
        let sensitivity = Faithful::measure(model, given, &set, &AtomicBool::new(false)).map_err(training_error)?;
        let Some(mut sensitivity) = sensitivity else { return Err(Error::Canceled) };
        Ok(search(&mut |price| {
            let model = sensitivity.model(price);
            let error = self.error(&model, on);
            (model, error)
        }))
    }

    fn variance(&self, teacher: &[f32]) -> f64 {
        spread(LossKind::Mse, teacher, self.source.width, 0..self.source.width)
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
        let all = self.domain.calibration.samples;
        let most = (VALUES / elements.max(1)).clamp(LEAST_SAMPLES, SAMPLES);
        let rows: Vec<usize> = (0..all.min(most)).map(|n| n * all / all.min(most)).collect();
        let width = self.source.width;
        let teacher = rows.iter().flat_map(|&r| &self.teacher[r * width..][..width]).copied().collect();
        (self.domain.calibration.select(&rows), teacher)
    }

    /// Mean squared difference of the outputs from the source's, by their variance; infinite for what cannot be computed exactly.
    fn error(&self, model: &Model, (rows, teacher): (&Dataset, &[f32])) -> f64 {
        let options = FormatOptions { cover_factor: self.config.cover_factor, lower_annotated: self.config.epochs > 0 };
        let of = || {
            let inputs = rows.rows();
            let ranges = trace_minmax(model, &inputs, rows.samples).ok()?;
            let fixed = fix(model, &ranges, &options).ok()?;
            let exact = Exact::new(&fixed).ok()?;
            let found = outputs(&exact, &inputs, rows.samples, &self.source.widths, self.scales);
            Some(squared_error(&found, teacher) / self.variance(teacher))
        };
        of().unwrap_or(f64::INFINITY)
    }
}

/// `model` with so many fractional bits more in all that is not given or annotated.
fn finer(model: &Model, given: &[Given], more: f32) -> Model {
    let mut finer = model.clone();
    for (node, given) in finer.nodes.iter_mut().zip(given) {
        if let QOp::Quantizer(q) = &mut node.op {
            if !q.annotated && !given.activations {
                q.f.iter_mut().for_each(|f| *f = (*f + more).min(q.max_f));
            }
        } else if let QOp::Dense(d) = &mut node.op
            && !given.weights
        {
            d.weight_f.iter_mut().for_each(|f| *f += more);
        }
    }
    finer
}

/// The model at the highest price whose error is within the aim, or near the least there is; `None` where no error is finite.
fn search(tried: &mut dyn FnMut(f64) -> (Model, f64)) -> Option<Model> {
    let bound = MOST_ERROR * MOST_ERROR;
    let (mut price, mut low, mut high) = (FIRST_PRICE, 0f64, f64::INFINITY);
    let (mut within, mut nearest): (Option<Model>, Option<(Model, f64)>) = (None, None);
    let mut limit = AIM.1 * bound;
    for n in 0..TRIES {
        let (model, error) = tried(price);
        if !error.is_finite() {
            // too many bits
            low = low.max(price);
            price = if high.is_finite() { (low * high).sqrt() } else { price * 64.0 };
            continue;
        }
        if nearest.as_ref().is_none_or(|(_, least)| error < *least) {
            nearest = Some((model.clone(), error));
        }
        if error <= limit {
            (low, within) = (price, Some(model));
            if error >= AIM.0 * limit {
                break;
            }
        } else {
            high = price;
            if n == TRIES / 2 && within.is_none() {
                let (model, floor) = tried(CHEAPEST);
                if floor.is_finite() {
                    limit = limit.max(ABOVE_FLOOR * floor);
                    (low, within) = (CHEAPEST, Some(model));
                }
            }
        }
        // in proportion to the error, but never beyond what is known
        let next = price * (0.8 * limit / error.max(1e-3 * limit)).clamp(1e-3, 1e3);
        price = match (next > low && next < high, high.is_finite()) {
            (true, _) => next,
            (false, true) if low > 0.0 => (low * high).sqrt(),
            (false, true) => high / 8.0,
            (false, false) => price * 8.0,
        };
    }
    within.or(nearest.map(|(model, _)| model))
}
