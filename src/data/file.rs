//! A data file as a job holds it: bytes that came with a request, or a file on disk that is read
//! piece by piece.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// A data file (`.npy` or `.npz`) and its name for messages. Clones share the content.
#[derive(Clone, Debug)]
pub struct DataFile {
    pub name: String,
    content: Content,
    len: u64,
}

#[derive(Clone, Debug)]
enum Content {
    Bytes(Arc<Vec<u8>>),
    /// Open as long as the job lives: the file may be replaced or removed meanwhile.
    File(Arc<Mutex<File>>),
}

impl DataFile {
    pub fn new(name: impl Into<String>, bytes: Vec<u8>) -> DataFile {
        DataFile { name: name.into(), len: bytes.len() as u64, content: Content::Bytes(Arc::new(bytes)) }
    }

    /// A file on disk of at most `most` bytes; what is not an ordinary file (a pipe) is read at
    /// once.
    ///
    /// # Errors
    /// When it cannot be opened or read, [`io::ErrorKind::FileTooLarge`] beyond `most`.
    pub fn open(name: impl Into<String>, path: &Path, most: u64) -> io::Result<DataFile> {
        DataFile::of(name, File::open(path)?, most)
    }

    /// The same of an open file, from its beginning on.
    ///
    /// # Errors
    /// As [`DataFile::open`].
    pub fn of(name: impl Into<String>, mut file: File, most: u64) -> io::Result<DataFile> {
        let metadata = file.metadata()?;
        let found = if metadata.is_file() {
            DataFile { name: name.into(), len: metadata.len(), content: Content::File(Arc::new(Mutex::new(file))) }
        } else {
            let mut bytes = Vec::new();
            file.by_ref().take(most.saturating_add(1)).read_to_end(&mut bytes)?;
            DataFile::new(name, bytes)
        };
        if found.len > most { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(found) }
    }

    /// Bytes of the whole file.
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The whole of it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader().read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads from its beginning, independent of other readers.
    pub fn reader(&self) -> Reader {
        Reader { content: self.content.clone(), at: 0, len: self.len }
    }
}

/// See [`DataFile::reader`].
#[derive(Clone, Debug)]
pub struct Reader {
    content: Content,
    at: u64,
    len: u64,
}

impl Read for Reader {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let n = match &self.content {
            Content::Bytes(bytes) => {
                let left = usize::try_from(self.at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
                let n = left.len().min(to.len());
                to[..n].copy_from_slice(&left[..n]);
                n
            }
            Content::File(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(self.at))?;
                file.read(to)?
            }
        };
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_files_read_alike() {
        let bytes: Vec<u8> = (0..=255).collect();
        let path = std::env::temp_dir().join(format!("hgq-data-file-{}", std::process::id()));
        std::fs::write(&path, &bytes).unwrap();
        let on_disk = DataFile::open("f", &path, 256).unwrap();
        assert_eq!(DataFile::open("f", &path, 255).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        // what is open stays readable
        std::fs::remove_file(&path).unwrap();
        for file in [DataFile::new("f", bytes.clone()), on_disk] {
            let (mut a, mut b) = (file.reader(), file.reader());
            a.seek(SeekFrom::End(-3)).unwrap();
            let (mut end, mut all) = (Vec::new(), Vec::new());
            a.read_to_end(&mut end).unwrap();
            b.read_to_end(&mut all).unwrap();
            assert_eq!((end, all, file.len()), (vec![253, 254, 255], bytes.clone(), 256));
            assert!(a.seek(SeekFrom::Current(-300)).is_err());
            a.seek(SeekFrom::Start(1000)).unwrap();
            assert_eq!(a.read(&mut [0; 4]).unwrap(), 0);
        }
    }
}
