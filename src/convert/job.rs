//! What a job is made of, and what it gives.

use super::config::JobConfig;
use super::documents::{Report, text};
use super::error::Error;
use crate::data::DataFile;
use serde::Serialize;
use std::borrow::Cow;

/// Everything a conversion needs.
#[derive(Clone, Debug)]
pub struct Job {
    /// The ONNX file.
    pub model: Vec<u8>,
    /// Samples that ranges are traced on.
    pub calibration: DataFile,
    /// Samples to train on; without them the calibration inputs.
    pub train: Option<DataFile>,
    /// Samples to choose by; without them a part of the training samples.
    pub validation: Option<DataFile>,
    /// What is asked for.
    pub config: JobConfig,
}

/// What a conversion gives.
#[derive(Clone, Debug)]
pub struct Artifacts {
    /// `proxy.onnx`
    pub proxy: Vec<u8>,
    /// `report.json`
    pub report: Report,
    /// `report.html`: the same for people.
    pub page: String,
    /// Exact EBOPs of the proxy.
    pub ebops: u64,
    /// LUTs of the proxy, estimated.
    pub luts: u64,
    /// Proxies of the Pareto front, in order of EBOPs.
    pub pareto: Vec<ParetoProxy>,
    /// Further files beside the proxy, by name: `hls4ml_config.json`, and `proxy_elementwise.onnx`
    /// where it is asked for.
    pub extra_files: Vec<(&'static str, Vec<u8>)>,
    /// Why the proxy is not what the job asked for (`target_ebops`, `max_metric_drop`); it is then
    /// the nearest to that.
    pub unmet: Option<String>,
}

/// A file of a conversion: its path, and its bytes.
pub type ArtifactFile<'a> = (String, Cow<'a, [u8]>);

impl Artifacts {
    /// All files of a conversion by their paths: `pareto/pareto.json`, `pareto/N/proxy.onnx`, those
    /// of [`Self::extra_files`], `proxy.onnx`, `report.html` and, last, `report.json`: it names the
    /// hash of the proxy, so whoever finds it last finds both.
    ///
    /// # Errors
    /// [`Error::Internal`] if the report cannot be written as JSON.
    pub fn files(&self) -> Result<Vec<ArtifactFile<'_>>, Error> {
        let mut files = vec![("pareto/pareto.json".to_string(), Cow::Owned(written(&self.report.pareto)?))];
        files.extend(self.pareto.iter().map(|m| (format!("pareto/{}/proxy.onnx", m.number), Cow::Borrowed(&m.proxy[..]))));
        files.extend(self.extra_files.iter().map(|(name, bytes)| (name.to_string(), Cow::Borrowed(&bytes[..]))));
        files.push(("proxy.onnx".into(), Cow::Borrowed(&self.proxy)));
        files.push(("report.html".into(), Cow::Borrowed(self.page.as_bytes())));
        files.push(("report.json".into(), Cow::Owned(written(&self.report)?)));
        Ok(files)
    }
}

/// A document as the bytes of a file.
fn written(document: &impl Serialize) -> Result<Vec<u8>, Error> {
    Ok(text(document)?.into_bytes())
}

/// A member of the Pareto front; `number` is that of `pareto` in the report.
#[derive(Clone, Debug)]
pub struct ParetoProxy {
    /// Its number.
    pub number: usize,
    /// The file.
    pub proxy: Vec<u8>,
}
