//! One small model per operator and rewrite, built here: the imported graph computes what tract
//! computes from the same bytes, faults name the node, and the passes leave no layout operation
//! after.

use crate::support::checked::Checked;
use crate::support::eval::evaluate;
use crate::support::loops::kinds;
use crate::support::onnx::scalar;
use crate::support::onnx::{Attr, Net};
use hgq_onnx::ops::Elementwise;
use hgq_onnx::{
    graph::{self, Op, eval},
    onnx::{self, Tensor, proto::ValueInfoProto},
    verify::tract,
};

#[test]
fn gemm_attributes() {
    let mut net = Net::new(13, &[1, 6]);
    net.random("w", &[4, 6]).random("b", &[1, 4]);
    net.node("Gemm", &["@", "w", "b"], "y", &[("alpha", Attr::F(0.5)), ("beta", Attr::F(-2.0)), ("transB", Attr::I(1))]);
    assert_eq!(kinds(&net.agrees()), ["Gemm"]);
}

#[test]
fn gemm_scalar_bias_and_no_bias() {
    let mut net = Net::new(11, &[1, 3]);
    net.random("w", &[3, 5]).random("b", &[1]).random("v", &[5, 2]);
    net.node("Gemm", &["@", "w", "b"], "h", &[]).node("Relu", &["@"], "r", &[]).node("Gemm", &["@", "v"], "y", &[]);
    assert_eq!(kinds(&net.agrees()), ["Gemm", "Relu", "Gemm"]);
}

#[test]
fn added_constant_becomes_the_bias_only_where_nobody_else_reads() {
    for swapped in [false, true] {
        let mut net = Net::new(13, &[1, 3]);
        net.random("w", &[3, 4]).random("b", &[4]);
        net.node("MatMul", &["@", "w"], "m", &[]);
        net.node("Add", if swapped { &["b", "m"] } else { &["m", "b"] }, "y", &[]);
        assert_eq!(kinds(&net.agrees()), ["Gemm"]);
    }
    // an annotated product has a second reader through an Identity: the sum must not change it
    let mut net = Net::new(13, &[1, 3]);
    net.random("w", &[3, 4]).random("b", &[4]);
    net.quant("w", "wq", scalar(0.25), scalar(4.0), &[]);
    net.node("MatMul", &["x", "wq"], "m", &[]).node("Identity", &["m"], "m2", &[]).node("Add", &["m2", "b"], "y", &[]);
    let mut model = net.model();
    let graph = model.graph.as_mut().unwrap();
    graph.output.push(ValueInfoProto { name: Some("m".into()), ..Default::default() });
    let imported = graph::import(&model).unwrap().graph;
    assert_eq!(kinds(&imported), ["Gemm", "BatchNormalization"]);
    let x = [0.5f32, -1.0, 2.0];
    let outputs = eval::run(&imported, &[&x], 1, &imported.outputs).unwrap();
    let theirs = tract::run(&onnx::encode(&model), &[&x], 1).unwrap();
    for (a, b) in outputs.concat().iter().zip(theirs.concat()) {
        assert!((a - f64::from(b)).abs() < 1e-6);
    }
}

#[test]
fn arithmetic_folds_into_dense_layers() {
    let mut net = Net::new(13, &[1, 4]);
    net.random("c", &[1, 4]).random("d", &[4]).constant("two", scalar(2.0)).random("e", &[3]);
    net.node("Sub", &["@", "c"], "a1", &[]).node("Mul", &["d", "@"], "a2", &[]).node("Div", &["@", "two"], "a3", &[]);
    net.dense("h", 4, 3).node("Sub", &["e", "@"], "s", &[]).node("Tanh", &["@"], "t", &[]).node("Add", &["@", "e"], "y", &[]);
    let graph = net.agrees();
    assert_eq!(kinds(&graph), ["Gemm", "Tanh", "BatchNormalization"]);
    assert_eq!(graph.values[graph.nodes[0].output].name, "s");
}

