//! The whole job: `run(job) → artifacts`. The command line and the service call this and nothing below it.

mod begin;
mod calibrate;
mod centre;
mod checkpoint;
mod choice;
mod compose;
pub mod config;
mod config_faults;
mod curve;
mod declare;
mod difference;
mod domain;
mod elementwise;
pub mod emit;
pub(crate) mod ends;
pub mod error;
mod feed;
mod hls4ml;
pub mod html;
mod inspect;
pub mod interface;
mod judged;
mod layers;
mod layout;
mod logits;
mod memory;
pub mod metric;
mod objective;
mod per_output;
mod pipeline;
mod plan;
mod polish;
mod port_type;
mod prepare;
mod price;
mod purpose;
pub mod report;
mod score;
mod seen;
mod settings;
mod show_declared;
mod source_check;
mod start;
mod suggest;
mod thin;
mod trace;
mod training;
mod unread;
mod verify;

pub use config::JobConfig;
pub use error::{Error, NodeFault};
pub use feed::{DataLayout, Fed};
pub use inspect::inspect;
pub use memory::estimate;
pub use trace::trace;
pub use verify::{Verified, verify};

pub use crate::data::DataFile;

use std::borrow::Cow;
use std::sync::atomic::AtomicBool;

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
    /// `report.html`: the same for people.
    pub page: String,
    /// Exact EBOPs of the proxy.
    pub ebops: u64,
    /// Proxies of the Pareto front, in order of EBOPs.
    pub pareto: Vec<ParetoProxy>,
    /// Further files beside the proxy, by name: `hls4ml_config.json`, and `proxy_elementwise.onnx` where it is asked for.
    pub beside: Vec<(&'static str, Vec<u8>)>,
    /// Why the proxy is not what the job asked for (`target_ebops`, `max_metric_drop`); it is then the nearest to that.
    pub unmet: Option<String>,
}

/// A file of a conversion: its path, and its bytes.
pub type ArtifactFile<'a> = (String, Cow<'a, [u8]>);

impl Artifacts {
    /// All files of a conversion by their paths: `pareto/pareto.json`, `pareto/N/proxy.onnx`, those of [`Self::beside`], `proxy.onnx`, `report.html`
    /// and, last, `report.json`: it names the hash of the proxy, so whoever finds it last finds both.
    ///
    /// # Errors
    /// [`Error::Internal`] if the report cannot be written as JSON.
    pub fn files(&self) -> Result<Vec<ArtifactFile<'_>>, Error> {
        let json = |value: &serde_json::Value| -> Result<Vec<u8>, Error> {
            let mut text = serde_json::to_vec_pretty(value).map_err(|e| Error::Internal(e.to_string()))?;
            text.push(b'\n');
            Ok::<_, Error>(text)
        };
        let pareto = self.report.get("pareto").map_or_else(|| Ok(b"[]\n".to_vec()), json)?;
        let mut files = vec![("pareto/pareto.json".to_string(), Cow::Owned(pareto))];
        files.extend(self.pareto.iter().map(|m| (format!("pareto/{}/proxy.onnx", m.number), Cow::Borrowed(&m.proxy[..]))));
        files.extend(self.beside.iter().map(|(name, bytes)| (name.to_string(), Cow::Borrowed(&bytes[..]))));
        files.push(("proxy.onnx".into(), Cow::Borrowed(&self.proxy)));
        files.push(("report.html".into(), Cow::Borrowed(self.page.as_bytes())));
        files.push(("report.json".into(), Cow::Owned(json(&self.report)?)));
        Ok(files)
    }
}

/// A member of the Pareto front; `number` is that of `pareto` in the report.
#[derive(Clone, Debug)]
pub struct ParetoProxy {
    pub number: usize,
    pub proxy: Vec<u8>,
}

/// The step of a stage that begins, from 1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Step {
    pub step: usize,
    pub steps: usize,
}

/// Progress of a running job.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A stage begins, or a step of one that knows how many it has at most.
    Stage {
        stage: Cow<'static, str>,
        #[serde(flatten)]
        step: Option<Step>,
    },
    Epoch {
        epoch: usize,
        epochs: usize,
        loss: f64,
        metric: f64,
        ebops: f64,
        beta: f64,
    },
    Note {
        code: String,
        message: String,
    },
}

/// Converts a model. `progress` is called from a worker thread; setting `cancel` ends the job within one batch.
///
/// # Errors
/// See [`Error`].
pub fn run(job: &Job, progress: &mut (dyn FnMut(Event) + Send), cancel: &AtomicBool) -> Result<Artifacts, Error> {
    run_kept(job, progress, &mut Forget, cancel)
}

/// [`run`], with checkpoints: a job that was stopped in training goes on where its last checkpoint was taken, and ends as if it had
/// not been stopped.
///
/// # Errors
/// See [`Error`].
pub fn run_kept(
    job: &Job,
    progress: &mut (dyn FnMut(Event) + Send),
    keeper: &mut (dyn Keeper + Send),
    cancel: &AtomicBool,
) -> Result<Artifacts, Error> {
    on_threads(&job.config, || pipeline::run(job, progress, keeper, cancel))
}

/// What [`run`] would do, as a JSON document: everything is read and checked, nothing is trained.
///
/// # Errors
/// Those that [`run`] would find before its first step.
pub fn plan(job: &Job) -> Result<serde_json::Value, Error> {
    on_threads(&job.config, || plan::plan(job))
}

/// Where the checkpoints of a job go. Those of another job (model, data, configuration, version) are not taken up.
pub trait Keeper {
    /// The last checkpoint, if there is one.
    fn load(&mut self) -> Option<Vec<u8>>;
    /// Takes the place of the last one.
    fn save(&mut self, checkpoint: &[u8]);
}

/// Keeps nothing.
struct Forget;

impl Keeper for Forget {
    fn load(&mut self) -> Option<Vec<u8>> {
        None
    }

    fn save(&mut self, _: &[u8]) {}
}

/// Runs `work` where exact evaluation uses as many threads as the job asks for.
fn on_threads<T: Send>(config: &JobConfig, work: impl FnOnce() -> Result<T, Error> + Send) -> Result<T, Error> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(config.thread_count()).build();
    pool.map_err(|e| Error::Internal(e.to_string()))?.install(work)
}
