//! Folders of a process: taken by one at a time, and cleared of what an earlier one left
//! unfinished.

use crate::service::store_error::StoreError;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::Path;

/// Makes a folder if need be and takes it for this process, until the file is dropped.
///
/// # Errors
/// A message for the operator: it cannot be made or written to, or another process has it.
pub fn take(dir: &Path) -> Result<File, String> {
    let at = |what: &str, e: &dyn std::fmt::Display| format!("{}: {what}: {e}", dir.display());
    fs::create_dir_all(dir).map_err(|e| at("cannot create the folder", &e))?;
    let lock = File::create(dir.join("lock")).map_err(|e| at("cannot write to the folder", &e))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(at("in use", &"another process uses this folder")),
        Err(TryLockError::Error(e)) => Err(at("cannot lock the folder", &e)),
    }
}

/// Whether a folder takes files.
///
/// # Errors
/// [`StoreError::Full`] and others.
pub fn writable(dir: &Path) -> Result<(), StoreError> {
    Ok(tempfile::NamedTempFile::new_in(dir)?.write_all(b"ready")?)
}

/// Removes all files of a folder.
///
/// # Errors
/// When one cannot be removed.
pub fn clear(dir: &Path) -> io::Result<()> {
    for file in fs::read_dir(dir)? {
        fs::remove_file(file?.path())?;
    }
    Ok(())
}
