//! Content addresses, and files on their way into the store.

use super::StoreError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::Write;
use tempfile::NamedTempFile;

/// BLAKE3 of a content, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Digest(String);

impl Digest {
    pub fn of(bytes: &[u8]) -> Digest {
        Digest::from_hash(blake3::hash(bytes))
    }

    pub fn from_hash(hash: blake3::Hash) -> Digest {
        Digest(hash.to_hex().to_string())
    }

    /// `None` for what is not 64 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Digest> {
        let valid = text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        valid.then(|| Digest(text.to_string()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A file that is being written; hashed as it grows, and gone when dropped.
pub struct Staged {
    file: NamedTempFile,
    hash: blake3::Hasher,
    bytes: u64,
}

impl Staged {
    pub fn new(file: NamedTempFile) -> Staged {
        Staged { file, hash: blake3::Hasher::new(), bytes: 0 }
    }

    /// # Errors
    /// [`StoreError::Full`] and others.
    pub fn write(&mut self, chunk: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(chunk)?;
        self.hash.update(chunk);
        self.bytes += chunk.len() as u64;
        Ok(())
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn digest(&self) -> Digest {
        Digest::from_hash(self.hash.finalize())
    }

    /// The file, to be read from its start.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn reopen(&self) -> Result<std::fs::File, StoreError> {
        Ok(self.file.reopen()?)
    }

    pub fn into_file(self) -> NamedTempFile {
        self.file
    }
}

impl From<std::io::Error> for StoreError {
    fn from(e: std::io::Error) -> StoreError {
        match e.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => StoreError::Full,
            _ => StoreError::Unavailable(e.kind().to_string()),
        }
    }
}
