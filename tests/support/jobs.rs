//! Whole conversions in a test: a job from arrays, its proxy run by the executor, its verdict from hls4ml.
#![allow(dead_code)]

use super::{common, hls4ml};
use hgq_onnx::convert::{Artifacts, DataFile, Error, Job, JobConfig, run};
use hgq_onnx::verify::fixed::Program;
use std::sync::atomic::AtomicBool;

/// Labelled or unlabelled samples.
pub struct Samples<'a> {
    pub width: usize,
    pub x: &'a [f32],
    pub y: Option<&'a [i64]>,
}

impl Samples<'_> {
    fn file(&self, name: &str) -> DataFile {
        DataFile::new(name, common::npz(self.width, self.x, self.y))
    }
}

/// Runs a job.
pub fn convert(model: &[u8], calibration: &Samples, train: Option<&Samples>, config: JobConfig) -> Result<Artifacts, Error> {
    let job = Job {
        model: model.to_vec(),
        calibration: calibration.file("calibration.npz"),
        train: train.map(|t| t.file("train.npz")),
        validation: None,
        config,
    };
    run(&job, &mut |_| {}, &AtomicBool::new(false))
}

/// A configuration from JSON, as a user writes it.
pub fn config(json: &str) -> JobConfig {
    JobConfig::from_json(json.as_bytes()).expect("a configuration")
}

/// Outputs of a proxy as its integers say, and the name of the output.
pub fn outputs(proxy: &[u8], x: &[f32]) -> (String, Vec<f64>) {
    let program = Program::from_bytes(proxy).expect("a proxy");
    let width: usize = program.inputs()[0].shape.iter().product();
    let ran = program.run(&[x], x.len() / width).expect("runs");
    (ran.outputs[0].name.clone(), ran.outputs[0].to_f64())
}

/// Share of samples whose largest output is the label.
pub fn accuracy(outputs: &[f64], labels: &[i64]) -> f64 {
    let width = outputs.len() / labels.len();
    let right =
        outputs.chunks_exact(width).zip(labels).filter(|(row, y)| hgq_onnx::convert::task::metric::predicted(row) as i64 == **y);
    right.count() as f64 / labels.len() as f64
}

/// A proxy, inputs, and the outputs that stock hls4ml must give.
pub struct Case {
    name: String,
    proxy: Vec<u8>,
    x: Vec<f32>,
    samples: usize,
    output: String,
    want: Vec<f64>,
}

impl Case {
    /// The outputs are the executor's.
    pub fn new(name: &str, proxy: &[u8], x: &[f32], width: usize) -> Case {
        let (output, want) = outputs(proxy, x);
        Case { name: name.into(), proxy: proxy.to_vec(), x: x.to_vec(), samples: x.len() / width, output, want }
    }
}

/// Lets hls4ml compute all cases; panics on any mismatch.
pub fn judge(cases: &[Case]) {
    let list: Vec<hls4ml::Job> = cases
        .iter()
        .map(|c| hls4ml::Job {
            proxy: &c.proxy,
            inputs: vec![&c.x],
            settings: serde_json::Value::Null,
            samples: c.samples,
            expected: vec![(c.output.as_str(), c.want.clone())],
            port: None,
        })
        .collect();
    let Some(verdicts) = hls4ml::check(&list) else { return };
    for (case, verdict) in cases.iter().zip(&verdicts) {
        assert_eq!(verdict.mismatches, 0, "hls4ml, {}: {}", case.name, verdict.note);
        assert_eq!(verdict.elements, case.want.len() as u64, "hls4ml, {}", case.name);
    }
}
