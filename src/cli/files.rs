//! Reading the files named on the command line, and writing single files so that they are whole or
//! absent.

use crate::convert::error::Error;
use crate::data::DataFile;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;

/// Largest model file: what a protobuf message can hold.
const MAX_MODEL_BYTES: u64 = 2 << 30;
/// Largest text: a page and a project's settings have the model in them, every weight in some dozen
/// characters.
const MAX_DOCUMENT_BYTES: u64 = 1 << 30;
/// Largest data file: 16 GiB; its arrays are held in memory.
const MAX_DATA_BYTES: u64 = 16 << 30;

fn open(path: &Path, most: u64) -> Result<DataFile, Error> {
    DataFile::open(path.display().to_string(), path, most).map_err(|e| match e.kind() {
        ErrorKind::FileTooLarge => fault(path, &format!("larger than {} GiB", most >> 30)),
        _ => cannot_read(path, &e),
    })
}

fn fault(path: &Path, what: &str) -> Error {
    Error::Data(vec![format!("{}: {what}", path.display())])
}

fn cannot_read(path: &Path, e: &std::io::Error) -> Error {
    fault(path, &format!("cannot read the file: {e}"))
}

/// Reads an ONNX file.
pub fn model(path: &Path) -> Result<Vec<u8>, Error> {
    open(path, MAX_MODEL_BYTES)?.bytes().map_err(|e| cannot_read(path, &e))
}

/// Reads a text that this program or hls4ml wrote.
pub fn document(path: &Path) -> Result<String, Error> {
    let bytes = open(path, MAX_DOCUMENT_BYTES)?.bytes().map_err(|e| cannot_read(path, &e))?;
    String::from_utf8(bytes).map_err(|_| fault(path, "not a text"))
}

/// Opens a `.npy` or `.npz` file; the path is its name in messages.
pub fn data(path: &Path) -> Result<DataFile, Error> {
    open(path, MAX_DATA_BYTES)
}

/// The directory in which `path` lies.
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Name of a hidden file or directory sibling_path `path`, for this process alone.
pub fn sibling_path(path: &Path, what: &str) -> std::path::PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    parent(path).join(format!(".{name}.{what}-{}", std::process::id()))
}

/// Writes a file through a temporary one sibling_path it: it is replaced as a whole or not at all.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let temporary = sibling_path(path, "new");
    let written = File::create(&temporary)
        .and_then(|mut f| f.write_all(bytes).and_then(|()| f.sync_all()))
        .and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written.map_err(|e| Error::Data(vec![format!("{}: cannot write the file: {e}", path.display())]))
}
