//! What a data file on disk declares to hold, found from its headers alone: sizes are known, and
//! refused, before anything is held in memory.

use super::kind::{Kind, beginning, kind};
use super::{DataError, DataLimits, npy};
use std::io::{Read, Seek};

/// What a file declares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// Values of all arrays of numbers.
    pub elements: u64,
    /// Bytes of all members, unpacked.
    pub bytes: u64,
}

/// Reads the headers of a npy or npz file; `file` is a name for messages. Arrays that are not
/// numbers are counted by their bytes and refused only where one is asked for.
///
/// # Errors
/// [`DataError`] for other formats, damaged or truncated files, and sizes above `limits`.
pub fn declared(file: &str, source: &mut (impl Read + Seek), limits: &DataLimits) -> Result<Declared, DataError> {
    let not_data = |what: String| DataError::NotData { file: file.to_string(), what };
    let mut zip = match kind(file, source, limits)? {
        Kind::Npy(header) => return Ok(Declared { elements: header.len as u64, bytes: header.total_bytes() as u64 }),
        Kind::Npz(zip) => zip,
    };
    let mut found = Declared::default();
    for index in 0..zip.len() {
        let mut member = zip.by_index(index).map_err(|e| not_data(format!("damaged zip member {index}: {e}")))?;
        found.bytes = found.bytes.saturating_add(member.size());
        let start = beginning(&mut member).map_err(|e| not_data(format!("damaged zip member {index}: {e}")))?;
        let Ok(header) = npy::header(&start, usize::MAX) else { continue };
        found.elements = found.elements.saturating_add(header.len as u64);
    }
    // eight bytes a value are the widest numbers there are
    let (elements, bytes) = (limits.elements as u64, (limits.elements as u64).saturating_mul(8));
    if found.elements > elements {
        return Err(not_data(format!("its arrays have {} elements, more than the limit of {elements}", found.elements)));
    }
    if found.bytes > bytes {
        return Err(not_data(format!("its members unpack to {} bytes, more than the limit of {bytes}", found.bytes)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Write};
    use zip::write::SimpleFileOptions;

    const LIMITS: DataLimits = DataLimits { members: 3, elements: 100 };

    fn npy(shape: &str, values: usize) -> Vec<u8> {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(vec![0; 4 * values]);
        bytes
    }

    fn npz(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in members {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn of(bytes: &[u8]) -> Result<Declared, String> {
        declared("f", &mut Cursor::new(bytes), &LIMITS).map_err(|e| e.to_string())
    }

    #[test]
    fn sizes_are_known_without_the_values() {
        let one = npy("(2, 3)", 6);
        assert_eq!(of(&one), Ok(Declared { elements: 6, bytes: one.len() as u64 }));
        let two = npz(&[("x.npy", one.clone()), ("y.npy", npy("(4,)", 4))]);
        assert_eq!(of(&two).map(|d| d.elements), Ok(10));
    }

    #[test]
    fn what_is_too_large_or_damaged_is_refused() {
        let says = |bytes: &[u8], word: &str| {
            let fault = of(bytes).unwrap_err();
            assert!(fault.contains(word), "{fault}");
        };
        says(b"", "empty");
        says(b"hello", "signature");
        says(&npy("(101,)", 101), "more than 100 elements");
        says(&npy("(9,)", 8), "truncated");
        says(&npz(&[("x.npy", npy("(60,)", 60)), ("y.npy", npy("(60,)", 60))]), "120 elements");
        // a bomb: 1 MiB of zeros in about a kilobyte
        let bomb = npz(&[("x.npy", vec![0; 1 << 20])]);
        assert!(bomb.len() < 2000);
        says(&bomb, "unpack");
        let many: Vec<(String, Vec<u8>)> = (0..4).map(|n| (format!("{n}.npy"), npy("(1,)", 1))).collect();
        let many: Vec<(&str, Vec<u8>)> = many.iter().map(|(n, b)| (n.as_str(), b.clone())).collect();
        says(&npz(&many), "4 members");
        let whole = npz(&[("x.npy", npy("(6,)", 6))]);
        says(&whole[..whole.len() - 10], "damaged zip");
    }
}
