//! Reports of the vendors' tools, read back onto the front of a job
//! (docs/hardware.md#reports-of-the-vendors-tools).

mod csynth;
mod project;
mod vsynth;

use super::documents::{ParetoPoint, Report, Synthesis, json};
use super::error::Error;
use super::report::html;
use crate::onnx::codec::decode;
use crate::onnx::limits::Limits;
use crate::onnx::proto::GraphProto;
pub use project::{Script, script};
use serde_json::Value;

/// A proxy that a job wrote.
#[derive(Clone, Debug)]
pub struct Written {
    /// Relative to the folder of the job.
    pub file: String,
    /// Of the front.
    pub point: usize,
    pub bytes: Vec<u8>,
}

/// The texts of a project, as far as they are there.
#[derive(Clone, Debug, Default)]
pub struct Project {
    /// Its folder, as it was named.
    pub name: String,
    /// The point of the front that it is said to be of.
    pub point: Option<usize>,
    pub part: Option<String>,
    /// `hls4ml_config.yml`
    pub config: Option<String>,
    /// `…_csynth.xml`
    pub csynth: Option<String>,
    /// `vivado_synth.rpt`
    pub vsynth: Option<String>,
}

/// A job's documents with what was read.
#[derive(Clone, Debug)]
pub struct Joined {
    /// `report.json`
    pub report: String,
    /// `report.html`; none where the page was none, or of a version without a place for it.
    pub page: Option<String>,
    /// Every project that is known now, in the order of the points.
    pub synthesis: Vec<Synthesis>,
    /// The front.
    pub points: Vec<ParetoPoint>,
}

/// `report.json` of a job that is done.
#[derive(Clone, Debug)]
pub struct JobReport {
    /// As it is: what a newer program wrote stays in it.
    document: Value,
    report: Report,
}

impl JobReport {
    /// Reads it.
    ///
    /// # Errors
    /// [`Error::Data`]: it is no report.
    pub fn read(text: &str) -> Result<JobReport, Error> {
        let unreadable = |e| Error::Data(vec![format!("report.json: not a report of hgq-onnx: {e}")]);
        let document = serde_json::from_str(text).map_err(unreadable)?;
        Ok(JobReport { report: serde_json::from_str(text).map_err(unreadable)?, document })
    }

    /// The proxies that the job wrote, as far as they are still there, and the points of the front
    /// that they are.
    pub fn files(&self) -> Vec<(String, usize)> {
        let front = &self.report.pareto;
        let chosen = front.iter().find(|p| p.chosen).map_or(0, |p| p.number);
        let single = ["proxy.onnx", "proxy_elementwise.onnx"].map(|file| (file.to_string(), chosen));
        single.into_iter().chain(front.iter().map(|p| (of_point(p.number), p.number))).collect()
    }

    /// Reads `projects` onto the front of the job with this `report.html` and these proxies. A
    /// project read before is read anew; one that cannot be read is its fault.
    ///
    /// # Errors
    /// [`Error::Data`]: every fault of the projects.
    pub fn join(
        mut self,
        page: Option<&str>,
        written: &[Written],
        projects: &[Result<Project, String>],
    ) -> Result<Joined, Error> {
        let known: Vec<(&Written, GraphProto)> = written.iter().filter_map(|w| Some((w, graph(&w.bytes)?))).collect();
        let report = &mut self.report;
        let mut faults = Vec::new();
        for project in projects {
            match project.as_ref().map(|p| (p, read(p, &report.pareto, &known))) {
                Ok((_, Ok(read))) => {
                    report.synthesis.retain(|s| s.project != read.project);
                    report.synthesis.push(read);
                }
                Ok((project, Err(found))) => faults.extend(found.into_iter().map(|f| format!("{}: {f}", project.name))),
                Err(fault) => faults.push(fault.clone()),
            }
        }
        if !faults.is_empty() {
            return Err(Error::Data(faults));
        }
        report.synthesis.sort_by(|a, b| (a.point, &a.project).cmp(&(b.point, &b.project)));
        self.document["synthesis"] = json(&report.synthesis)?;
        Ok(Joined {
            report: format!("{:#}\n", self.document),
            page: page.and_then(|page| html::with_synthesis(page, report)),
            synthesis: self.report.synthesis,
            points: self.report.pareto,
        })
    }
}

/// The proxy of a point, relative to the folder of the job.
fn of_point(point: usize) -> String {
    format!("pareto/{point}/proxy.onnx")
}

fn graph(bytes: &[u8]) -> Option<GraphProto> {
    decode(bytes, &Limits::default()).ok()?.graph
}

/// One project, or all that is wrong with it.
fn read(project: &Project, front: &[ParetoPoint], known: &[(&Written, GraphProto)]) -> Result<Synthesis, Vec<String>> {
    let mut faults = Vec::new();
    let mut told = |file: &str, e: String| faults.push(format!("{file}: {e}"));
    let csynth = project.csynth.as_deref().and_then(|t| csynth::read(t).map_err(|e| told("csynth.xml", e)).ok());
    let vsynth = project.vsynth.as_deref().and_then(|t| vsynth::read(t).map_err(|e| told("vivado_synth.rpt", e)).ok());
    if project.csynth.is_none() && project.vsynth.is_none() {
        faults.push("no report of synthesis: run hls4ml's `build()` with the vendor's tools first".into());
    }
    match made_of(project, front, known) {
        Ok((file, point, compared)) if faults.is_empty() => {
            let (project, part) = (project.name.clone(), project.part.clone());
            Ok(Synthesis { project, point, file, compared, part, csynth, vsynth })
        }
        Ok(_) => Err(faults),
        Err(fault) => Err([faults, vec![fault]].concat()),
    }
}

/// File and point that a project was made of, and whether that was compared.
fn made_of(project: &Project, front: &[ParetoPoint], known: &[(&Written, GraphProto)]) -> Result<(String, usize, bool), String> {
    let model = project.config.as_deref().and_then(project::model).and_then(|bytes| graph(&bytes));
    let same = |model: &GraphProto| known.iter().find(|(w, g)| g == model && project.point.is_none_or(|p| p == w.point));
    if let Some((written, _)) = model.as_ref().and_then(same) {
        return Ok((written.file.clone(), written.point, true));
    }
    match project.point {
        Some(point) if front.iter().any(|p| p.number == point) => Ok((of_point(point), point, false)),
        Some(point) => Err(format!("the front has no point {point}")),
        None if model.is_some() => {
            Err("made of another model than those of this job; where that is a point's proxy all the same, \
             changed by a tool, say so: `--hls POINT=PROJECT`"
                .into())
        }
        None => Err("`hls4ml_config.yml` has no model in it: say which point it is of, `--hls POINT=PROJECT`".into()),
    }
}
