//! Bytes → `ModelProto` → bytes.
//!
//! `decode` checks the size, scans the wire format against [`Limits`] and only then lets prost
//! allocate. `encode` writes fields in the order of their numbers, as the official serializer does,
//! so an unchanged model comes out byte-identical unless its writer used another order or fields
//! newer than `proto/onnx.proto`.

use prost::{Message, bytes::Bytes};

use super::{error::OnnxError, limits::Limits, proto::ModelProto, wire};

/// Reads a model.
///
/// # Errors
/// [`OnnxError::Empty`], [`OnnxError::NotOnnx`] for text, truncated or foreign files,
/// [`OnnxError::Limit`] where a count of the file is above `limits`.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<ModelProto, OnnxError> {
    if bytes.is_empty() {
        return Err(OnnxError::Empty);
    }
    if bytes.len() > limits.bytes {
        return Err(OnnxError::Limit { what: "bytes", found: bytes.len(), limit: limits.bytes });
    }
    if let Some(kind) = foreign(bytes) {
        return Err(OnnxError::NotOnnx { offset: 0, what: kind.to_string() });
    }
    wire::scan(bytes, limits)?;
    let model = ModelProto::decode(Bytes::copy_from_slice(bytes))
        .map_err(|error| OnnxError::NotOnnx { offset: 0, what: error.to_string() })?;
    match &model.graph {
        Some(graph) if !graph.node.is_empty() || !graph.output.is_empty() => Ok(model),
        _ => Err(OnnxError::NotOnnx { offset: 0, what: "it holds no graph (truncated, or not a model)".into() }),
    }
}

/// Writes a model.
pub fn encode(model: &ModelProto) -> Vec<u8> {
    model.encode_to_vec()
}

/// Names the formats that are uploaded by mistake most often.
fn foreign(bytes: &[u8]) -> Option<&'static str> {
    const PRINTABLE_HEAD: usize = 64;
    let signatures: [(&[u8], &str); 6] = [
        (b"PK\x03\x04", "it is a zip archive (npz, pt or keras file)"),
        (b"\x93NUMPY", "it is a npy array"),
        (b"\x89HDF", "it is an HDF5 file"),
        (b"\x1f\x8b", "it is gzip-compressed"),
        (b"\x80\x02", "it is a Python pickle"),
        (b"%PDF", "it is a PDF document"),
    ];
    if let Some((_, what)) = signatures.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Some(what);
    }
    let head = &bytes[..bytes.len().min(PRINTABLE_HEAD)];
    let text = |&b: &u8| b.is_ascii_graphic() || matches!(b, b' ' | b'\n' | b'\r' | b'\t') || b >= 0x80;
    (head.iter().all(text) && std::str::from_utf8(&head[..head.len().saturating_sub(3)]).is_ok()).then_some("it is a text file")
}
