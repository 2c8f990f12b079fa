//! Shapes that `ValueInfoProto` declares.

use super::proto::tensor_shape_proto::Dimension;
use super::proto::tensor_shape_proto::dimension::Value;
use super::proto::{GraphProto, ValueInfoProto, type_proto};

/// The dimensions of a tensor, none where it has no shape; `None` for what is not a tensor.
pub fn dims(info: &ValueInfoProto) -> Option<&[Dimension]> {
    let type_proto::Value::TensorType(tensor) = info.r#type.as_ref()?.value.as_ref()? else { return None };
    Some(tensor.shape.as_ref().map_or(&[], |s| &s.dim))
}

/// A dimension that is fixed and positive.
pub fn size(dim: &Dimension) -> Option<usize> {
    match dim.value {
        Some(Value::DimValue(size)) => usize::try_from(size).ok().filter(|&s| s > 0),
        _ => None,
    }
}

/// True where the first axis is fixed to 1.
pub fn has_batch_of_one(info: &ValueInfoProto) -> bool {
    dims(info).and_then(<[_]>::first).and_then(size) == Some(1)
}

/// Domains under which exporters have written the QONNX operators.
pub const QONNX: [&str; 4] = ["qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general", "qonnx"];

/// Everything of a graph but its nodes.
pub fn without_nodes(file: &GraphProto) -> GraphProto {
    GraphProto {
        node: vec![],
        name: file.name.clone(),
        initializer: file.initializer.clone(),
        sparse_initializer: file.sparse_initializer.clone(),
        input: file.input.clone(),
        output: file.output.clone(),
        ..Default::default()
    }
}
