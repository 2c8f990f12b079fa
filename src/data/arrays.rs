//! The arrays of a npz archive (a zip of npy members) or of a single npy file. Headers are read
//! when the file is opened, values when they are asked for: each array once, straight into the
//! numbers that are wanted, or piece by piece.
//!
//! Members that are not plain numbers (strings, objects) are remembered with the reason and refused
//! only when asked for.

use super::DataError;
use super::file::{DataFile, Reader};
use super::kind::{Kind, beginning, kind};
use super::limits::DataLimits;
use super::npy::{self, Header, Values};
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use zip::ZipArchive;

/// An array of numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub name: String,
    pub shape: Vec<usize>,
    /// Row-major.
    pub values: Values,
}

impl Array {
    /// Values rounded to f32.
    pub fn into_f32(self) -> Vec<f32> {
        match self.values {
            Values::F32(v) => v,
            Values::F64(v) => v.into_iter().map(|x| x as f32).collect(),
            Values::I64(v) => v.into_iter().map(|x| x as f32).collect(),
            Values::U64(v) => v.into_iter().map(|x| x as f32).collect(),
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Arrays {
    /// Name of the file, for messages.
    pub file: String,
    source: Source,
    arrays: BTreeMap<String, Result<Member, String>>,
}

#[derive(Clone, Debug)]
enum Source {
    Npy(Reader),
    Npz(ZipArchive<Reader>),
}

#[derive(Clone, Debug)]
struct Member {
    header: Header,
    /// Place in the archive.
    index: usize,
}

/// Name under which the array of a npy file is kept.
const SINGLE: &str = "x";

impl Arrays {
    /// Opens a file on disk.
    ///
    /// # Errors
    /// As [`Arrays::of`], and [`DataError::Io`].
    pub fn open(path: impl AsRef<Path>, limits: &DataLimits) -> Result<Self, DataError> {
        let name = path.as_ref().display().to_string();
        match DataFile::open(&*name, path.as_ref(), u64::MAX) {
            Ok(file) => Self::of(&file, limits),
            Err(error) => Err(DataError::Io { file: name, what: error.to_string() }),
        }
    }

    /// Opens npy or npz bytes; `file` is a name for messages.
    ///
    /// # Errors
    /// As [`Arrays::of`].
    pub fn from_bytes(file: &str, bytes: &[u8], limits: &DataLimits) -> Result<Self, DataError> {
        Self::of(&DataFile::new(file, bytes.to_vec()), limits)
    }

    /// Opens a npy or npz file. The array of a npy file is called `x`.
    ///
    /// # Errors
    /// [`DataError`] for other formats, damaged files and sizes above `limits`.
    pub fn of(file: &DataFile, limits: &DataLimits) -> Result<Self, DataError> {
        let mut arrays = BTreeMap::new();
        let source = match kind(&file.name, file.reader(), limits)? {
            Kind::Npy(header) => {
                arrays.insert(SINGLE.to_string(), Ok(Member { header, index: 0 }));
                Source::Npy(file.reader())
            }
            Kind::Npz(mut zip) => {
                members(&file.name, &mut zip, limits.elements, &mut arrays)?;
                Source::Npz(zip)
            }
        };
        Ok(Arrays { file: file.name.clone(), source, arrays })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.arrays.keys().map(String::as_str)
    }

    pub fn contains(&self, name: &str) -> bool {
        self.arrays.contains_key(name)
    }

    /// The shape of the array of this name, `None` if there is none.
    ///
    /// # Errors
    /// [`DataError::Array`] if it is not an array of numbers.
    pub fn shape(&self, name: &str) -> Option<Result<&[usize], DataError>> {
        let member = self.arrays.get(name)?.as_ref();
        Some(member.map(|m| &m.header.shape[..]).map_err(|what| self.fault(name, what.clone())))
    }

    /// Reads the array of this name, `None` if there is none.
    ///
    /// # Errors
    /// [`DataError::Array`] if it is not an array of numbers or is damaged.
    pub fn get(&self, name: &str) -> Option<Result<Array, DataError>> {
        let read = |member: &Member| {
            let values = self.values(member)?;
            Ok(Array { name: name.to_string(), shape: member.header.shape.clone(), values })
        };
        let array = self.arrays.get(name)?.as_ref().map_err(String::clone).and_then(read);
        Some(array.map_err(|what| self.fault(name, what)))
    }

    /// The same to be read piece by piece; `None` also where its samples do not lie side by side in
    /// the file (compressed, or column by column), and where its checksum is wrong: whoever then
    /// reads it whole is told so.
    pub fn stored(&self, name: &str) -> Option<Stored> {
        let member = self.arrays.get(name)?.as_ref().ok().filter(|m| m.header.is_row_major())?;
        let (reader, begin) = match &self.source {
            Source::Npy(reader) => (reader.clone(), 0),
            Source::Npz(zip) => {
                let mut zip = zip.clone();
                let mut plain = zip.by_index(member.index).ok().filter(|m| m.compression() == zip::CompressionMethod::Stored)?;
                let begin = plain.data_start()?;
                // pieces have no checksum of their own: once through all of it
                std::io::copy(&mut plain, &mut std::io::sink()).ok()?;
                drop(plain);
                (zip.into_inner(), begin)
            }
        };
        Some(Stored { header: member.header.clone(), reader, begin: begin + member.header.start() })
    }

    fn values(&self, member: &Member) -> Result<Values, String> {
        let header = &member.header;
        match &self.source {
            Source::Npy(reader) => {
                let mut reader = reader.clone();
                reader.seek(SeekFrom::Start(header.start())).map_err(|e| e.to_string())?;
                header.values(&mut reader)
            }
            Source::Npz(zip) => {
                let mut zip = zip.clone();
                let mut inside = zip.by_index(member.index).map_err(|e| format!("damaged: {e}"))?;
                let start = std::io::copy(&mut inside.by_ref().take(header.start()), &mut std::io::sink());
                start.map_err(|e| format!("damaged: {e}"))?;
                header.values(&mut inside)
            }
        }
    }

    fn fault(&self, name: &str, what: String) -> DataError {
        DataError::Array { file: self.file.clone(), array: Some(name.to_string()), what }
    }
}

/// An array in a file, sample after sample.
#[derive(Clone, Debug)]
pub struct Stored {
    header: Header,
    reader: Reader,
    /// Where the first value is.
    begin: u64,
}

impl Stored {
    /// `n` values from `first` on, rounded to f32.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn read(&mut self, first: usize, n: usize) -> Result<Vec<f32>, String> {
        let at = self.begin + first as u64 * self.header.width();
        self.reader.seek(SeekFrom::Start(at)).map_err(|e| e.to_string())?;
        let values = self.header.stored(&mut self.reader, n)?;
        Ok(Array { name: String::new(), shape: Vec::new(), values }.into_f32())
    }
}

/// The headers of all arrays, of at most `left` elements together.
fn members(
    file: &str,
    zip: &mut ZipArchive<Reader>,
    mut left: usize,
    arrays: &mut BTreeMap<String, Result<Member, String>>,
) -> Result<(), DataError> {
    let not_data = |what: String| DataError::NotData { file: file.to_string(), what };
    for index in 0..zip.len() {
        let mut member = zip.by_index(index).map_err(|e| not_data(format!("damaged zip member {index}: {e}")))?;
        let name = member.name().map_err(|e| not_data(format!("damaged name of zip member {index}: {e}")))?.into_owned();
        let Some(name) = name.strip_suffix(".npy") else { continue };
        let size = member.size();
        let start = beginning(&mut member).map_err(|e| format!("damaged: {e}"));
        let header = start.and_then(|start| npy::header(&start, left)).and_then(|h| h.check_length(size).map(|()| h));
        left -= header.as_ref().map_or(0, |h| h.len.min(left));
        arrays.insert(name.to_string(), header.map(|header| Member { header, index }));
    }
    if arrays.is_empty() {
        return Err(not_data("the zip archive holds no .npy members".into()));
    }
    Ok(())
}