#[test]
fn batch_norm_over_channels_and_constants_computed_in_the_file() {
    let mut net = Net::new(9, &[1, 2, 3]);
    net.random("g", &[2]).random("b", &[2]).random("m", &[2]).constant("v", Tensor::f32(vec![2], vec![0.5, 2.0]));
    net.constant("p", scalar(0.5)).constant("q", Tensor::f32(vec![1], vec![6.25]));
    net.node("BatchNormalization", &["@", "g", "b", "m", "v"], "n", &[("epsilon", Attr::F(1e-3))]);
    net.node("Sigmoid", &["@"], "a", &[]).node("Pow", &["q", "p"], "root", &[]).node("Div", &["a", "root"], "y", &[]);
    assert_eq!(kinds(&net.agrees()), ["BatchNormalization", "Sigmoid", "BatchNormalization"]);
}

#[test]
fn reshapes_and_transposes_disappear() {
    let mut net = Net::new(13, &[1, 2, 3, 4]);
    net.constant("flat", Tensor::i64(vec![2], vec![1, -1])).constant("axes", Tensor::i64(vec![1], vec![1]));
    net.random("scale", &[4, 2, 1]);
    net.node("Transpose", &["@"], "t", &[("perm", Attr::Is(&[0, 3, 1, 2]))]);
    net.quant("@", "q", Tensor::f32(vec![1, 4, 1, 1], vec![0.5, 0.25, 0.125, 1.0]), scalar(5.0), &[]);
    net.node("Mul", &["@", "scale"], "m", &[]).node("LeakyRelu", &["@"], "l", &[("alpha", Attr::F(0.1))]);
    net.node("Reshape", &["@", "flat"], "r", &[]).dense("h", 24, 6);
    net.node("Unsqueeze", &["@", "axes"], "u", &[]).node("Squeeze", &["@", "axes"], "s", &[]).node("Relu", &["@"], "y", &[]);
    // an input with axes keeps them up to the first layer that does not look at them
    assert_eq!(kinds(&net.agrees()), ["Quant", "BatchNormalization", "LeakyRelu", "Reshape", "Gemm", "Relu"]);
}

#[test]
fn transpose_is_absorbed_by_the_layer_before_or_becomes_one() {
    let mut net = Net::new(13, &[1, 5]);
    net.constant("shape", Tensor::i64(vec![3], vec![0, 2, 3])).random("w", &[5, 6]);
    net.quant("w", "wq", Tensor::f32(vec![6], vec![0.5, 0.25, 0.125, 1.0, 0.5, 0.25]), scalar(3.0), &[]);
    net.node("MatMul", &["x", "wq"], "m", &[]).node("Reshape", &["@", "shape"], "r", &[]);
    net.node("Transpose", &["@"], "t", &[("perm", Attr::Is(&[0, 2, 1]))]).node("Flatten", &["@"], "y", &[]);
    assert_eq!(kinds(&net.agrees()), ["Gemm"]);

    let mut net = Net::new(13, &[1, 2, 3]);
    net.node("Relu", &["@"], "r", &[]).node("Transpose", &["@"], "t", &[("perm", Attr::Is(&[0, 2, 1]))]);
    net.node("Transpose", &["@"], "t2", &[("perm", Attr::Is(&[0, 2, 1]))]).node(
        "Transpose",
        &["@"],
        "y",
        &[("perm", Attr::Is(&[0, 2, 1]))],
    );
    // nothing slides over positions, so that the output keeps its layout
    let graph = net.agrees();
    assert_eq!(kinds(&graph), ["Relu", "Gather"]);
    assert_eq!(graph.values[graph.outputs[0]].shape, [3, 2]);
}

#[test]
fn shape_arithmetic_of_exporters() {
    let mut net = Net::new(9, &[1, 2, 3]);
    net.constant("zero", Tensor::i64(vec![], vec![0])).constant("rest", Tensor::i64(vec![1], vec![-1]));
    net.node("Shape", &["x"], "shape", &[]).node("Gather", &["@", "zero"], "n", &[("axis", Attr::I(0))]);
    net.node("Unsqueeze", &["@"], "n1", &[("axes", Attr::Is(&[0]))]).node(
        "Concat",
        &["@", "rest"],
        "target",
        &[("axis", Attr::I(0))],
    );
    net.node("Reshape", &["x", "@"], "r", &[]).dense("h", 6, 2);
    assert_eq!(kinds(&net.agrees()), ["Reshape", "Gemm"]);
}

