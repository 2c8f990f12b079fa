//! The data of a job: read, checked, split.

use super::Source;
use crate::convert::config::Mode;
use crate::convert::error::Error;
use crate::convert::job::Job;
use crate::convert::task::ends;
use crate::data::order::to_graph;
use crate::data::{Arrays, DataError, DataFile, DataLimits, Dataset, InputShape, OutputShape, Samples, Targets, split};
use std::sync::Arc;

/// Largest input: beyond it the products of a layer leave 64 bits, and no port of practical width
/// holds it.
const MAX_INPUT: f32 = 1e9;

/// Samples kept to train on where nothing is trained: the loss in the report needs an idea of how
/// far the source's outputs spread.
const MAX_UNTRAINED: usize = 1 << 16;

/// Values read at a time of a file that is not held in memory: 16 MiB of float32.
const BLOCK_ELEMENTS: usize = 1 << 22;

/// All data of a job.
#[derive(Clone)]
pub struct Data {
    pub calibration: Dataset,
    /// What is trained on; from the calibration inputs when there are no training data.
    pub train: Dataset,
    pub validation: Dataset,
    /// How the validation samples came about, for the report.
    pub validation_origin: &'static str,
    /// Whether the validation samples are others than those trained on.
    pub held_out: bool,
    /// Inputs that ranges are traced on: the calibration data, and the training data if they are
    /// others.
    pub trace: Vec<Arc<Vec<f32>>>,
    pub trace_samples: usize,
    /// Where they all are calibration samples: which of them are trained on and which validated
    /// with.
    pub parts: Option<(Vec<usize>, Vec<usize>)>,
}

/// Reads and checks the data files.
///
/// # Errors
/// [`Error::Data`] with every fault of every file.
pub fn load(source: &Source, job: &Job) -> Result<Data, Error> {
    let config = &job.config;
    // mode calibrate holds nothing back from the calibration samples: they are few, and nothing is
    // trained on them
    let (fraction, all) = match config.mode {
        Mode::Calibrate => (0.0, "calibration samples"),
        Mode::FineTune => (config.validation_fraction, "training samples"),
    };
    let mut faults = Vec::new();
    let asked = ends::asked(config);
    let outputs: Vec<OutputShape> = source.output_shapes().into_iter().map(|output| OutputShape { asked, ..output }).collect();
    let mut read = |file: &DataFile, what: &str, outputs: &[OutputShape]| {
        dataset(source, file, what, outputs).map_err(|e| faults.extend(e)).ok()
    };
    let calibration = read(&job.calibration, "calibration", &[]);
    let train = job.train.as_ref().map(|f| read(f, "train", &outputs));
    let validation = job.validation.as_ref().map(|f| read(f, "validation", &outputs));
    let (Some(calibration), true) = (calibration, faults.is_empty()) else { return Err(Error::Data(faults)) };
    let train = train.flatten();
    let (trace, trace_samples) = trace_inputs(&calibration, train.as_ref());
    let given = job.validation.is_some();
    let own = train.is_some() || validation.is_some();
    let train = train.unwrap_or_else(|| calibration.clone());
    let mut parts = None;
    let (train, validation, validation_origin) = match validation.flatten() {
        Some(v) => (train, v, "given"),
        None if fraction == 0.0 || train.samples < 2 => (train.clone(), train, all),
        None => {
            let (mut fit, held) = split(train.samples, train.targets.as_ref(), fraction, config.seed);
            if config.epochs == 0 {
                let step = fit.len().div_ceil(MAX_UNTRAINED).max(1);
                fit = fit.into_iter().step_by(step).collect();
            }
            let split = (train.select(&fit), train.select(&held), "split from training samples");
            parts = (!own).then_some((fit, held));
            split
        }
    };
    if let Some(Targets::Values { width, .. }) = &train.targets
        && *width != source.width
    {
        return Err(Error::Data(vec![format!(
            "train: `y` has {width} values per sample, the model has {} outputs",
            source.width
        )]));
    }
    if let (Some(a), Some(b)) = (&train.targets, &validation.targets)
        && !a.same_kind(b)
    {
        return Err(Error::Data(vec![
            "validation: its `y` are classes where those of the training data are values, or the other way round".into(),
        ]));
    }
    if train.targets.is_some() && validation.targets.is_none() {
        return Err(Error::Data(vec!["validation: `y` is missing, the training data have one".into()]));
    }
    let held_out = given || validation_origin != all;
    Ok(Data { calibration, train, validation, validation_origin, held_out, trace, trace_samples, parts })
}

fn trace_inputs(calibration: &Dataset, train: Option<&Dataset>) -> (Vec<Arc<Vec<f32>>>, usize) {
    let Some(train) = train else { return (calibration.inputs.clone(), calibration.samples) };
    if train.inputs.iter().zip(&calibration.inputs).all(|(t, c)| t.starts_with(c)) {
        return (train.inputs.clone(), train.samples);
    }
    let both = calibration.inputs.iter().zip(&train.inputs).map(|(c, t)| Arc::new([&c[..], t].concat())).collect();
    (both, calibration.samples + train.samples)
}

