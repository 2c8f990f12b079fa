//! From uploaded bytes to a checked graph and checked data. Every fault of model, data and configuration is found here.

use super::config::Mode;
use super::ends;
use super::layout::join;
use super::logits::Logits;
use super::{DataFile, Error, Job, JobConfig, NodeFault};
use crate::data::{Arrays, DataError, DataLimits, Dataset, InputShape, OutputShape, Samples, Targets, order::to_graph, split};
use crate::graph::eval;
use crate::graph::import::{ImportError, Note, import};
use crate::graph::{Graph, Op, ValueId};
use crate::onnx::codec::decode;
use crate::onnx::limits::Limits;
use crate::quant::exact::MinMax;
use std::sync::Arc;

/// Largest input: beyond it the products of a layer leave 64 bits, and no port of practical width holds it.
const MAX_INPUT: f32 = 1e9;
/// Samples evaluated at a time: bounds what is held on the way.
const CHUNK: usize = 1 << 16;
/// Samples kept to train on where nothing is trained: the loss in the report needs an idea of how far the source's outputs spread.
const MOST_UNTRAINED: usize = 1 << 16;
/// Values read at a time of a file that is not held in memory: 16 MiB of float32.
const BLOCK_ELEMENTS: usize = 1 << 22;

/// The imported model.
pub struct Source {
    pub graph: Graph,
    pub notes: Vec<Note>,
    /// The values that the proxy's outputs stand for: the graph's outputs, or what their Softmax reads.
    pub logits: Vec<ValueId>,
    pub has_softmax: bool,
    /// Values per sample of each output.
    pub widths: Vec<usize>,
    /// Values per sample of all outputs.
    pub width: usize,
    /// See [`crate::graph::import::Imported::input_orders`].
    pub input_orders: Vec<Option<Vec<usize>>>,
    pub output_orders: Vec<Option<Vec<usize>>>,
    /// Per output, whether the file decodes class labels from it.
    pub decoded: Vec<bool>,
}

impl Source {
    /// Values per sample of each input.
    pub fn input_widths(&self) -> Vec<usize> {
        self.graph.inputs.iter().map(|&i| self.graph.len_of(i)).collect()
    }

    /// The orders in which the proxy takes its inputs; none where it has them all as the graph has.
    pub fn proxy_orders(&self, config: &JobConfig) -> &[Option<Vec<usize>>] {
        if config.proxy.keep_input_layout { &self.input_orders } else { &[] }
    }

    /// What the outputs give, by the names of the file.
    pub fn output_shapes(&self) -> Vec<OutputShape> {
        let of = |((&len, &output), &decoded): ((&usize, &ValueId), &bool)| OutputShape {
            ends: ends::of(&self.graph, output, decoded),
            ..OutputShape::new(self.graph.values[output].name.clone(), len)
        };
        self.widths.iter().zip(&self.graph.outputs).zip(&self.decoded).map(of).collect()
    }

    /// What the inputs take, by name.
    pub fn input_shapes(&self) -> Vec<InputShape> {
        let of = |(&i, order): (&ValueId, &Option<Vec<usize>>)| InputShape {
            name: self.graph.values[i].name.clone(),
            shape: self.graph.values[i].shape.clone(),
            order: order.clone(),
        };
        self.graph.inputs.iter().zip(&self.input_orders).map(of).collect()
    }
}

/// Decodes and imports.
///
/// # Errors
/// [`Error::NotOnnx`] or [`Error::Unsupported`] with every offending node.
pub fn source(bytes: &[u8]) -> Result<Source, Error> {
    let model = decode(bytes, &Limits::default()).map_err(|e| Error::NotOnnx(e.to_string()))?;
    let imported = import(&model).map_err(|e| match e {
        ImportError::Unsupported { nodes } => {
            Error::Unsupported(nodes.into_iter().map(|n| NodeFault { name: n.name, op: n.op, reason: n.reason }).collect())
        }
        other => Error::NotOnnx(other.to_string()),
    })?;
    let (mut graph, mut notes, mut output_orders) = (imported.graph, imported.notes, imported.output_orders);
    graph.check().map_err(|e| Error::Internal(e.to_string()))?;
    let softmax = |graph: &Graph, output| graph.producer(output).filter(|&n| matches!(graph.nodes[n].op, Op::Softmax));
    let has_softmax = graph.outputs.iter().any(|&o| softmax(&graph, o).is_some());
    let mut logits: Vec<ValueId> = Vec::new();
    let mut kept = Vec::new();
    for (at, &output) in graph.outputs.iter().enumerate() {
        let value = softmax(&graph, output).map_or(output, |n| graph.nodes[n].inputs[0]);
        if logits.contains(&value) {
            let message = format!("output `{}` is left out: another output has the same logits", graph.values[output].name);
            notes.push(Note { code: "output_dropped", message, node: None });
        } else {
            logits.push(value);
            kept.push(at);
        }
    }
    graph.outputs = kept.iter().map(|&at| graph.outputs[at]).collect();
    output_orders = kept.iter().map(|&at| output_orders.get(at).cloned().flatten()).collect();
    let decoded = kept.iter().map(|&at| imported.decoded.get(at).copied().unwrap_or(false)).collect();
    if graph.inputs.is_empty() || logits.is_empty() || graph.nodes.iter().all(|n| !matches!(n.op, Op::Dense(_))) {
        let reason = "there is no Gemm, MatMul or Conv in it: nothing to quantize".into();
        return Err(Error::Unsupported(vec![NodeFault { name: graph.name.clone(), op: "graph".into(), reason }]));
    }
    let widths: Vec<usize> = logits.iter().map(|&v| graph.len_of(v)).collect();
    let width = widths.iter().sum();
    let input_orders = imported.input_orders;
    Ok(Source { notes, logits, has_softmax, widths, width, input_orders, output_orders, decoded, graph })
}

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
    /// Inputs that ranges are traced on: the calibration data, and the training data if they are others.
    pub trace: Vec<Arc<Vec<f32>>>,
    pub trace_samples: usize,
    /// Where they all are calibration samples: which of them are trained on and which validated with.
    pub(super) parts: Option<(Vec<usize>, Vec<usize>)>,
}

/// Reads and checks the data files.
///
/// # Errors
/// [`Error::Data`] with every fault of every file.
pub fn data(source: &Source, job: &Job) -> Result<Data, Error> {
    let config = &job.config;
    // mode calibrate holds nothing back from the calibration samples: they are few, and nothing is trained on them
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
                let step = fit.len().div_ceil(MOST_UNTRAINED).max(1);
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

    /// Widens the ranges by `samples` rows of every input and, where they are wanted, appends their logits.
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

    /// With that of the samples behind these.
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
pub(super) fn merge_ranges(a: &mut [MinMax], b: &[MinMax]) {
    for (a, b) in a.iter_mut().zip(b) {
        a.merge(b);
    }
}
