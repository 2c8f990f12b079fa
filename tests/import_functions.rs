//! Local functions are replaced by their bodies.

mod support {
    pub mod onnx;
}

use hgq_onnx::graph::{eval, import};
use hgq_onnx::onnx::Tensor;
use hgq_onnx::onnx::proto::{AttributeProto, FunctionProto, ModelProto, NodeProto, attribute_proto::AttributeType};
use support::onnx::Net;

fn node(op: &str, domain: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    NodeProto {
        op_type: Some(op.into()),
        domain: Some(domain.into()),
        input: inputs.iter().map(|s| s.to_string()).collect(),
        output: outputs.iter().map(|s| s.to_string()).collect(),
        ..Default::default()
    }
}

fn function(name: &str, inputs: &[&str], outputs: &[&str], body: Vec<NodeProto>) -> FunctionProto {
    FunctionProto {
        name: Some(name.into()),
        domain: Some("local".into()),
        input: inputs.iter().map(|s| s.to_string()).collect(),
        output: outputs.iter().map(|s| s.to_string()).collect(),
        node: body,
        ..Default::default()
    }
}

/// `leaky(x; slope)` with a default slope, and `block(x, w) = leaky(x·w)` that calls it with another one.
fn model() -> ModelProto {
    let mut net = Net::new(13, &[1, 2]);
    net.constant("w1", Tensor::f32(vec![2, 2], vec![1.0, -2.0, 0.5, 3.0]))
        .constant("w2", Tensor::f32(vec![2, 2], vec![-1.0, 1.0, 2.0, 0.25]));
    net.node("block", &["@", "w1"], "h", &[]).node("block", &["@", "w2"], "g", &[]).node("leaky", &["@"], "y", &[]);
    net.graph.node.iter_mut().for_each(|n| n.domain = Some("local".into()));
    let mut model = net.model();
    let mut leaky = node("LeakyRelu", "", &["x"], &["out"]);
    leaky.attribute.push(AttributeProto {
        name: Some("alpha".into()),
        ref_attr_name: Some("slope".into()),
        r#type: Some(1),
        ..Default::default()
    });
    let slope = |v: f32| AttributeProto {
        name: Some("slope".into()),
        r#type: Some(AttributeType::Float as i32),
        f: Some(v),
        ..Default::default()
    };
    let mut call = node("leaky", "local", &["t"], &["y"]);
    call.attribute.push(slope(0.5));
    let mut with_default = function("leaky", &["x"], &["out"], vec![leaky]);
    with_default.attribute_proto.push(slope(0.125));
    model.functions =
        vec![function("block", &["x", "w"], &["y"], vec![node("MatMul", "", &["x", "w"], &["t"]), call]), with_default];
    model
}

#[test]
fn nested_calls_with_attributes() {
    let graph = import(&model()).unwrap().graph;
    assert_eq!(
        graph.nodes.iter().map(|n| n.op.kind()).collect::<Vec<_>>(),
        ["Gemm", "LeakyRelu", "Gemm", "LeakyRelu", "LeakyRelu"]
    );
    let leaky = |v: f64, slope: f64| if v < 0.0 { v * slope } else { v };
    let x = [1.0f32, -3.0];
    let h = [1.0 - 1.5, -2.0 - 9.0].map(|v| leaky(v, 0.5));
    let g = [-h[0] + 2.0 * h[1], h[0] + 0.25 * h[1]].map(|v| leaky(v, 0.5));
    assert_eq!(eval::run(&graph, &[&x], 1, &graph.outputs).unwrap()[0], g.map(|v| leaky(v, 0.125)));
}

#[test]
fn calls_that_cannot_be_replaced_are_named() {
    let mut cyclic = model();
    cyclic.functions[0].node[1] = node("block", "local", &["t", "w"], &["y"]);
    let text = import(&cyclic).unwrap_err().to_string();
    assert!(text.contains("must not call itself") && text.contains("block"), "{text}");
    let mut wrong = model();
    wrong.functions[1].input.clear();
    let text = import(&wrong).unwrap_err().to_string();
    assert!(text.contains("1 inputs") && text.contains("function of 0"), "{text}");
    // what a body holds is refused under the name of its call
    let mut unknown = model();
    unknown.functions[1].node[0].op_type = Some("Mish".into());
    let text = import(&unknown).unwrap_err().to_string();
    assert!(text.contains("Mish") && text.contains("h/1"), "{text}");
}
