//! Contents on their way into the store: small ones in memory, so that those the store already has
//! never touch the disk.

use super::Digest;
use crate::data::DataFile;
use crate::service::store_error::StoreError;
use sha2::{Digest as _, Sha256};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Bytes up to which a content stays in memory: most uploads and artifacts of small models, and of
/// a thousand slow clients together no more than a job may take.
const IN_MEMORY: usize = 256 << 10;

/// A content that is being written; hashed as it grows, and gone when dropped.
pub struct Staged {
    content: Content,
    /// Where files are made.
    folder: PathBuf,
    hash: Sha256,
    bytes: u64,
}

enum Content {
    Memory(Vec<u8>),
    File(NamedTempFile),
}

impl Staged {
    /// Nothing yet; `folder` is where it goes if it becomes large, and from where it is moved into
    /// its place.
    pub fn new(folder: &Path) -> Staged {
        Staged { content: Content::Memory(Vec::new()), folder: folder.to_path_buf(), hash: Sha256::new(), bytes: 0 }
    }

    /// # Errors
    /// [`StoreError::Full`] and others.
    pub fn write(&mut self, chunk: &[u8]) -> Result<(), StoreError> {
        if let Content::Memory(start) = &self.content
            && start.len() + chunk.len() > IN_MEMORY
        {
            self.content = Content::File(written(&self.folder, start)?);
        }
        match &mut self.content {
            Content::Memory(bytes) => bytes.extend_from_slice(chunk),
            Content::File(file) => file.write_all(chunk)?,
        }
        self.hash.update(chunk);
        self.bytes += chunk.len() as u64;
        Ok(())
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn digest(&self) -> Digest {
        Digest::from_hash(self.hash.clone())
    }

    /// The content, to be read as often as need be, also after `self` has gone; `name` is for
    /// messages.
    ///
    /// # Errors
    /// When its file cannot be opened.
    pub fn content(&self, name: &str) -> Result<DataFile, StoreError> {
        Ok(match &self.content {
            Content::Memory(bytes) => DataFile::new(name, bytes.clone()),
            Content::File(file) => DataFile::of(name, file.reopen()?, u64::MAX)?,
        })
    }

    /// Reads the content from its start without waiting for the disk.
    ///
    /// # Errors
    /// When its file cannot be opened.
    #[cfg(feature = "farm")]
    pub fn stream(&self) -> Result<Box<dyn tokio::io::AsyncRead + Send + Unpin + '_>, StoreError> {
        Ok(match &self.content {
            Content::Memory(bytes) => Box::new(bytes.as_slice()),
            Content::File(file) => Box::new(tokio::fs::File::from_std(file.reopen()?)),
        })
    }

    /// The content as a file in `folder`.
    ///
    /// # Errors
    /// [`StoreError::Full`] and others.
    pub fn into_file(self) -> Result<NamedTempFile, StoreError> {
        Ok(match self.content {
            Content::Memory(bytes) => written(&self.folder, &bytes)?,
            Content::File(file) => file,
        })
    }
}

fn written(folder: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_ones_make_no_file_and_large_ones_are_whole() {
        let dir = tempfile::tempdir().unwrap();
        let files = || std::fs::read_dir(dir.path()).unwrap().count();
        let all: Vec<u8> = (0..IN_MEMORY + 1000).map(|n| n as u8).collect();
        let mut staged = Staged::new(dir.path());
        staged.write(&all[..IN_MEMORY]).unwrap();
        assert_eq!((files(), staged.bytes()), (0, IN_MEMORY as u64));
        let small = staged.content("small").unwrap();
        staged.write(&all[IN_MEMORY..]).unwrap();
        assert_eq!((files(), staged.digest()), (1, Digest::of(&all)));
        assert_eq!(small.bytes().unwrap(), all[..IN_MEMORY]);
        let large = staged.content("large").unwrap();
        assert_eq!(std::fs::read(staged.into_file().unwrap().path()).unwrap(), all);
        assert_eq!((files(), large.bytes().unwrap()), (0, all), "what is open stays readable");
        let mut staged = Staged::new(dir.path());
        staged.write(b"small").unwrap();
        assert_eq!(std::fs::read(staged.into_file().unwrap().path()).unwrap(), b"small");
    }
}
