//! Inputs with the channels first, as PyTorch has them: a `Transpose` in front of everything else.
//! Without it a proxy takes its inputs with the channels last.

use super::build::{ints, value_info};
use crate::onnx::info;
use crate::onnx::proto::NodeProto;
use crate::onnx::proto::tensor_proto::DataType;
use crate::proxy::form::Proxy;
use prost::Message;

/// Lets the inputs number `which` take `[1, C, …]`; they have at least two axes per sample.
pub fn channels_first(proxy: &mut Proxy, which: &[usize]) {
    let Some(graph) = proxy.model.graph.as_mut() else { return };
    for &at in which.iter().rev() {
        let Some(input) = graph.input.get(at).cloned() else { continue };
        let shape: Vec<usize> = info::dims(&input).unwrap_or_default().iter().map(|d| info::size(d).unwrap_or(1)).collect();
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
        let perm: Vec<usize> = std::iter::once(0).chain(2..rank).chain([1]).collect();
        let node = NodeProto {
            input: vec![name.clone()],
            output: vec![inner.clone()],
            name: Some(inner.clone()),
            op_type: Some("Transpose".into()),
            attribute: vec![ints("perm", &perm)],
            ..NodeProto::default()
        };
        graph.node.insert(0, node);
        graph.value_info.push(value_info(&inner, DataType::Float, &shape));
        graph.input[at] = value_info(&name, DataType::Float, &first);
    }
    proxy.bytes = proxy.model.encode_to_vec();
}
