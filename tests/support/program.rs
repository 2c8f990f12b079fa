//! The program as a user calls it.

use super::files::fixture;
use std::path::Path;
use std::process::{Command, Output};

pub fn hgq(directory: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hgq-onnx")).args(args).current_dir(directory).output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A directory with the digits files under short names.
pub fn workplace() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["digits_mlp.onnx", "calibration.npz", "train.npz", "test.npz"] {
        std::fs::copy(fixture("digits").join(name), dir.path().join(name)).unwrap();
    }
    dir
}
