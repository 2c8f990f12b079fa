//! Operators that select, reduce or are short for others: the imported graph computes what tract
//! computes from the same bytes.

use crate::support::checked::Checked;
use crate::support::eval::evaluate;
use crate::support::loops::{self, kinds};
use crate::support::onnx::{Attr, Net, scalar};
use hgq_onnx::diagnostic::Code;
use hgq_onnx::graph::{self, Op};
use hgq_onnx::onnx::Tensor;
use hgq_onnx::ops::Move;

fn ints(values: &[i64]) -> Tensor {
    Tensor::i64(vec![values.len()], values.to_vec())
}

/// A model of one operator with constant integers behind a layer.
fn selection(op: &str, shape: &[i64], constants: &[&[i64]], attributes: &[(&str, Attr<'_>)]) -> Net {
    let mut net = Net::new(13, shape);
    let names: Vec<String> = (0..constants.len()).map(|n| format!("c{n}")).collect();
    for (name, values) in names.iter().zip(constants) {
        net.constant(name, ints(values));
    }
    let inputs: Vec<&str> = std::iter::once("@").chain(names.iter().map(String::as_str)).collect();
    net.node(op, &inputs, "y", attributes);
    net
}

#[test]
fn parts_of_tensors() {
    for (starts, ends, axes, steps) in
        [(&[1][..], &[3][..], &[1][..], &[1][..]), (&[-2], &[i64::MAX], &[2], &[1]), (&[4, 0], &[i64::MIN, 3], &[2, 1], &[-2, 1])]
    {
        assert_eq!(kinds(&selection("Slice", &[1, 4, 5], &[starts, ends, axes, steps], &[]).agrees()), ["Gather"]);
    }
    selection("Gather", &[1, 4, 3], &[&[3, 0, -1]], &[("axis", Attr::I(1))]).agrees();
    selection("Gather", &[1, 4, 3], &[&[1]], &[("axis", Attr::I(2))]).agrees();
    selection("Tile", &[1, 2, 3], &[&[1, 2, 2]], &[]).agrees();
    selection("Expand", &[1, 1, 3], &[&[1, 4, 3]], &[]).agrees();
    let mut net = Net::new(13, &[1, 6]);
    net.constant("sizes", ints(&[2, 4])).node("Split", &["@", "sizes"], "a", &[("axis", Attr::I(1))]);
    net.graph.node.last_mut().unwrap().output.push("b".into());
    net.node("Concat", &["b", "a"], "y", &[("axis", Attr::I(1))]);
    net.agrees();
}

#[test]
fn channels_and_positions_change_places() {
    for mode in ["DCR", "CRD"] {
        selection("DepthToSpace", &[1, 8, 2, 3], &[], &[("blocksize", Attr::I(2)), ("mode", Attr::S(mode))]).agrees();
    }
    selection("SpaceToDepth", &[1, 2, 4, 6], &[], &[("blocksize", Attr::I(2))]).agrees();
    let mut net = Net::new(13, &[1, 2, 3, 4]);
    net.constant("scales", Tensor::f32(vec![4], vec![1.0, 1.0, 2.0, 3.0]));
    let nearest = [
        ("mode", Attr::S("nearest")),
        ("coordinate_transformation_mode", Attr::S("asymmetric")),
        ("nearest_mode", Attr::S("floor")),
    ];
    net.node("Resize", &["@", "", "scales"], "y", &nearest);
    net.agrees();
}

#[test]
fn a_selection_of_a_selection_is_one() {
    let mut net = Net::new(13, &[1, 6]);
    net.constant("one", ints(&[1])).constant("many", ints(&[i64::MAX])).constant("axis", ints(&[1])).constant("two", ints(&[2]));
    net.node("Slice", &["@", "one", "many", "axis"], "a", &[]).node("Slice", &["@", "one", "many", "axis", "two"], "y", &[]);
    let graph = net.agrees();
    let sources: Vec<_> = graph.nodes.iter().map(|n| n.op.clone()).collect();
    assert_eq!(sources, [Op::Move(Move::Select { source: vec![Some(2), Some(4)] })]);
}

#[test]
fn reductions() {
    let keep = |keep: i64| ("keepdims", Attr::I(keep));
    for op in ["ReduceMean", "ReduceMax", "ReduceMin"] {
        for axes in [&[1][..], &[2], &[-1], &[1, 2], &[1, 2, 3], &[2, 3], &[1, 3]] {
            selection(op, &[1, 2, 3, 4], &[], &[("axes", Attr::Is(axes)), keep(1)]).agrees();
            selection(op, &[1, 2, 3, 4], &[], &[("axes", Attr::Is(axes)), keep(0)]).agrees();
        }
    }
    selection("ReduceSum", &[1, 2, 3], &[&[1]], &[keep(0)]).agrees();
    selection("ReduceSumSquare", &[1, 2, 3], &[], &[("axes", Attr::Is(&[2])), keep(1)]).agrees();
    // a window over the positions of images
    let mut net = Net::new(13, &[1, 2, 4, 4]);
    net.random("w", &[3, 2, 3, 3]).node("Conv", &["@", "w"], "c", &[]);
    net.node("ReduceMean", &["@"], "y", &[("axes", Attr::Is(&[-2])), keep(0)]);
    assert!(kinds(&net.agrees()).contains(&"AveragePool"));
    let refused = selection("ReduceMean", &[4, 2, 3], &[], &[("axes", Attr::Is(&[0]))]).refusals();
    assert!(refused[0].reason.contains("batch"), "{refused:?}");
}

#[test]
fn tensors_broadcast_against_each_other() {
    for op in ["Add", "Sub", "Mul", "Max", "Min"] {
        let mut net = Net::new(13, &[1, 3, 4]);
        net.node("ReduceMean", &["@"], "m", &[("axes", Attr::Is(&[2]))]).node(op, &["x", "m"], "y", &[]);
        net.agrees();
    }
}

#[test]
fn functions_of_others() {
    type Case<'a> = (&'a str, &'a [(&'a str, Attr<'a>)], fn(f64) -> f64);
    let functions: [Case<'_>; 8] = [
        ("HardSwish", &[], |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
        ("Swish", &[("alpha", Attr::F(2.0))], |x| x / (1.0 + (-2.0 * x).exp())),
        ("Mish", &[], |x| x * (1.0 + x.exp()).ln().tanh()),
        ("Celu", &[("alpha", Attr::F(0.5))], |x| if x > 0.0 { x } else { 0.5 * ((x / 0.5).exp() - 1.0) }),
        ("Abs", &[], f64::abs),
        ("Neg", &[], |x| -x),
        ("LeakyRelu", &[("alpha", Attr::F(-0.25))], |x| if x < 0.0 { -0.25 * x } else { x }),
        ("LeakyRelu", &[("alpha", Attr::F(0.0))], |x| x.max(0.0)),
    ];
    let x: Vec<f32> = (0..40).map(|n| (n - 20) as f32 * 0.25).collect();
    for (op, attributes, function) in functions {
        let mut net = Net::new(22, &[1, 40]);
        net.node(op, &["@"], "y", attributes);
        let y = evaluate(&graph::import(&net.model()).unwrap_or_else(|e| panic!("{e}")), &[&x], 1);
        let worst = x.iter().zip(&y[0]).map(|(&x, y)| (y - function(x.into())).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-6, "{op}: {worst}");
    }
    for exponent in [2.0, 3.0] {
        let mut net = Net::new(13, &[1, 5]);
        net.constant("e", scalar(exponent)).node("Pow", &["@", "e"], "y", &[]);
        net.agrees();
    }
    let mut net = Net::new(13, &[1, 3, 4]);
    net.constant("slope", Tensor::f32(vec![3, 1], vec![0.5, -0.5, 0.1])).node("PRelu", &["@", "slope"], "y", &[]);
    net.agrees();
    let mut net = Net::new(13, &[1, 3]);
    net.constant("c", Tensor::f32(vec![3], vec![0.5, -0.5, 0.1])).node("Max", &["@", "c"], "m", &[]);
    net.node("Min", &["c", "x"], "n", &[]).node("Concat", &["m", "n"], "y", &[("axis", Attr::I(1))]);
    net.agrees();
}

#[test]
fn leaky_choices() {
    for op in ["Greater", "Less"] {
        let mut net = Net::new(13, &[1, 5]);
        net.constant("zero", scalar(0.0)).constant("slope", scalar(0.25));
        net.node(op, &["@", "zero"], "positive", &[]).node("Mul", &["x", "slope"], "scaled", &[]);
        let both = if op == "Greater" { ["x", "scaled"] } else { ["scaled", "x"] };
        net.node("Where", &["positive", both[0], both[1]], "y", &[]);
        assert!(kinds(&net.agrees()).contains(&"LeakyRelu"));
    }
    let mut net = Net::new(13, &[1, 5]);
    net.constant("one", scalar(1.0)).node("Greater", &["@", "one"], "c", &[]).node("Where", &["c", "x", "one"], "y", &[]);
    assert!(net.refusals()[0].reason.contains("LeakyRelu"));
}

#[test]
fn gelu_is_near_and_said() {
    let mut net = Net::new(13, &[1, 40]);
    net.constant("root", scalar(2f32.sqrt())).constant("one", scalar(1.0)).constant("half", scalar(0.5));
    net.node("Div", &["@", "root"], "d", &[]).node("Erf", &["@"], "e", &[]).node("Add", &["@", "one"], "a", &[]);
    net.node("Mul", &["x", "a"], "m", &[]).node("Mul", &["@", "half"], "y", &[]);
    let imported = graph::import(&net.model()).unwrap();
    assert_eq!(imported.notes.iter().map(|n| n.code).collect::<Vec<_>>(), [Code::Approximated]);
    let x: Vec<f32> = (0..40).map(|n| (n - 20) as f32 * 0.25).collect();
    let y = evaluate(&imported, &[&x], 1);
    let worst = x.iter().zip(&y[0]).map(|(&x, y)| (y - f64::from(x) / (1.0 + (-1.702 * f64::from(x)).exp())).abs());
    assert!(worst.fold(0.0, f64::max) < 1e-6);
}

#[test]
fn convolutions_with_gaps_and_the_other_way_round() {
    let mut net = Net::new(13, &[1, 2, 7, 6]);
    net.random("w", &[3, 2, 3, 2]).node("Conv", &["@", "w"], "y", &[("dilations", Attr::Is(&[2, 3]))]);
    net.agrees();
    for (kernel, stride, pads, extra) in [
        (&[3, 2][..], &[2, 1][..], &[0, 0, 0, 0][..], &[0, 0][..]),
        (&[4, 5], &[2, 3], &[1, 2, 1, 0], &[0, 0]),
        (&[1, 3], &[3, 2], &[0, 1, 0, 1], &[1, 1]),
        (&[2, 2], &[2, 2], &[0, 0, 0, 0], &[0, 0]),
    ] {
        let mut net = Net::new(13, &[1, 2, 3, 4]);
        net.random("w", &[&[2, 3], kernel].concat().iter().map(|&d| d as usize).collect::<Vec<_>>()).random("b", &[3]);
        let attributes = [
            ("kernel_shape", Attr::Is(kernel)),
            ("strides", Attr::Is(stride)),
            ("pads", Attr::Is(pads)),
            ("output_padding", Attr::Is(extra)),
        ];
        net.node("ConvTranspose", &["@", "w", "b"], "y", &attributes);
        net.agrees();
    }
    let mut net = Net::new(13, &[1, 4, 5]);
    net.random("w", &[4, 3, 3]).node("ConvTranspose", &["@", "w"], "y", &[("group", Attr::I(2)), ("strides", Attr::Is(&[2]))]);
    net.agrees();
}

#[test]
fn windows_that_end_behind_the_input() {
    let mut net = Net::new(13, &[1, 2, 5, 6]);
    let attributes = [("kernel_shape", Attr::Is(&[2, 3])), ("strides", Attr::Is(&[2, 2])), ("ceil_mode", Attr::I(1))];
    net.node("MaxPool", &["@"], "y", &attributes);
    net.agrees();
    let mut net = Net::new(13, &[1, 2, 5, 6]);
    net.node("AveragePool", &["@"], "y", &attributes);
    assert!(net.refusals()[0].reason.contains("divisor"));
}

#[test]
fn constants_are_folded_whatever_they_are_made_of() {
    let mut net = Net::new(13, &[1, 4]);
    net.random("v", &[3, 4]).random("g", &[3, 1]);
    net.node("ReduceL2", &["v"], "norm", &[("axes", Attr::Is(&[1]))]).node("Div", &["g", "norm"], "ratio", &[]);
    net.node("Mul", &["v", "ratio"], "w", &[]);
    net.constant("eps", scalar(1e-3)).random("var", &[3]);
    net.node("Abs", &["var"], "positive", &[]).node("Add", &["positive", "eps"], "sum", &[]);
    net.node("Sqrt", &["sum"], "root", &[]).node("Reciprocal", &["root"], "scale", &[]);
    net.node("Gemm", &["x", "w"], "h", &[("transB", Attr::I(1))]).node("Mul", &["@", "scale"], "n", &[]);
    net.random("mask", &[3]).constant("zero", scalar(0.0)).node("Greater", &["mask", "zero"], "kept", &[]);
    net.node("Where", &["kept", "mask", "zero"], "masked", &[]).node("Add", &["n", "masked"], "y", &[]);
    assert_eq!(kinds(&net.agrees()), ["Gemm"]);
    let mut net = Net::new(13, &[1, 4]);
    net.random("a", &[4, 2]).random("b", &[2, 3]).node("Einsum", &["a", "b"], "w", &[("equation", Attr::S("ik,kj->ij"))]);
    net.node("MatMul", &["x", "w"], "y", &[]);
    assert_eq!(kinds(&net.agrees()), ["Gemm"]);
}

#[test]
fn a_file_without_a_batch() {
    let mut net = Net::new(13, &[4]);
    net.random("w", &[4, 3]).random("b", &[3]).node("MatMul", &["@", "w"], "h", &[]).node("Add", &["b", "h"], "s", &[]);
    net.node("Elu", &["@"], "y", &[]);
    let imported = graph::import(&net.model()).unwrap();
    assert_eq!(imported.notes.iter().map(|n| n.code).collect::<Vec<_>>(), [Code::NoBatchAxis]);
    assert_eq!(imported.graph.values[imported.graph.inputs[0]].shape, [4]);
    net.agrees();
}

#[test]
fn a_row_times_a_column_is_a_sum_of_products() {
    let mut net = Net::new(13, &[1, 4]);
    net.constant("one", ints(&[1])).constant("two", ints(&[2]));
    net.node("Unsqueeze", &["@", "one"], "row", &[]).node("Unsqueeze", &["x", "two"], "column", &[]);
    net.node("MatMul", &["row", "column"], "y", &[]);
    net.agrees();
    let mut net = Net::new(13, &[1, 4]);
    net.constant("one", ints(&[1])).constant("two", ints(&[2]));
    net.node("Unsqueeze", &["@", "one"], "row", &[]).node("Unsqueeze", &["x", "two"], "column", &[]);
    net.node("MatMul", &["column", "row"], "y", &[]);
    assert!(loops::refusals(&net)[0].reason.contains("attention"));
}
