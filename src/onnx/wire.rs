//! A scan of the protobuf wire format before prost decodes it: lengths fit, nesting is shallow, and
//! the number of messages and fields is bounded, so that a small hostile file cannot ask for
//! gigabytes.
//!
//! Wire format: a field is the varint `number·8 + type`; type 0 is a varint, 1 eight bytes, 2 a
//! length and that many bytes, 5 four bytes. Whether a type-2 field is a message is known only from
//! the schema, hence [`Kind::child`].

use super::{error::OnnxError, limits::Limits};

/// The messages of `onnx.proto` that contain other messages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
    ValueInfo,
    Type,
    /// `TypeProto.Tensor` and `TypeProto.SparseTensor`.
    TensorType,
    /// `TypeProto.Sequence` and `TypeProto.Optional`.
    Element,
    Map,
    Shape,
    Annotation,
    Training,
    Function,
    NodeDevice,
    Sharding,
    ShardedDim,
    /// A message without nested messages.
    Leaf,
}

impl Kind {
    /// The message type of field `number`, `None` for scalars, strings and unknown fields.
    fn child(self, number: u64) -> Option<Kind> {
        Some(match (self, number) {
            (Kind::Model, 7) => Kind::Graph,
            (Kind::Model, 8 | 14 | 26) => Kind::Leaf,
            (Kind::Model, 20) => Kind::Training,
            (Kind::Model, 25) => Kind::Function,
            (Kind::Graph, 1) | (Kind::Function, 7) => Kind::Node,
            (Kind::Graph, 5) => Kind::Tensor,
            (Kind::Graph, 11..=13) | (Kind::Function, 12) => Kind::ValueInfo,
            (Kind::Graph, 14) => Kind::Annotation,
            (Kind::Graph, 15) => Kind::SparseTensor,
            (Kind::Node, 5) | (Kind::Function, 11) => Kind::Attribute,
            (Kind::Node, 10) => Kind::NodeDevice,
            (Kind::NodeDevice, 2) => Kind::Sharding,
            (Kind::Sharding, 4) => Kind::ShardedDim,
            (Kind::Sharding, 3) | (Kind::ShardedDim, 2) => Kind::Leaf,
            (Kind::Attribute, 5 | 10) => Kind::Tensor,
            (Kind::Attribute, 6 | 11) => Kind::Graph,
            (Kind::Attribute, 14 | 15) => Kind::Type,
            (Kind::Attribute, 22 | 23) => Kind::SparseTensor,
            (Kind::SparseTensor, 1 | 2) => Kind::Tensor,
            (Kind::ValueInfo, 2) => Kind::Type,
            (Kind::Type, 1 | 8) => Kind::TensorType,
            (Kind::Type, 4 | 9) => Kind::Element,
            (Kind::Type, 5) => Kind::Map,
            (Kind::Element, 1) | (Kind::Map, 2) => Kind::Type,
            (Kind::TensorType, 2) => Kind::Shape,
            (Kind::Type, 7) | (Kind::Shape, 1) => Kind::Leaf,
            (Kind::Training, 1 | 2) => Kind::Graph,
            (Kind::Graph | Kind::Tensor, 16) | (Kind::Node, 9) | (Kind::ValueInfo, 4) => Kind::Leaf,
            (Kind::Tensor, 3 | 13) | (Kind::Annotation, 2) | (Kind::Training, 3 | 4) | (Kind::Function, 9 | 14) => Kind::Leaf,
            _ => return None,
        })
    }
}

struct Scan<'a> {
    bytes: &'a [u8],
    limits: &'a Limits,
    nodes: usize,
    initializers: usize,
    messages: usize,
    fields: usize,
}

/// Checks `bytes` as a `ModelProto` against `limits`.
///
/// # Errors
/// [`OnnxError::NotOnnx`] where the bytes break the wire format, [`OnnxError::Limit`] where a count
/// is exceeded.
pub fn scan(bytes: &[u8], limits: &Limits) -> Result<(), OnnxError> {
    let mut scan = Scan { bytes, limits, nodes: 0, initializers: 0, messages: 0, fields: 0 };
    scan.message(Kind::Model, 0, bytes.len(), 0)
}

impl Scan<'_> {
    fn message(&mut self, kind: Kind, start: usize, end: usize, depth: usize) -> Result<(), OnnxError> {
        bound("nested messages deep", depth, self.limits.depth)?;
        let mut at = start;
        while at < end {
            let field_start = at;
            self.fields += 1;
            bound("protobuf fields", self.fields, self.limits.fields)?;
            let tag = self.varint(&mut at, end)?;
            let number = tag >> 3;
            if number == 0 {
                return Err(fault(field_start, "a field with number 0, so this is not protobuf"));
            }
            let length = match tag & 7 {
                0 => {
                    self.varint(&mut at, end)?;
                    0
                }
                1 => 8,
                5 => 4,
                2 => usize::try_from(self.varint(&mut at, end)?).unwrap_or(usize::MAX),
                _ => return Err(fault(field_start, "an unknown wire type, so this is not protobuf")),
            };
            let stop = at.checked_add(length).filter(|&stop| stop <= end).ok_or_else(|| {
                fault(field_start, "a field is longer than what is left: the file is truncated or not protobuf")
            })?;
            if tag & 7 == 2
                && let Some(child) = kind.child(number)
            {
                self.count(kind, number)?;
                self.message(child, at, stop, depth + 1)?;
            }
            at = stop;
        }
        Ok(())
    }

    fn count(&mut self, kind: Kind, number: u64) -> Result<(), OnnxError> {
        self.messages += 1;
        bound("protobuf messages", self.messages, self.limits.messages)?;
        if kind.child(number) == Some(Kind::Node) {
            self.nodes += 1;
            bound("nodes", self.nodes, self.limits.nodes)?;
        }
        if kind == Kind::Graph && number == 5 {
            self.initializers += 1;
            bound("initializers", self.initializers, self.limits.initializers)?;
        }
        Ok(())
    }

    fn varint(&self, at: &mut usize, end: usize) -> Result<u64, OnnxError> {
        let start = *at;
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = match self.bytes.get(*at) {
                Some(&byte) if *at < end => byte,
                _ => return Err(fault(start, "it ends in the middle of a number: the file is truncated or not protobuf")),
            };
            *at += 1;
            if shift < 64 {
                value |= u64::from(byte & 0x7f) << shift;
            }
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(fault(start, "a number of more than ten bytes, so this is not protobuf"))
    }
}

fn bound(what: &'static str, found: usize, limit: usize) -> Result<(), OnnxError> {
    if found > limit { Err(OnnxError::Limit { what, found, limit }) } else { Ok(()) }
}

fn fault(offset: usize, what: &str) -> OnnxError {
    OnnxError::NotOnnx { offset, what: what.to_string() }
}
