//! Values of the source graph on the data of a job.

use super::Source;
use super::data::Data;
use crate::convert::error::Error;
use crate::convert::layout::join;
use crate::convert::task::logits::Logits;
use crate::data::Dataset;
use crate::graph::{ValueId, eval};
use crate::quant::exact::MinMax;

/// Samples evaluated at a time: bounds what is held on the way.
const CHUNK: usize = 1 << 16;

/// Values of the source graph on a dataset.
pub struct SourceValues {
    /// `samples × width`, outputs joined, before any Softmax.
    pub logits: Vec<f32>,
    /// Range of every graph value.
    pub ranges: Vec<MinMax>,
}

impl SourceValues {
    pub fn none(source: &Source) -> SourceValues {
        SourceValues { logits: Vec::new(), ranges: source.graph.values.iter().map(|v| MinMax::empty(v.len())).collect() }
    }

    /// Ranges of the graph's inputs.
    pub fn reach(&self, source: &Source) -> Vec<MinMax> {
        source.graph.inputs.iter().map(|&i| self.ranges[i].clone()).collect()
    }

    /// Widens the ranges by `samples` rows of every input and, where they are wanted, appends their
    /// logits.
    ///
    /// # Errors
    /// A value that is not finite (its name).
    pub fn add(&mut self, source: &Source, inputs: &[&[f32]], samples: usize, with_logits: bool) -> Result<(), Error> {
        let graph = &source.graph;
        let wanted: Vec<ValueId> =
            (0..graph.values.len()).filter(|&v| graph.inputs.contains(&v) || graph.producer(v).is_some()).collect();
        let logits: Vec<usize> = source.logits.iter().filter_map(|l| wanted.iter().position(|w| w == l)).collect();
        let none = || OnBlocks { logits: Vec::new(), ranges: Vec::new(), fault: None };
        let see = |mut all: OnBlocks, values: &[&[f64]]| {
            let faults = wanted.iter().zip(values).filter_map(|(&v, block)| Some((v, *block.iter().find(|x| !x.is_finite())?)));
            all.fault = all.fault.or_else(|| faults.min_by_key(|f| f.0));
            let ranges = wanted.iter().zip(values).map(|(&v, block)| MinMax::of_rows(block, graph.len_of(v))).collect();
            all.widen(ranges);
            if with_logits {
                let outputs: Vec<&[f64]> = logits.iter().map(|&at| values[at]).collect();
                let samples = outputs.first().zip(source.widths.first()).map_or(0, |(x, width)| x.len() / width.max(&1));
                all.logits.extend(join(&outputs, &source.widths, samples).into_iter().map(|x| x as f32));
            }
            all
        };
        for first in (0..samples).step_by(CHUNK) {
            let n = CHUNK.min(samples - first);
            let part = |&i: &ValueId| first * graph.len_of(i)..(first + n) * graph.len_of(i);
            let rows: Vec<&[f32]> = inputs.iter().zip(&graph.inputs).map(|(x, i)| &x[part(i)]).collect();
            let found = eval::fold(graph, &rows, n, &wanted, none, see, OnBlocks::then);
            let OnBlocks { logits, ranges, fault } = found.map_err(|e| Error::Internal(e.to_string()))?;
            if let Some((v, x)) = fault {
                let name = &graph.values[v].name;
                return Err(Error::Data(vec![format!("the model's value `{name}` is {x} on the data given: scale the inputs")]));
            }
            wanted.iter().zip(&ranges).for_each(|(&v, range)| self.ranges[v].merge(range));
            self.logits.extend(logits);
        }
        Ok(())
    }
}

/// What some samples in a row give.
struct OnBlocks {
    logits: Vec<f32>,
    /// Of the values that are looked at; none before there are any.
    ranges: Vec<MinMax>,
    /// The first value that is not finite.
    fault: Option<(ValueId, f64)>,
}

impl OnBlocks {
    fn widen(&mut self, by: Vec<MinMax>) {
        if self.ranges.is_empty() {
            self.ranges = by;
        } else {
            merge_ranges(&mut self.ranges, &by);
        }
    }

    /// With that of the samples after these.
    fn then(mut self, next: OnBlocks) -> OnBlocks {
        self.logits.extend(next.logits);
        self.widen(next.ranges);
        self.fault = self.fault.or(next.fault);
        self
    }
}

/// Evaluates the source graph on all samples.
///
/// # Errors
/// A value that is not finite (its name).
pub fn evaluate(source: &Source, data: &Dataset) -> Result<SourceValues, Error> {
    let mut values = SourceValues::none(source);
    values.logits.reserve(data.samples * source.width);
    values.add(source, &data.rows(), data.samples, true)?;
    Ok(values)
}

/// Values of the source graph on all data of a job.
pub struct OnData {
    pub calibration: SourceValues,
    /// Logits of the training samples, and of the validation samples.
    pub train: Vec<f32>,
    pub validation: Vec<f32>,
    /// Ranges over calibration and training data.
    pub ranges: Vec<MinMax>,
}

impl OnData {
    /// The outputs as they are judged, without ranges.
    pub fn turned(&self, logits: &Logits) -> OnData {
        let of = |outputs: &[f32]| logits.turned(outputs).into_owned();
        OnData {
            calibration: SourceValues { logits: of(&self.calibration.logits), ranges: Vec::new() },
            train: of(&self.train),
            validation: of(&self.validation),
            ranges: Vec::new(),
        }
    }
}

/// Evaluates the source graph on all data, on each sample once.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_all(source: &Source, data: &Data) -> Result<OnData, Error> {
    let calibration = evaluate(source, &data.calibration)?;
    let mut ranges = calibration.ranges.clone();
    let (train, validation) = match &data.parts {
        Some((train, validation)) => {
            let row = |&r: &usize| &calibration.logits[r * source.width..][..source.width];
            let of = |rows: &[usize]| rows.iter().flat_map(row).copied().collect();
            (of(train), of(validation))
        }
        None => {
            let train = evaluate(source, &data.train)?;
            merge_ranges(&mut ranges, &train.ranges);
            (train.logits, evaluate(source, &data.validation)?.logits)
        }
    };
    Ok(OnData { calibration, train, validation, ranges })
}

/// Widens `a` by `b`.
pub fn merge_ranges(a: &mut [MinMax], b: &[MinMax]) {
    for (a, b) in a.iter_mut().zip(b) {
        a.merge(b);
    }
}
