//! A name of its own for every node: tract keeps nodes, inputs and initializers under one name
//! each, ONNX does not ask for that.

use crate::onnx::proto::ModelProto;
use std::collections::HashSet;

/// Numbers the nodes after their names, which stay readable in tract's messages.
pub fn unique(model: &mut ModelProto) {
    let Some(graph) = &mut model.graph else { return };
    let inputs = graph.input.iter().map(|i| i.name().to_string());
    let mut taken: HashSet<String> = inputs.chain(graph.initializer.iter().map(|t| t.name().to_string())).collect();
    for (at, node) in graph.node.iter_mut().enumerate() {
        let mut name = format!("{}#{at}", node.name());
        while !taken.insert(name.clone()) {
            name.push('#');
        }
        node.name = Some(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::proto::{GraphProto, NodeProto, ValueInfoProto};

    #[test]
    fn nodes_inputs_and_initializers_have_different_names() {
        let node = |name: Option<&str>| NodeProto { name: name.map(Into::into), ..NodeProto::default() };
        let input = |name: &str| ValueInfoProto { name: Some(name.into()), ..ValueInfoProto::default() };
        let graph = GraphProto {
            input: vec![input("fc"), input("act#1")],
            node: vec![node(Some("fc")), node(Some("act")), node(Some("fc")), node(None)],
            ..GraphProto::default()
        };
        let mut model = ModelProto { graph: Some(graph), ..ModelProto::default() };
        unique(&mut model);
        let names: Vec<String> = model.graph.unwrap().node.into_iter().filter_map(|n| n.name).collect();
        assert_eq!(names, ["fc#0", "act#1#", "fc#2", "#3"]);
    }
}
