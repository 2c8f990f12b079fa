//! What can be said of a file before a job reads it: how it begins, and what it declares to hold.

use super::Kind;
use crate::convert::Error;
use crate::data::{DataLimits, Declared, declared, signature};
use crate::service::problem::Problem;
use crate::service::store::StoreError;
use std::fs::File;

/// Bytes that tell what a file is.
pub const START: usize = 8;
/// Number of the last field of an ONNX ModelProto (`configuration`), and its wire types: numbers and messages.
const MODEL_FIELDS: std::ops::RangeInclusive<u8> = 1..=26;

/// Checks the first bytes of a part.
///
/// # Errors
/// `not_onnx` or `bad_data`, as a job that read the file would say.
pub fn start(name: &str, kind: Kind, bytes: &[u8]) -> Result<(), Problem> {
    match kind {
        Kind::Model if !may_be_model(bytes) => {
            Err(Error::NotOnnx("it does not begin like an ONNX file: a serialized ModelProto is expected".into()).into())
        }
        Kind::Data => signature(name, bytes).map_err(|e| Error::Data(vec![e.to_string()]).into()),
        _ => Ok(()),
    }
}

/// Whether bytes are a file of some kind that jobs read.
pub fn may_be_file(bytes: &[u8]) -> bool {
    may_be_model(bytes) || signature("", bytes).is_ok()
}

/// Every ModelProto begins with the tag of one of its fields. An empty file is left to the reader of models, which says more of it.
fn may_be_model(bytes: &[u8]) -> bool {
    let Some(&tag) = bytes.first() else { return true };
    // fields from 16 on have tags of two bytes
    let field = if tag & 0x80 == 0 { tag >> 3 } else { bytes.get(1).map_or(0, |next| next << 4 | (tag & 0x7f) >> 3) };
    MODEL_FIELDS.contains(&field) && matches!(tag & 7, 0 | 2)
}

/// What a data file declares; nothing for a model. Reads headers: not to be called on threads that answer requests.
///
/// # Errors
/// `bad_data`, as a job that read the file would say.
pub fn whole(name: &str, kind: Kind, file: Result<File, StoreError>) -> Result<Declared, Problem> {
    if kind != Kind::Data {
        return Ok(Declared::default());
    }
    declared(name, &mut std::io::BufReader::new(file?), &DataLimits::default()).map_err(|e| Error::Data(vec![e.to_string()]).into())
}
