//! What can be said of a file before a job reads it: how it begins, and what it declares to hold.

use super::Kind;
use crate::convert::error::Error;
use crate::data::{DataFile, DataLimits, Declared, declared, signature};
use crate::service::problem::Problem;
use crate::service::store_error::StoreError;

/// Tags of the fields of an ONNX ModelProto that have one byte: ir_version, producer_name,
/// producer_version, domain, model_version, doc_string, graph, opset_import, metadata_props …
const MODEL_TAGS: [u8; 9] = [0x08, 0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42, 0x72];
/// … and the first bytes of those that have two, of which the second is 1: training_info,
/// functions, configuration.
const LONG_MODEL_TAGS: [u8; 3] = [0xa2, 0xca, 0xd2];

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

/// Every ModelProto begins with the tag of one of its fields. An empty file is left to the reader
/// of models, which says more of it.
fn may_be_model(bytes: &[u8]) -> bool {
    match bytes {
        [] => true,
        [tag, 1, ..] if LONG_MODEL_TAGS.contains(tag) => true,
        [tag, ..] => MODEL_TAGS.contains(tag),
    }
}

/// What a data file declares; nothing for a model. Reads headers: not to be called on threads that
/// answer requests.
///
/// # Errors
/// `bad_data`, as a job that read the file would say.
pub fn whole(kind: Kind, file: Result<DataFile, StoreError>) -> Result<Declared, Problem> {
    if kind != Kind::Data {
        return Ok(Declared::default());
    }
    let file = file?;
    declared(&file.name, &mut std::io::BufReader::new(file.reader()), &DataLimits::default())
        .map_err(|e| Error::Data(vec![e.to_string()]).into())
}
