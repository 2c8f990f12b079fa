//! `mode: calibrate`: candidates for a range of prices per EBOP from the sensitivities on the
//! calibration data, scored exactly.
//!
//! The prices are spread over everything from nearly exact to nearly empty; where the job has a
//! target, more of them close in on it.

use crate::convert::config::JobConfig;
use crate::convert::error::{Error, training_error};
use crate::convert::evaluation::score::{ExactCandidate, Judge};
use crate::convert::layout::join;
use crate::convert::progress::Reporter;
use crate::convert::progress::curve::CurvePoint;
use crate::convert::source::Source;
use crate::convert::source::data::Data;
use crate::convert::task::objective::{spread, squared_error};
use crate::quant::Model;
use crate::quant::exact::Exact;
use crate::train::LossKind;
use crate::train::pareto::{Front, Point, Score};
use crate::train::sensitivity::{CalibrationSet, Measure, Sensitivity};
use std::sync::atomic::{AtomicBool, Ordering};

/// Prices of activation widths as shares of those of weights: which one is better differs along the
/// front (digits, jets).
const WIDTH_SHARES: [f64; 2] = [0.3, 1.0];
/// Products for one exact evaluation from which on one share must do: a candidate then takes longer
/// to score than to make.
const HEAVY: usize = 100_000_000;
/// Prices tried first: from this error per EBOP of the start …
const CHEAPEST: f64 = 1e-3;
/// … to this one, in units of the error measure …
const DEAREST: f64 = 10.0;
/// … in this many steps of equal ratio.
const PRICES: usize = 14;
/// Halvings of the interval of prices around a target.
const HALVINGS: usize = 6;
/// EBOPs of the start are taken as at least this, so that prices mean something for a nearly empty
/// model.
const SMALLEST_START: f64 = 100.0;

/// What a calibration needs.
pub struct Calibration<'a> {
    pub config: &'a JobConfig,
    pub source: &'a Source,
    pub domain: &'a Data,
    /// The source's logits on the calibration samples.
    pub teacher: &'a [f32],
    pub model: &'a Model,
    pub judge: &'a Judge<'a>,
    pub start: &'a ExactCandidate,
    /// The source's validation metric, larger is better.
    pub source_metric: f64,
}

struct Search<'a, 'b, 'c> {
    job: &'a Calibration<'a>,
    sensitivity: Sensitivity<'a>,
    reporter: &'b mut Reporter<'c>,
    front: Front<Model>,
    tried: usize,
    total: usize,
    /// The candidate of the smallest output error, for where none is small enough.
    closest: Option<(f64, Point<Model>)>,
}

/// What a calibration found.
pub struct Calibrated {
    /// With `max_output_error` only candidates within it.
    pub front: Front<Model>,
    /// Why the front holds a single candidate that is beyond `max_output_error`, if none is within.
    pub unmet: Option<String>,
}

/// Finds the candidates and their front.
///
/// # Errors
/// [`Error::Canceled`], [`Error::Internal`].
pub fn calibrate(job: &Calibration, reporter: &mut Reporter, cancel: &AtomicBool) -> Result<Calibrated, Error> {
    let Calibration { config, source, domain, teacher, model, judge, start, .. } = *job;
    let (widths, exponents) = (source.input_widths(), judge.scales.of_outputs());
    let x = join(&domain.calibration.rows(), &widths, domain.calibration.samples);
    let set = CalibrationSet {
        x: &x,
        teacher,
        inputs: widths.iter().sum(),
        outputs: source.width,
        measure: match judge.classes {
            true => Measure::Divergence { temperature: judge.temperature as f32 },
            false => Measure::SquaredError { variance: spread(LossKind::Mse, teacher, source.width, 0..source.width) },
        },
        seed: config.seed,
        output_exponents: &exponents,
    };
    let sensitivity = Sensitivity::measure(model, &set, cancel).map_err(training_error)?.ok_or(Error::Canceled)?;
    let heavy = sensitivity.products() as usize >= HEAVY / domain.validation.samples.max(1);
    let shares = if heavy { &WIDTH_SHARES[1..] } else { &WIDTH_SHARES[..] };
    let mut search = Search {
        job,
        sensitivity,
        reporter,
        front: Front::new(config.count()),
        tried: 0,
        total: shares.len() * (PRICES + HALVINGS),
        closest: None,
    };
    search.enter(0, start, model.clone())?;
    let unit = 1.0 / (start.score.ebops as f64).max(SMALLEST_START);
    for &share in shares {
        search.prices(unit, share, cancel)?;
    }
    let Search { mut front, closest, .. } = search;
    let mut unmet = None;
    if let (Some(bound), true, Some((error, point))) = (config.max_output_error, front.points().is_empty(), closest) {
        unmet =
            Some(format!("no candidate has an output error of at most max_output_error {bound}: the smallest is {error:.3e}"));
        front.insert(point);
    }
    Ok(Calibrated { front, unmet })
}

