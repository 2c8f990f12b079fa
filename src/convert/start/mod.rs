//! Where float tensors start: the fewest bits with which the outputs follow the source's
//! (docs/training.md, "Start").

mod centre;
mod price;

use super::config::JobConfig;
use super::error::{Error, training_error};
use super::layout::{join, outputs};
use super::source::Source;
use super::source::data::Data;
use super::start::centre::centre;
use super::start::price::search;
use super::task::objective::{spread, squared_error};
use crate::data::Dataset;
use crate::graph::{Dense, Node, Op};
use crate::quant::exact::Exact;
use crate::quant::insert::{self, Built};
use crate::quant::interval::{Bounds, MAX_BITS};
use crate::quant::scale::Scales;
use crate::quant::{Model, QOp};
use crate::trace::{FormatOptions, fix, trace_minmax};
use crate::train::LossKind;
use crate::train::sensitivity::{CalibrationSet, Faithful, Given, Measure};
use std::collections::HashSet;
use std::sync::atomic::AtomicBool;

/// Largest output error of the start: root of the mean squared difference from the source's
/// outputs, by the root of their variance.
pub const MAX_ERROR: f64 = 0.01;
/// The same of what is trained: four bits at unit spread (docs/recipe.md#start) had as much (jets
/// 38 %, digits 28 %, a MNIST CNN 71 %) and trained better than a start within 1 %; deeper networks
/// begin with a bit or two more.
const TRAINED_ERROR: f64 = 0.75;
/// Bits more than those, at most.
const MAX_MORE: usize = 8;
/// Samples on which prices are tried; what was found is measured on all of them for the report.
const SAMPLES: usize = 512;
/// Values of activations on these samples that the search holds at most: large images are tried on
/// fewer.
const VALUES: usize = 1 << 25;
/// Fewest samples all the same.
const MIN_SAMPLES: usize = 16;
/// Samples from which the mean error of an output is known to a fifth of its spread; that of fewer
/// would be these samples' own.
const MIN_TO_CENTRE: usize = 25;
/// What is aimed at: between these shares of [`MAX_ERROR`]² all is well.
const AIM: (f64, f64) = (0.82, 0.92);
/// An error of this many times [`MAX_ERROR`]² is not that of rounding biases: more bits do not mend
/// it.
const MAX_OVER: f64 = 1.5;
/// Shares less where prices are tried on `n` of the samples only: this by `√n`, as their error
/// differs from that of all.
const DOUBT: f64 = 1.5;
/// Bits that the rest of the samples may add to the ranges.
const MARGIN: u32 = 4;

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
    /// Gives the float tensors of `built` their widths. Where activations are annotated the model
    /// keeps its own.
    ///
    /// # Errors
    /// [`Error::Internal`] for what training cannot compute either.
    pub fn find(&self, built: &mut Built) -> Result<(), Error> {
        let given = self.given(&built.model);
        if insert::has_activations(&self.source.graph) || given.iter().all(|g| g.weights && g.activations) {
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
        let (mut start, mut error) = (model.clone(), self.error(model, on));
        for more in 1..=MAX_MORE {
            if error <= TRAINED_ERROR * TRAINED_ERROR {
                break;
            }
            let finer = finer(model, given, more as f32);
            let of_finer = self.error(&finer, on);
            // more bits than can be computed exactly help nobody
            if !of_finer.is_finite() {
                break;
            }
            (start, error) = (finer, of_finer);
        }
        start
    }

    /// The fewest bits with which the outputs follow the source's; `None` where none can be
    /// computed exactly.
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
        let all = rows.samples == self.domain.calibration.samples;
        let doubt = if all { 0.0 } else { DOUBT / (rows.samples as f64).sqrt() };
        let bound = MAX_ERROR * MAX_ERROR;
        let mut within = |share: f64| {
            search(((AIM.0 - doubt) * share * bound, (AIM.1 - doubt) * share * bound), &mut |price| {
                let mut model = sensitivity.model(price);
                let error = self.centred(&mut model, on);
                (model, error)
            })
        };
        let Some(found) = within(1.0) else { return Ok(None) };
        // biases that take a mean error up are rounded themselves, which the search does not see
        let over = self.error(&found, on) / bound;
        if over > 1.0 && over <= MAX_OVER { Ok(within(1.0 / over)) } else { Ok(Some(found)) }
    }

    fn variance(&self, teacher: &[f32]) -> f64 {
        spread(LossKind::Mse, teacher, self.source.width, 0..self.source.width)
    }

    /// Tensors whose start the configuration or the file gives, by node.
    fn given(&self, model: &Model) -> Vec<Given> {
        let rules = super::config::rules::rules(self.config);
        let annotated = self.layers(|d| d.weight_quant.is_some());
        let of = |name: &str| {
            let settings = insert::settings(&rules, &[name, name.strip_suffix("_q").unwrap_or(name)]);
            Given {
                weights: settings.init_weight_f.is_some() || annotated.contains(name),
                activations: settings.init_activation_f.is_some(),
            }
        };
        model.nodes.iter().map(|n| of(&n.name)).collect()
    }

    /// Names of the source's layers that are `wanted`.
    fn layers(&self, wanted: fn(&Dense) -> bool) -> HashSet<&str> {
        let is = |n: &&Node<Op>| matches!(&n.op, Op::Dense(d) if wanted(d));
        self.source.graph.nodes.iter().filter(is).map(|n| n.name.as_str()).collect()
    }

    /// An even share of the calibration samples, with the source's outputs.
    fn some(&self) -> (Dataset, Vec<f32>) {
        let elements: usize = self.source.graph.values.iter().map(|v| v.len()).sum();
        let all = self.domain.calibration.samples;
        let most = (VALUES / elements.max(1)).clamp(MIN_SAMPLES, SAMPLES);
        let rows: Vec<usize> = (0..all.min(most)).map(|n| n * all / all.min(most)).collect();
        let width = self.source.width;
        let teacher = rows.iter().flat_map(|&r| &self.teacher[r * width..][..width]).copied().collect();
        (self.domain.calibration.select(&rows), teacher)
    }

    /// Mean squared difference of the outputs from the source's, by their variance; infinite for
    /// what cannot be computed exactly.
    fn error(&self, model: &Model, on: (&Dataset, &[f32])) -> f64 {
        let teacher = on.1;
        self.outputs(model, on).map_or(f64::INFINITY, |found| squared_error(&found, teacher) / self.variance(teacher))
    }

    /// The same with the mean error of the outputs taken into the biases of `model`.
    fn centred(&self, model: &mut Model, on: (&Dataset, &[f32])) -> f64 {
        let (teacher, width) = (on.1, self.source.width.max(1));
        if on.0.samples < MIN_TO_CENTRE {
            return self.error(model, on);
        }
        let Some(found) = self.outputs(model, on) else { return f64::INFINITY };
        let mut mean = vec![0.0; width];
        for (row, source) in found.chunks_exact(width).zip(teacher.chunks_exact(width)) {
            let share = width as f64 / found.len() as f64;
            mean.iter_mut().zip(row.iter().zip(source)).for_each(|(m, (a, &b))| *m += (a - f64::from(b)) * share);
        }
        let fixed = self.layers(|d| d.bias_quant.is_some());
        let removed = centre(model, &mean, &self.scales.of_outputs(), |name| !fixed.contains(name));
        (squared_error(&found, teacher) - removed).max(0.0) / self.variance(teacher)
    }

    /// What `model` gives for the rows; `None` where it cannot be computed exactly.
    fn outputs(&self, model: &Model, (rows, _): (&Dataset, &[f32])) -> Option<Vec<f64>> {
        let options = FormatOptions { cover_factor: self.config.cover_factor, lower_annotated: self.config.epochs > 0 };
        let inputs = rows.rows();
        let ranges = trace_minmax(model, &inputs, rows.samples).ok()?;
        let fixed = fix(model, &ranges, &options).ok()?;
        let exact = Exact::new(&fixed).ok()?;
        let bits = exact.bounds().iter().flatten().map(Bounds::max_bits).max().unwrap_or(0);
        let fits = bits + MARGIN <= MAX_BITS;
        fits.then(|| outputs(&exact, &inputs, rows.samples, &self.source.widths, self.scales))
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