#[test]
fn aliases_and_constant_nodes() {
    let mut net = Net::new(11, &[1, 3]);
    net.node("Constant", &[], "w", &[("value", Attr::T(Tensor::f32(vec![2, 3], vec![1.0, -2.0, 0.5, 3.0, 0.25, 1.0])))]);
    net.node("Transpose", &["@"], "wt", &[]).node("Identity", &["x"], "i", &[]).node("Dropout", &["@"], "d", &[]);
    net.node("Cast", &["@"], "c", &[("to", Attr::I(1))]).node("MatMul", &["@", "wt"], "m", &[]);
    net.node("Identity", &["@"], "y", &[]);
    assert_eq!(kinds(&net.agrees()), ["Gemm"]);
}

#[test]
fn every_rounding_mode_of_quant() {
    for mode in ["ROUND", "half_even", "HALF_UP", "HALF_DOWN", "CEIL", "FLOOR", "UP", "DOWN"] {
        for (signed, narrow) in [(1, 0), (1, 1), (0, 0), (0, 1)] {
            let attributes = || [("signed", Attr::I(signed)), ("narrow", Attr::I(narrow)), ("rounding_mode", Attr::S(mode))];
            let mut net = Net::new(13, &[1, 3]);
            // a grid twice as fine first, so that ties occur
            net.quant("@", "fine", scalar(0.125), scalar(8.0), &[]);
            net.quant(
                "@",
                "y",
                Tensor::f32(vec![3], vec![0.25, 0.5, 1.0]),
                Tensor::f32(vec![3], vec![4.0, 1.0, 3.0]),
                &attributes(),
            );
            assert_eq!(kinds(&net.agrees()), ["Quant", "Quant"], "{mode}");
        }
    }
}

#[test]
fn integer_parameters_and_double_and_half_weights() {
    let mut net = Net::new(13, &[1, 2]);
    net.constant("s", scalar(0.5)).constant("z", Tensor::i64(vec![], vec![0])).constant("b", Tensor::i64(vec![], vec![3]));
    net.node("IntQuant", &["x", "s", "z", "b"], "q", &[("narrow", Attr::I(0))]);
    net.random("w", &[2, 2]).node("MatMul", &["@", "w"], "y", &[]);
    net.agrees();
    // the same weight as float16 bit patterns in int32_data
    let half = [0.5f32, -1.25, 3.0, 0.1].map(half::f16::from_f32);
    let weight = net.graph.initializer.iter_mut().find(|t| t.name() == "w").unwrap();
    weight.raw_data = None;
    weight.data_type = Some(10);
    weight.int32_data = half.iter().map(|h| i32::from(h.to_bits())).collect();
    let graph = graph::import(&net.model()).unwrap().graph;
    let Op::Dense(dense) = &graph.nodes[1].op else { panic!() };
    assert_eq!(dense.weight, half.map(|h| h.to_f32()));
}

#[test]
fn annotated_weights_keep_their_raw_values() {
    let mut net = Net::new(13, &[1, 2]);
    net.constant("w", Tensor::f32(vec![3, 2], vec![0.3, -0.6, 0.9, 1.2, -1.5, 0.1]));
    net.quant("w", "wq", Tensor::f32(vec![3, 1], vec![0.5, 0.25, 0.125]), scalar(4.0), &[("narrow", Attr::I(1))]);
    net.node("Transpose", &["wq"], "wt", &[]).node("MatMul", &["x", "wt"], "m", &[]);
    net.random("b", &[3]).quant("b", "bq", scalar(0.25), scalar(3.0), &[]).node("Add", &["bq", "m"], "y", &[]);
    let graph = net.agrees();
    let Op::Dense(dense) = &graph.nodes[0].op else { panic!() };
    assert_eq!(dense.weight, [0.3, 0.9, -1.5, -0.6, 1.2, 0.1]);
    assert_eq!(dense.weight_quant.as_ref().unwrap().scale, [0.5, 0.25, 0.125, 0.5, 0.25, 0.125]);
    assert_eq!(dense.bias_quant.as_ref().unwrap().bits, [3.0; 3]);
}