impl Search<'_, '_, '_> {
    /// Tries all prices, in `unit`s of the error per EBOP, and closes in on what the job asks for.
    fn prices(&mut self, unit: f64, share: f64, cancel: &AtomicBool) -> Result<(), Error> {
        let ratio = (DEAREST / CHEAPEST).powf(1.0 / (PRICES - 1) as f64);
        // the price before the first one that is too high for what the job asks, and that one
        let (mut low, mut high) = (None, None);
        for n in 0..PRICES {
            let price = CHEAPEST * unit * ratio.powi(n as i32);
            match self.candidate(price, share, cancel)? {
                true if high.is_none() => low = Some(price),
                true => {}
                false => high = high.or(Some(price)),
            }
        }
        if let (Some(mut low), Some(mut high)) = (low, high) {
            for _ in 0..HALVINGS {
                let middle = (low * high).sqrt();
                match self.candidate(middle, share, cancel)? {
                    true => low = middle,
                    false => high = middle,
                }
            }
        }
        Ok(())
    }

    /// Makes and scores the candidate for `price` and this share of it for widths. True where a
    /// larger price is the way to what the job asks for.
    fn candidate(&mut self, price: f64, share: f64, cancel: &AtomicBool) -> Result<bool, Error> {
        if cancel.load(Ordering::Relaxed) {
            return Err(Error::Canceled);
        }
        self.tried += 1;
        let model = self.sensitivity.allocate(price, share);
        // sums beyond 62 bits: no candidate, and smaller ones will do
        let Ok(exactly) = self.job.judge.judge(&model) else { return Ok(true) };
        let error = self.enter(self.tried, &exactly, model)?;
        let Score { ebops, metric, loss, collapsed, hardware, .. } = exactly.score;
        let metric_shown = self.job.judge.kind.shown(metric);
        let point = CurvePoint {
            epoch: self.tried as u64,
            loss,
            metric: metric_shown,
            ebops: ebops as f64,
            beta: price,
            luts: Some(hardware.luts as f64),
        };
        self.reporter.epoch(point, self.total);
        let config = self.job.config;
        // one answer for everything is not a candidate, however good its metric
        Ok(match (config.target(), config.max_output_error, config.max_metric_drop) {
            (Some(target), _, _) => config.count().of(&exactly.score) as f64 > target,
            (None, Some(bound), _) => !collapsed && error <= bound,
            (None, None, Some(drop)) => !collapsed && metric >= self.job.source_metric - drop,
            (None, None, None) => {
                !collapsed && metric >= self.job.source_metric - self.job.judge.kind.default_drop(self.job.source_metric)
            }
        })
    }

    /// Offers a candidate to the front and returns its output error.
    fn enter(&mut self, number: usize, exactly: &ExactCandidate, model: Model) -> Result<f64, Error> {
        let error = output_error(self.job, exactly)?;
        let point = Point { epoch: number, score: exactly.score, payload: model };
        if self.job.config.max_output_error.is_none_or(|bound| error <= bound) {
            self.front.insert(point);
        } else if self.closest.as_ref().is_none_or(|(smallest, _)| error < *smallest) {
            self.closest = Some((error, point));
        }
        Ok(error)
    }
}

/// Mean squared difference of the candidate's outputs from the source's on the validation data,
/// divided by the mean variance of the source's outputs.
fn output_error(job: &Calibration, exactly: &ExactCandidate) -> Result<f64, Error> {
    let Judge { validation, source_outputs, .. } = job.judge;
    let joined = job.judge.restored(&Exact::new(&exactly.pruned)?, validation);
    Ok(squared_error(&joined, source_outputs) / spread(LossKind::Mse, source_outputs, job.source.width, 0..job.source.width))
}
