//! The arrays of a npz archive (a zip of npy members) or of a single npy file.
//!
//! Members that are not plain numbers (strings, objects) are remembered with the reason and refused only when asked for.

use std::{
    collections::BTreeMap,
    io::{Cursor, Read},
    path::Path,
};

use super::{DataError, npy, npy::Values, signature};

/// What a data file may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataLimits {
    /// Members of an archive: data sets have a handful of arrays.
    pub members: usize,
    /// Elements of all arrays together; 2²⁸ are 1 GiB of float32, ten times the largest data set in use for these nets.
    pub elements: usize,
}

impl Default for DataLimits {
    fn default() -> Self {
        DataLimits { members: 1000, elements: 1 << 28 }
    }
}

/// An array of numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub name: String,
    pub shape: Vec<usize>,
    /// Row-major.
    pub values: Values,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Arrays {
    /// Name of the file, for messages.
    pub file: String,
    arrays: BTreeMap<String, Result<Array, String>>,
}

/// Name under which the array of a npy file is kept.
const SINGLE: &str = "x";

impl Arrays {
    /// Reads a file from disk.
    ///
    /// # Errors
    /// As [`Arrays::from_bytes`], and [`DataError::Io`].
    pub fn open(path: impl AsRef<Path>, limits: &DataLimits) -> Result<Self, DataError> {
        let file = path.as_ref().display().to_string();
        match std::fs::read(path) {
            Ok(bytes) => Self::from_bytes(&file, &bytes, limits),
            Err(error) => Err(DataError::Io { file, what: error.to_string() }),
        }
    }

    /// Reads npy or npz bytes; `file` is a name for messages. The array of a npy file is called `x`.
    ///
    /// # Errors
    /// [`DataError`] for other formats, damaged files and sizes above `limits`, which are checked before allocation.
    pub fn from_bytes(file: &str, bytes: &[u8], limits: &DataLimits) -> Result<Self, DataError> {
        let mut arrays = BTreeMap::new();
        signature(file, bytes)?;
        if bytes.starts_with(npy::MAGIC) {
            let array = single(SINGLE, bytes, limits.elements);
            let array = array.map_err(|what| DataError::Array { file: file.to_string(), array: None, what })?;
            arrays.insert(SINGLE.to_string(), Ok(array));
        } else {
            members(file, bytes, limits, &mut arrays)?;
        }
        Ok(Arrays { file: file.to_string(), arrays })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.arrays.keys().map(String::as_str)
    }

    /// The array of this name, `None` if there is none.
    ///
    /// # Errors
    /// [`DataError::Array`] if it is not an array of numbers or is damaged.
    pub fn get(&self, name: &str) -> Option<Result<&Array, DataError>> {
        let fault =
            |what: &String| DataError::Array { file: self.file.clone(), array: Some(name.to_string()), what: what.clone() };
        self.arrays.get(name).map(|array| array.as_ref().map_err(fault))
    }
}

fn single(name: &str, bytes: &[u8], max_elements: usize) -> Result<Array, String> {
    let header = npy::header(bytes, max_elements)?;
    let values = header.values(bytes)?;
    Ok(Array { name: name.to_string(), shape: header.shape, values })
}

fn members(
    file: &str,
    bytes: &[u8],
    limits: &DataLimits,
    arrays: &mut BTreeMap<String, Result<Array, String>>,
) -> Result<(), DataError> {
    let not_data = |what: String| DataError::NotData { file: file.to_string(), what };
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| not_data(damaged_zip(&e)))?;
    if zip.len() > limits.members {
        return Err(not_data(format!("{} members, more than the limit of {}", zip.len(), limits.members)));
    }
    let mut left = limits.elements;
    for index in 0..zip.len() {
        let mut member = zip.by_index(index).map_err(|e| not_data(format!("damaged zip member {index}: {e}")))?;
        let name = member.name().map_err(|e| not_data(format!("damaged name of zip member {index}: {e}")))?.into_owned();
        let Some(name) = name.strip_suffix(".npy") else { continue };
        let array = inflate(name, &mut member, left);
        left -= array.as_ref().map_or(0, |a| a.shape.iter().product::<usize>().min(left));
        arrays.insert(name.to_string(), array);
    }
    if arrays.is_empty() {
        return Err(not_data("the zip archive holds no .npy members".into()));
    }
    Ok(())
}

/// What is said of an archive that cannot be opened.
pub fn damaged_zip(error: &zip::result::ZipError) -> String {
    format!("damaged zip: {error}")
}

/// Reads the header first, and then no more than it declares.
fn inflate(name: &str, member: &mut impl Read, max_elements: usize) -> Result<Array, String> {
    const HEADER: u64 = 8192;
    let damaged = |e: std::io::Error| format!("damaged: {e}");
    let mut bytes = Vec::new();
    member.by_ref().take(HEADER).read_to_end(&mut bytes).map_err(damaged)?;
    let header = npy::header(&bytes, max_elements)?;
    let rest = (header.total_bytes() as u64 + 1).saturating_sub(bytes.len() as u64);
    member.take(rest).read_to_end(&mut bytes).map_err(damaged)?;
    let values = header.values(&bytes)?;
    Ok(Array { name: name.to_string(), shape: header.shape, values })
}
