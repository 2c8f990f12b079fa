//! Inputs with the channels first, as PyTorch has them: a `Transpose` in front of everything else. Without it a proxy takes its
//! inputs with the channels last.

use super::Proxy;
use super::build::value_info;
use crate::onnx::proto::{
    AttributeProto, NodeProto, attribute_proto::AttributeType, tensor_proto::DataType, tensor_shape_proto::dimension::Value,
    type_proto,
};
use prost::Message;

/// Lets the inputs number `which` take `[1, C, …]`; they have at least two axes per sample.
pub fn channels_first(proxy: &mut Proxy, which: &[usize]) {
    let Some(graph) = proxy.model.graph.as_mut() else { return };
    for &at in which.iter().rev() {
        let Some(input) = graph.input.get(at).cloned() else { continue };
        let shape = shape(&input);
        if shape.len() < 3 {
            continue;
        }
        let (name, rank) = (input.name().to_string(), shape.len());
        let taken = |name: &str| graph.node.iter().any(|n| n.name() == name || n.output.iter().any(|o| o == name));
        let mut inner = format!("{name}_last");
        while taken(&inner) {
            inner.push('_');
        }
        for node in &mut graph.node {
            node.input.iter_mut().filter(|i| **i == name).for_each(|i| i.clone_from(&inner));
        }
        let first: Vec<usize> = [&shape[..1], &shape[rank - 1..], &shape[1..rank - 1]].concat();
        let perm = std::iter::once(0).chain(2..rank as i64).chain([1]).collect();
        let perm = AttributeProto {
            name: Some("perm".into()),
            r#type: Some(AttributeType::Ints as i32),
            ints: perm,
            ..AttributeProto::default()
        };
        let node = NodeProto {
            input: vec![name.clone()],
            output: vec![inner.clone()],
            name: Some(inner.clone()),
            op_type: Some("Transpose".into()),
            attribute: vec![perm],
            ..NodeProto::default()
        };
        graph.node.insert(0, node);
        graph.value_info.push(value_info(&inner, DataType::Float, &shape));
        graph.input[at] = value_info(&name, DataType::Float, &first);
    }
    proxy.bytes = proxy.model.encode_to_vec();
}

fn shape(info: &crate::onnx::proto::ValueInfoProto) -> Vec<usize> {
    let Some(type_proto::Value::TensorType(t)) = info.r#type.as_ref().and_then(|t| t.value.as_ref()) else { return Vec::new() };
    let size = |v: &Option<Value>| if let Some(Value::DimValue(n)) = v { (*n).max(0) as usize } else { 1 };
    t.shape.iter().flat_map(|s| &s.dim).map(|d| size(&d.value)).collect()
}
