//! What kind of data file it is, from its beginning: a npy array, or a npz archive of them.

use super::npy::{self, Header};
use super::{DataError, DataLimits};
use std::io::{self, Read, Seek, SeekFrom};
use zip::ZipArchive;

/// Bytes in which the header of an array must end.
const HEADER: u64 = 8192;

pub enum Kind<R> {
    /// One array, whose header fits the file.
    Npy(Header),
    Npz(ZipArchive<R>),
}

/// Opens a npy or npz file; `file` is a name for messages.
///
/// # Errors
/// [`DataError`] for other formats, damaged or truncated files, a single array or a number of
/// members above `limits`.
pub fn kind<R: Read + Seek>(file: &str, mut source: R, limits: &DataLimits) -> Result<Kind<R>, DataError> {
    let io = |e: io::Error| DataError::Io { file: file.to_string(), what: e.to_string() };
    let not_data = |what: String| DataError::NotData { file: file.to_string(), what };
    let start = beginning(&mut source).map_err(io)?;
    signature(file, &start)?;
    if start.starts_with(npy::MAGIC) {
        let length = source.seek(SeekFrom::End(0)).map_err(io)?;
        let header = npy::header(&start, limits.elements).and_then(|h| h.check_length(length).map(|()| h));
        return header.map(Kind::Npy).map_err(|what| DataError::Array { file: file.to_string(), array: None, what });
    }
    source.rewind().map_err(io)?;
    let zip = ZipArchive::new(source).map_err(|e| not_data(format!("damaged zip: {e}")))?;
    if zip.len() > limits.members {
        return Err(not_data(format!("{} members, more than the limit of {}", zip.len(), limits.members)));
    }
    Ok(Kind::Npz(zip))
}

/// The bytes that hold the header of an array.
///
/// # Errors
/// When they cannot be read.
pub fn beginning(source: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    source.take(HEADER).read_to_end(&mut start)?;
    Ok(start)
}

/// Checks how a file starts; a few bytes are enough.
///
/// # Errors
/// [`DataError::NotData`] for anything but npy and zip.
pub fn signature(file: &str, start: &[u8]) -> Result<(), DataError> {
    let known = start.starts_with(npy::MAGIC) || start.starts_with(b"PK");
    let what = match start {
        _ if known => return Ok(()),
        [] => "it is empty",
        _ => "it begins with neither the npy nor the zip signature; save it with numpy.savez",
    };
    Err(DataError::NotData { file: file.to_string(), what: what.into() })
}
