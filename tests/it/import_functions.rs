//! Local functions of a model: inlined, they compute what their bodies say.

use crate::support::eval::evaluate;
use crate::support::loops::kinds;
use crate::support::onnx::{Attr, Net};
use hgq_onnx::graph::{ImportError, Op, Refusal, import};
use hgq_onnx::onnx::proto::{FunctionProto, ModelProto, NodeProto, OperatorSetIdProto};
use hgq_onnx::onnx::{self, Limits, OnnxError, Tensor};
use hgq_onnx::ops::Elementwise;

const DOMAIN: &str = "pkg.local";

fn function(name: &str, inputs: &[&str], outputs: &[&str], body: &Net) -> FunctionProto {
    let strings = |names: &[&str]| names.iter().map(|n| n.to_string()).collect();
    let opset = OperatorSetIdProto { domain: Some(String::new()), version: Some(13) };
    FunctionProto {
        name: Some(name.into()),
        domain: Some(DOMAIN.into()),
        input: strings(inputs),
        output: strings(outputs),
        node: body.graph.node.clone(),
        opset_import: vec![opset],
        ..Default::default()
    }
}

fn call(net: &mut Net, function: &str, inputs: &[&str], outputs: &[&str], attributes: &[(&str, Attr<'_>)]) {
    net.node(function, inputs, outputs[0], attributes);
    let node = last(net);
    node.domain = Some(DOMAIN.into());
    node.output = outputs.iter().map(|o| o.to_string()).collect();
}

fn last(net: &mut Net) -> &mut NodeProto {
    net.graph.node.last_mut().unwrap()
}

/// The attribute of the last node refers to `parameter` of the function.
fn refer(net: &mut Net, parameter: &str) {
    let attribute = &mut last(net).attribute[0];
    (attribute.i, attribute.f) = (None, None);
    attribute.ref_attr_name = Some(parameter.into());
}

fn model(net: &Net, functions: Vec<FunctionProto>) -> ModelProto {
    ModelProto { functions, ..net.model() }
}

fn refusals(model: &ModelProto) -> Vec<Refusal> {
    match import(model) {
        Err(ImportError::Unsupported { nodes }) => nodes,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was imported"),
    }
}

/// `y = leaky(x·W + b)`, the slope an attribute with the default 0.25.
fn layer() -> FunctionProto {
    let mut body = Net::new(13, &[]);
    body.node("Gemm", &["a", "w", "b"], "h", &[]);
    body.node("LeakyRelu", &["h"], "y", &[("alpha", Attr::F(0.0))]);
    refer(&mut body, "slope");
    let mut layer = function("Layer", &["a", "w", "b"], &["y"], &body);
    let mut default = layer.node[1].attribute[0].clone();
    (default.name, default.ref_attr_name, default.f) = (Some("slope".into()), None, Some(0.25));
    layer.attribute_proto.push(default);
    layer
}

#[test]
fn attributes_come_from_the_call_or_its_defaults() {
    let mut net = Net::new(13, &[1, 2]);
    net.constant("w", Tensor::f32(vec![2, 2], vec![1.0, -2.0, 0.5, 1.0])).constant("b", Tensor::f32(vec![2], vec![1.0, -1.0]));
    // a name of the body is in use outside as well
    net.node("Tanh", &["x"], "first/h", &[]);
    call(&mut net, "Layer", &["x", "w", "b"], &["first"], &[("slope", Attr::F(0.5))]);
    call(&mut net, "Layer", &["first", "w"], &["second"], &[]);
    net.node("Add", &["second", "first/h"], "y", &[]);
    let imported = import(&model(&net, vec![layer()])).unwrap();
    assert_eq!(kinds(&imported.graph), ["Tanh", "Gemm", "LeakyRelu", "Gemm", "LeakyRelu", "Add"]);
    let slopes = imported
        .graph
        .nodes
        .iter()
        .filter_map(|n| if let Op::Elementwise(Elementwise::LeakyRelu { slope: alpha }) = n.op { Some(alpha) } else { None });
    assert_eq!(slopes.collect::<Vec<_>>(), [0.5, 0.25]);
    let x = [0.75f32, -2.0, 3.0, 0.25];
    let found = evaluate(&imported, &[&x], 2).remove(0);
    let leaky = |v: f64, slope: f64| if v < 0.0 { v * slope } else { v };
    for (x, y) in x.chunks(2).zip(found.chunks(2)) {
        let x = [f64::from(x[0]), f64::from(x[1])];
        let layer = |v: [f64; 2], b: [f64; 2], s| [leaky(v[0] + 0.5 * v[1] + b[0], s), leaky(-2.0 * v[0] + v[1] + b[1], s)];
        // the bias is left out in the second call
        let second = layer(layer(x, [1.0, -1.0], 0.5), [0.0, 0.0], 0.25);
        assert_eq!(y, [second[0] + x[0].tanh(), second[1] + x[1].tanh()]);
    }
}

#[test]
fn functions_call_functions_and_return_arguments() {
    // (a, a, b) for (leaky(a·W + b), a): an argument, and one tensor twice
    let mut body = Net::new(13, &[]);
    call(&mut body, "Layer", &["a", "w"], &["t"], &[("slope", Attr::F(0.0))]);
    refer(&mut body, "outer");
    body.node("Sub", &["t", "a"], "unused", &[]);
    let outer = function("Outer", &["a", "w"], &["t", "a", "t"], &body);
    let mut net = Net::new(13, &[1, 2]);
    net.constant("w", Tensor::f32(vec![2, 2], vec![1.0, 0.0, 0.0, 1.0]));
    call(&mut net, "Outer", &["x", "w"], &["p", "q", "r"], &[("outer", Attr::F(2.0))]);
    net.node("Concat", &["p", "q", "r"], "y", &[("axis", Attr::I(1))]);
    let imported = import(&model(&net, vec![outer, layer()])).unwrap();
    assert_eq!(evaluate(&imported, &[&[-1.5, 4.0]], 1)[0], [-3.0, 4.0, -1.5, 4.0, -3.0, 4.0]);
}

#[test]
fn operators_are_preferred_to_their_definitions() {
    let mut body = Net::new(13, &[]);
    body.node("Secret", &["a", "s", "z", "b"], "y", &[]);
    let mut quant = function("Quant", &["a", "s", "z", "b"], &["y"], &body);
    quant.domain = Some("qonnx.custom_op.general".into());
    let mut net = Net::new(13, &[1, 2]);
    net.quant("x", "y", Tensor::f32(vec![], vec![0.5]), Tensor::f32(vec![], vec![3.0]), &[]);
    assert_eq!(kinds(&import(&model(&net, vec![quant])).unwrap().graph), ["Quant"]);
}

#[test]
fn softmax_keeps_the_axis_of_its_operator_set() {
    let mut body = Net::new(13, &[]);
    body.node("Softmax", &["a"], "y", &[]);
    let mut old = function("Scores", &["a"], &["y"], &body);
    let mut net = Net::new(13, &[1, 2, 3]);
    call(&mut net, "Scores", &["x"], &["y"], &[]);
    // over the last axis
    import(&model(&net, vec![old.clone()])).unwrap();
    // over both: not supported
    old.opset_import[0].version = Some(11);
    let found = refusals(&model(&net, vec![old]));
    assert!(found[0].name == "y/Softmax_0" && found[0].reason.contains("axis 1"), "{found:?}");
}

#[test]
fn faults_name_the_call() {
    let mut net = Net::new(13, &[1, 2]);
    net.random("w", &[2, 2]).random("v", &[3, 2]);
    call(&mut net, "Layer", &["x", "w", "w", "w"], &["many"], &[]);
    call(&mut net, "Layer", &["x", "v"], &["misfit"], &[]);
    call(&mut net, "Unknown", &["x"], &["unknown"], &[]);
    call(&mut net, "Old", &["x"], &["old"], &[]);
    // dead: no fault
    call(&mut net, "Old", &["x"], &["dead"], &[]);
    net.node("Sum", &["many", "misfit", "unknown", "old"], "y", &[]);
    let mut old = function("Old", &["a"], &["y"], &Net::new(13, &[]));
    old.opset_import[0].version = Some(3);
    let found = refusals(&model(&net, vec![layer(), old]));
    let named: Vec<(&str, &str)> = found.iter().map(|r| (r.name.as_str(), r.op.as_str())).collect();
    assert_eq!(
        named,
        [("many", "pkg.local.Layer"), ("old", "pkg.local.Old"), ("misfit/Gemm_0", "Gemm"), ("unknown", "pkg.local.Unknown")]
    );
    assert!(found[0].reason.contains("4 inputs") && found[1].reason.contains("opset 3"), "{found:?}");
}

/// `n` functions; each calls the next `width` times, the last has `body` for its body.
fn tower(n: usize, width: usize, body: &Net) -> Vec<FunctionProto> {
    let mut functions: Vec<FunctionProto> = (0..n - 1)
        .map(|at| {
            let mut calls = Net::new(13, &[]);
            let mut from = "a".to_string();
            for step in 0..width {
                let to = if step + 1 == width { "y".to_string() } else { format!("t{step}") };
                call(&mut calls, &format!("F{}", at + 1), &[&from], &[&to], &[]);
                from = to;
            }
            function(&format!("F{at}"), &["a"], &["y"], &calls)
        })
        .collect();
    functions.push(function(&format!("F{}", n - 1), &["a"], &["y"], body));
    functions
}

#[test]
fn recursion_and_explosion_end() {
    let mut relu = Net::new(13, &[]);
    relu.node("Relu", &["a"], "y", &[]);
    let mut net = Net::new(13, &[1, 2]);
    call(&mut net, "F0", &["x"], &["y"], &[]);
    // eight calls deep
    let graph = import(&model(&net, tower(8, 1, &relu))).unwrap().graph;
    assert_eq!(kinds(&graph), ["Relu"]);
    assert_eq!(graph.values[graph.outputs[0]].name, "y");
    let mut again = Net::new(13, &[]);
    call(&mut again, "F0", &["a"], &["y"], &[]);
    for (functions, expected) in [
        (tower(1, 1, &again), "must not call themselves"),
        (tower(3, 1, &again), "must not call themselves"),
        (tower(60, 1, &relu), "nested more than 32"),
        (tower(30, 2, &relu), "more than 20000 nodes"),
        // nothing at the bottom
        (tower(30, 2, &Net::new(13, &[])), "more than 20000 nodes"),
    ] {
        let found = refusals(&model(&net, functions));
        assert_eq!((found.len(), &found[0].name[..]), (1, "y"), "{found:?}");
        assert!(found[0].reason.contains(expected), "{found:?}");
    }
    // long names, many times
    let mut long = Net::new(13, &[]);
    long.node("Relu", &["a"], &"h".repeat(1 << 20), &[]).node("Relu", &["@"], "y", &[]);
    let found = refusals(&model(&net, tower(9, 3, &long)));
    assert!(found[0].reason.contains("bytes"), "{}", found[0].reason);
}

#[test]
fn the_codec_keeps_functions_and_counts_their_nodes() {
    let mut net = Net::new(13, &[1, 2]);
    net.random("w", &[2, 2]);
    call(&mut net, "Layer", &["x", "w"], &["y"], &[]);
    let model = model(&net, vec![layer()]);
    let bytes = onnx::encode(&model);
    let back = onnx::decode(&bytes, &Limits::default()).unwrap();
    assert_eq!(back, model);
    assert_eq!(onnx::encode(&back), bytes);
    // one node of the graph and two of the function
    assert!(onnx::decode(&bytes, &Limits { nodes: 3, ..Limits::default() }).is_ok());
    assert!(matches!(
        onnx::decode(&bytes, &Limits { nodes: 2, ..Limits::default() }),
        Err(OnnxError::Limit { what: "nodes", found: 3, limit: 2 })
    ));
}