#[test]
fn quant_faults_are_named() {
    let quant = |scale: f32, zero: f32, bits: f32, signed: i64, mode: &str| {
        let mut net = Net::new(13, &[1, 3]);
        net.constant("s", scalar(scale)).constant("z", scalar(zero)).constant("b", scalar(bits));
        net.node("Quant", &["x", "s", "z", "b"], "y", &[("signed", Attr::I(signed)), ("rounding_mode", Attr::S(mode))]);
        let refusals = net.refusals();
        assert_eq!(
            (refusals.len(), refusals[0].name.as_str(), refusals[0].op.as_str()),
            (1, "y", "qonnx.custom_op.general.Quant")
        );
        refusals[0].reason.clone()
    };
    for (reason, expected) in [
        (quant(0.0, 0.0, 4.0, 1, "ROUND"), "scale 0"),
        (quant(-0.5, 0.0, 4.0, 1, "ROUND"), "scale -0.5"),
        (quant(f32::NAN, 0.0, 4.0, 1, "ROUND"), "scale NaN"),
        (quant(0.5, 1.0, 4.0, 1, "ROUND"), "zero point 1"),
        (quant(0.5, 0.0, 4.5, 1, "ROUND"), "bit width 4.5"),
        (quant(0.5, 0.0, 0.0, 0, "ROUND"), "bit width 0"),
        (quant(0.5, 0.0, 4.0, 1, "STOCHASTIC"), "STOCHASTIC"),
    ] {
        assert!(reason.contains(expected), "{reason}");
    }
}

#[test]
fn all_faults_of_a_model_are_listed() {
    let mut net = Net::new(13, &[1, 4]);
    net.random("w", &[3, 4]).constant("bad", Tensor::f32(vec![3, 3], [vec![f32::NAN], vec![1.0; 8]].concat()));
    net.node("Exp", &["@"], "a", &[]).node("Gemm", &["x", "w"], "b", &[]).node(
        "Gemm",
        &["x", "w"],
        "c",
        &[("transB", Attr::I(1))],
    );
    net.node("Gemm", &["@", "bad"], "d", &[]).node("Secret", &["@"], "e", &[]).node("Softmax", &["c"], "f", &[]);
    net.node("Relu", &["@"], "g", &[]).node("Sum", &["a", "b", "d", "e", "g"], "y", &[]);
    net.graph.initializer[0].external_data.clear();
    let refusals = net.refusals();
    let found: Vec<&str> = refusals.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(found, ["a", "b", "d", "e", "f"], "{refusals:#?}");
    assert!(refusals[2].reason.contains("`bad`") && refusals[2].reason.contains("index 0"), "{}", refusals[2].reason);
}

#[test]
fn signature_faults() {
    // a dimension besides the batch is open
    let mut net = Net::new(13, &[1, 0]);
    net.node("Relu", &["@"], "y", &[]);
    assert_eq!(net.refusals()[0].op, "input");
    // opsets are refused where they are older than what is known; newer ones by operator
    let mut net = Net::new(5, &[1, 2]);
    net.node("Relu", &["@"], "y", &[]);
    assert_eq!(net.refusals()[0].op, "opset");
    let mut net = Net::new(40, &[1, 2]);
    net.node("Relu", &["@"], "y", &[]);
    assert!(graph::import(&net.model()).is_ok());
    // weights outside of the file, and a shape that does not fit the data
    let mut net = Net::new(13, &[1, 2]);
    net.random("w", &[2, 2]).random("v", &[2, 2]).node("MatMul", &["@", "w"], "m", &[]).node("MatMul", &["@", "v"], "y", &[]);
    net.graph.initializer[0].data_location = Some(1);
    net.graph.initializer[1].dims = vec![2, 3];
    let refusals = net.refusals();
    assert_eq!(refusals.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["w", "v"]);
    // nodes out of order
    let mut net = Net::new(13, &[1, 2]);
    net.node("Relu", &["late"], "y", &[]);
    assert!(net.refusals()[0].reason.contains("`late`"));
}

