//! What the tests of the command line and of the service share: fixtures and small data files.

// Each test binary uses its part of this.
#![allow(dead_code)]

use npyz::WriterBuilder;
use std::io::Cursor;
use std::path::{Path, PathBuf};

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

pub fn read(name: &str) -> Vec<u8> {
    std::fs::read(fixture(name)).unwrap()
}

/// An npz archive with `x` (float32, samples × width) and, if given, integer labels `y`.
pub fn npz(width: usize, x: &[f32], y: Option<&[i64]>) -> Vec<u8> {
    let y: Vec<(&str, &[i64])> = y.into_iter().map(|y| ("y", y)).collect();
    npz_of(&[("x", width, x)], &y)
}

/// An npz archive of float32 arrays (name, values per sample, values) and integer arrays of one value per sample.
pub fn npz_of(floats: &[(&str, usize, &[f32])], labels: &[(&str, &[i64])]) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let mut archive = npyz::npz::NpzWriter::new(&mut bytes);
    for (name, width, values) in floats {
        let shape = [(values.len() / width) as u64, *width as u64];
        let mut array = archive.array::<f32>(name, Default::default()).unwrap().default_dtype().shape(&shape).begin_nd().unwrap();
        array.extend(values.iter().copied()).unwrap();
        array.finish().unwrap();
    }
    for (name, labels) in labels {
        let shape = [labels.len() as u64];
        let mut array = archive.array::<i64>(name, Default::default()).unwrap().default_dtype().shape(&shape).begin_nd().unwrap();
        array.extend(labels.iter().copied()).unwrap();
        array.finish().unwrap();
    }
    drop(archive);
    bytes.into_inner()
}

/// `samples` rows of digits-like inputs.
pub fn images(samples: usize) -> Vec<f32> {
    (0..samples * 64).map(|i| (i * 7 % 17) as f32 / 17.0).collect()
}

/// One way to give wrong files, and what the message must say.
pub struct Fault {
    pub what: &'static str,
    pub model: Vec<u8>,
    pub calibration: Vec<u8>,
    pub train: Option<Vec<u8>>,
    /// Exit status of the command line.
    pub exit: i32,
    /// Status and code of the service.
    pub http: (u16, &'static str),
    /// All of these are in the message.
    pub says: &'static [&'static str],
}

/// Files that must be refused.
pub fn faults() -> Vec<Fault> {
    let model = read("digits/digits_mlp.onnx");
    let good = || npz(64, &images(20), None);
    let fault = |what, model, calibration, train, exit, http, says| Fault { what, model, calibration, train, exit, http, says };
    let mut nan = images(20);
    nan[64 * 3 + 5] = f32::NAN;
    let labels: Vec<i64> = (0..20).map(|i| if i == 7 { 10 } else { i % 10 }).collect();
    let text = b"# This is not a model\n".to_vec();
    let data = (400, "bad_data");
    vec![
        fault("text as model", text.clone(), good(), None, 2, (400, "not_onnx"), &["model"]),
        fault("truncated model", model[..model.len() / 2].to_vec(), good(), None, 2, (400, "not_onnx"), &["model"]),
        fault("empty model", Vec::new(), good(), None, 2, (400, "not_onnx"), &["model"]),
        fault(
            "two unsupported nodes",
            read("faults/two_unsupported.onnx"),
            npz(4, &[0.5; 40], None),
            None,
            2,
            (422, "unsupported_model"),
            &["/norm/LpNormalization", "/head/Hardmax"],
        ),
        fault("wrong width", model.clone(), npz(63, &images(63), None), None, 3, data, &["calibration", "63", "64"]),
        fault("NaN", model.clone(), npz(64, &nan, None), None, 3, data, &["calibration", "NaN"]),
        fault("no samples", model.clone(), npz(64, &[], None), None, 3, data, &["calibration"]),
        fault("text as calibration", model.clone(), text, None, 3, data, &["calibration"]),
        fault("label out of range", model, good(), Some(npz(64, &images(20), Some(&labels))), 3, data, &["train", "10"]),
    ]
}
