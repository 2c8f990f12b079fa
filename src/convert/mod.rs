//! The whole job: `run(job) → artifacts`. The command line and the service call this and nothing below it.

pub mod config;
pub mod error;

pub use config::JobConfig;
pub use error::{Error, NodeFault};

use std::sync::atomic::AtomicBool;

/// A data file as uploaded: its name for messages, and its bytes (`.npy` or `.npz`).
#[derive(Clone, Debug)]
pub struct DataFile {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Everything a conversion needs.
#[derive(Clone, Debug)]
pub struct Job {
    /// The ONNX file.
    pub model: Vec<u8>,
    pub calibration: DataFile,
    pub train: Option<DataFile>,
    pub validation: Option<DataFile>,
    pub config: JobConfig,
}

/// What a conversion gives.
#[derive(Clone, Debug)]
pub struct Artifacts {
    /// `proxy.onnx`
    pub proxy: Vec<u8>,
    /// `report.json`
    pub report: serde_json::Value,
    /// Exact EBOPs of the proxy.
    pub ebops: u64,
    /// Proxies of the Pareto front, in order of EBOPs; the numbers are those of `pareto` in the report.
    pub pareto: Vec<Vec<u8>>,
}

/// Progress of a running job.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    Stage { stage: &'static str },
    Epoch { epoch: usize, epochs: usize, loss: f64, metric: f64, ebops: f64, beta: f64 },
    Note { code: String, message: String },
}

/// Converts a model. `progress` is called on this thread; setting `cancel` ends the job within one batch.
///
/// # Errors
/// See [`Error`].
pub fn run(job: &Job, progress: &mut dyn FnMut(Event), cancel: &AtomicBool) -> Result<Artifacts, Error> {
    let _ = (job, progress, cancel);
    Err(Error::Internal("the pipeline is being put together".into()))
}

/// Ranges and formats on calibration data without training (`hgq-onnx trace`): a JSON document.
///
/// # Errors
/// See [`Error`].
pub fn trace(model: &[u8], calibration: &DataFile, config: &JobConfig) -> Result<serde_json::Value, Error> {
    let _ = (model, calibration, config);
    Err(Error::Internal("the pipeline is being put together".into()))
}

/// What is in a model, what of it is supported, its EBOPs if annotated (`hgq-onnx inspect`): a JSON document.
///
/// # Errors
/// Only [`Error::NotOnnx`]: unsupported nodes are part of the document.
pub fn inspect(model: &[u8]) -> Result<serde_json::Value, Error> {
    let _ = model;
    Err(Error::Internal("the pipeline is being put together".into()))
}

/// Result of executing a proxy bit-exactly (`hgq-onnx verify`).
#[derive(Clone, Debug, serde::Serialize)]
pub struct Verified {
    pub samples: usize,
    /// Elements that differ from the expected outputs; `None` when none were given.
    pub mismatches: Option<usize>,
    /// First differing element: output name, sample, element, got, expected.
    pub first: Option<(String, usize, usize, f64, f64)>,
    /// Values that saturated, over all samples and Quant nodes.
    pub saturations: u64,
    /// Outputs by name: width of one sample, then all samples' values (exact in f64 up to 53 bits).
    #[serde(skip)]
    pub outputs: Vec<(String, usize, Vec<f64>)>,
}

/// Executes a proxy in integers and compares with expected outputs if there are any.
///
/// # Errors
/// See [`Error`].
pub fn verify(proxy: &[u8], inputs: &DataFile, expected: Option<&DataFile>) -> Result<Verified, Error> {
    let _ = (proxy, inputs, expected);
    Err(Error::Internal("the pipeline is being put together".into()))
}