#[test]
fn expansion_is_bounded() {
    // ten additions of a scalar to a sample of 2^24 elements would need gigabytes
    let mut net = Net::new(13, &[1, 1 << 24]);
    net.constant("c", scalar(1.0));
    (0..10).for_each(|i| {
        net.node("Add", &["@", "c"], &format!("a{i}"), &[]);
    });
    assert!(net.refusals()[0].reason.contains("expand"));
}

#[test]
fn transposes_in_branches_and_of_large_inputs() {
    // one reader absorbs, the other is an output after an activation
    let mut net = Net::new(13, &[1, 2, 3]);
    net.node("Transpose", &["x"], "t", &[("perm", Attr::Is(&[0, 2, 1]))]).node("Tanh", &["t"], "other", &[]);
    net.node("Flatten", &["t"], "f", &[]).dense("y", 6, 2);
    let mut model = net.model();
    model.graph.as_mut().unwrap().output.push(ValueInfoProto { name: Some("other".into()), ..Default::default() });
    let imported = graph::import(&model).unwrap();
    let graph = &imported.graph;
    assert_eq!(kinds(graph), ["Tanh", "Reshape", "Gemm", "Gather"]);
    let x: Vec<f32> = (0..12).map(|v| v as f32 / 10.0).collect();
    let ours = evaluate(&imported, &[&x], 2);
    let theirs = tract::run(&onnx::encode(&model), &[&x], 2).unwrap();
    for (a, b) in ours.concat().iter().zip(theirs.concat()) {
        assert!((a - f64::from(b)).abs() < 1e-6);
    }
    assert_eq!(graph.values[graph.outputs[1]].name, "other");
    assert_eq!(graph.values[graph.outputs[1]].shape, [3, 2]);
    // 5000 elements are too many for a selection, but a layer takes them
    let mut net = Net::new(13, &[1, 2, 50, 50]);
    net.node("Transpose", &["x"], "t", &[("perm", Attr::Is(&[0, 3, 2, 1]))]).node("Relu", &["@"], "r", &[]);
    assert_eq!(net.refusals()[0].op, "Transpose");
    net.node("Flatten", &["@"], "f", &[]).random("w", &[5000, 2]).node("MatMul", &["@", "w"], "m", &[]);
    net.constant("c", scalar(0.01)).node("Mul", &["@", "c"], "y", &[]);
    assert_eq!(kinds(&net.agrees()), ["Relu", "Reshape", "Gemm"]);
    // two in a row after a layer
    let mut net = Net::new(13, &[1, 4]);
    net.dense("h", 4, 6).constant("shape", Tensor::i64(vec![4], vec![1, 1, 2, 3])).node("Reshape", &["@", "shape"], "r", &[]);
    net.node("Transpose", &["@"], "t", &[("perm", Attr::Is(&[0, 2, 3, 1]))]).node(
        "Transpose",
        &["@"],
        "y",
        &[("perm", Attr::Is(&[0, 3, 2, 1]))],
    );
    assert_eq!(kinds(&net.agrees()), ["Gemm"]);
}

/// Chains that a rewrite in quadratic time would notice.
#[test]
fn long_chains_of_transposes_are_absorbed() {
    let mut net = Net::new(13, &[1, 2, 3]);
    for index in 0..2000 {
        net.node("Transpose", &["@"], &format!("t{index}"), &[("perm", Attr::Is(&[0, 2, 1]))]);
        net.node("Relu", &["@"], &format!("r{index}"), &[]);
    }
    net.node("Flatten", &["@"], "f", &[]).dense("y", 6, 2);
    let graph = graph::import(&net.model()).unwrap().graph;
    // the chain, Flatten and Gemm
    assert_eq!(graph.nodes.len(), 2002);
    assert!(graph.nodes[..2000].iter().all(|n| matches!(n.op, Op::Elementwise(Elementwise::Relu))));
}
