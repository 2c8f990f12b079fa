//! Whole conversions in a test: a job from arrays, its proxy run by the executor.

use super::files::npz;
use crate::support::made::{Made, run};
use hgq_onnx::convert::{DataFile, Error, Job, JobConfig};
use hgq_onnx::data::Rng;
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
        DataFile::new(name, npz(self.width, self.x, self.y))
    }
}

/// A number of the normal distribution.
pub fn normal(rng: &mut Rng) -> f64 {
    (-2.0 * (1.0 - rng.unit()).ln()).sqrt() * (std::f64::consts::TAU * rng.unit()).cos()
}

/// Runs a job.
pub fn convert(model: &[u8], calibration: &Samples, train: Option<&Samples>, config: JobConfig) -> Result<Made, Error> {
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
