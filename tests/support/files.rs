//! Fixtures and small data files.

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

/// An npz archive of float32 arrays (name, values per sample, values) and integer arrays of one
/// value per sample.
pub fn npz_of(floats: &[(&str, usize, &[f32])], labels: &[(&str, &[i64])]) -> Vec<u8> {
    let shapes: Vec<[usize; 2]> = floats.iter().map(|(_, width, values)| [values.len() / width, *width]).collect();
    let floats: Vec<_> = floats.iter().zip(&shapes).map(|((name, _, values), shape)| (*name, &shape[..], *values)).collect();
    npz_shaped(&floats, labels)
}

/// An npz archive of float32 arrays (name, shape, values) and integer arrays
/// of one value per sample.
pub fn npz_shaped(floats: &[(&str, &[usize], &[f32])], labels: &[(&str, &[i64])]) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let mut archive = npyz::npz::NpzWriter::new(&mut bytes);
    for (name, shape, values) in floats {
        let shape: Vec<u64> = shape.iter().map(|&d| d as u64).collect();
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