/// One data file as a dataset of the model's inputs, with the targets of `outputs`.
///
/// # Errors
/// Every fault, one line each.
pub fn dataset(source: &Source, file: &DataFile, what: &str, outputs: &[OutputShape]) -> Result<Dataset, Vec<String>> {
    let inputs = source.input_shapes();
    let arrays = Arrays::of(file, &DataLimits::default()).map_err(|e| lines(&e, what))?;
    let mut data = Dataset::from_arrays(&arrays, &inputs, outputs, what).map_err(|e| lines(&e, what))?;
    for (x, InputShape { name, .. }) in data.inputs.iter().zip(&inputs) {
        too_large(x).map_or(Ok(()), |at| Err(vec![beyond(what, &file.name, name, x[at], at)]))?;
    }
    if let Some(targets) = &mut data.targets {
        order_targets(source, targets);
    }
    Ok(data)
}

/// Index of the first value that is too large.
fn too_large(x: &[f32]) -> Option<usize> {
    x.iter().position(|v| v.abs() > MAX_INPUT)
}

fn beyond(what: &str, file: &str, name: &str, v: f32, at: usize) -> String {
    format!("{what} (`{file}`): input `{name}` is {v} at index {at}: scale the inputs below {MAX_INPUT}")
}

/// The inputs in one data file, to be read block by block.
pub struct Blocks<'a> {
    source: &'a Source,
    file: &'a DataFile,
    what: &'a str,
    samples: Samples,
}

impl<'a> Blocks<'a> {
    /// `what`: the role of the data in messages.
    ///
    /// # Errors
    /// Every fault, one line each.
    pub fn open(source: &'a Source, file: &'a DataFile, what: &'a str) -> Result<Blocks<'a>, Vec<String>> {
        let arrays = Arrays::of(file, &DataLimits::default()).map_err(|e| lines(&e, what))?;
        let samples = Samples::from_arrays(&arrays, &source.input_shapes(), what).map_err(|e| lines(&e, what))?;
        Ok(Blocks { source, file, what, samples })
    }

    pub fn samples(&self) -> usize {
        self.samples.samples
    }

    /// The first `most` rows of every input.
    ///
    /// # Errors
    /// Faults of the file.
    pub fn first(&mut self, most: usize) -> Result<Vec<Vec<f32>>, Error> {
        let n = most.min(self.samples());
        let rows = self.samples.rows(0, n).map_err(|e| Error::Data(lines(&e, self.what)))?;
        Ok(rows.iter().map(|x| x.to_vec()).collect())
    }

    /// Calls `each` with the rows of every input and their number, block after block.
    ///
    /// # Errors
    /// Faults of the file, and those of `each`.
    pub fn each(&mut self, mut each: impl FnMut(&[&[f32]], usize) -> Result<(), Error>) -> Result<(), Error> {
        let (widths, inputs) = (self.source.input_widths(), self.source.input_shapes());
        let size = (BLOCK_ELEMENTS / widths.iter().sum::<usize>().max(1)).max(1);
        for first in (0..self.samples()).step_by(size) {
            let n = size.min(self.samples() - first);
            let rows = self.samples.rows(first, n).map_err(|e| Error::Data(lines(&e, self.what)))?;
            for ((x, width), InputShape { name, .. }) in rows.iter().zip(&widths).zip(&inputs) {
                if let Some(at) = too_large(x) {
                    return Err(Error::Data(vec![beyond(self.what, &self.file.name, name, x[at], first * width + at)]));
                }
            }
            each(&rows.iter().map(|x| &x[..]).collect::<Vec<_>>(), n)?;
        }
        Ok(())
    }
}

/// Brings values of outputs whose channels the file has first into the graph's order.
fn order_targets(source: &Source, targets: &mut Targets) {
    let mut parts: Vec<&mut Targets> = match targets {
        Targets::Outputs(outputs) => outputs.iter_mut().map(|o| &mut o.targets).collect(),
        one => vec![one],
    };
    let whole = parts.len() == 1;
    for (at, part) in parts.iter_mut().enumerate() {
        let (Targets::Values { width, values } | Targets::Shares { width, values } | Targets::Sides { width, values, .. }) =
            &mut **part
        else {
            continue;
        };
        let outputs = if whole { 0..source.widths.len() } else { at..at + 1 };
        for row in values.chunks_exact_mut((*width).max(1)) {
            let mut rest = row;
            for (&width, order) in source.widths[outputs.clone()].iter().zip(&source.output_orders[outputs.clone()]) {
                let (part, next) = rest.split_at_mut(width);
                if let Some(order) = order {
                    let ordered = to_graph(part, order);
                    part.copy_from_slice(&ordered);
                }
                rest = next;
            }
        }
    }
}

/// One line per fault, each naming the role and the file.
pub fn lines(error: &DataError, what: &str) -> Vec<String> {
    match error {
        DataError::Faults { file, faults, .. } => faults.iter().map(|f| format!("{what} (`{file}`): {f}")).collect(),
        other => vec![format!("{what}: {other}")],
    }
}
