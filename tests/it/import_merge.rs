//! Merges, concatenation, bounds and binary quantizers of the import against straight loops in the
//! layout of the file.

use crate::support::loops::{T, check, check_model, concat, kinds, refused, win};
use crate::support::onnx::scalar;
use crate::support::onnx::{Attr, Net, info};
use hgq_onnx::graph::{Graph, Op};
use hgq_onnx::onnx::Tensor;
use hgq_onnx::ops::Elementwise;

/// `x` and two convolutions of it, `a` and `b`, all `[2, 4, 4]`.
fn branches(opset: i64) -> (Net, impl Fn(&T) -> [T; 3]) {
    let mut net = Net::new(opset, &[1, 2, 4, 4]);
    net.random("wa", &[2, 2, 3, 3]).random("wb", &[2, 2, 1, 1]);
    net.node("Conv", &["x", "wa"], "a", &[("pads", Attr::Is(&[1; 4]))]).node("Conv", &["x", "wb"], "b", &[]);
    let (wa, wb) = (T::of(&net, "wa"), T::of(&net, "wb"));
    let both = move |x: &T| {
        [x.clone(), x.conv(&wa, &[], win([3, 3], [1, 1], [1; 4]), 1), x.conv(&wb, &[], win([1, 1], [1, 1], [0; 4]), 1)]
    };
    (net, both)
}

const SHAPE: &[usize] = &[2, 4, 4];

type Function = fn(f64, f64) -> f64;

#[test]
fn two_tensors() {
    let functions: [(&str, Function); 5] =
        [("Add", |a, b| a + b), ("Sub", |a, b| a - b), ("Mul", |a, b| a * b), ("Max", f64::max), ("Min", f64::min)];
    for (op, f) in functions {
        // a layer and a layer, a layer and the input, the same tensor twice
        for (left, right, at) in [("a", "b", [1, 2]), ("b", "a", [2, 1]), ("x", "a", [0, 1]), ("a", "x", [1, 0])] {
            let (mut net, values) = branches(13);
            net.node(op, &[left, right], "y", &[]);
            let graph = check(&net, SHAPE, |x| {
                let v = values(x);
                v[at[0]].zip(&v[at[1]], f)
            });
            assert_eq!(graph.nodes.last().map(|n| n.op.kind()), Some(op));
        }
        if !["Sub"].contains(&op) {
            let (mut net, values) = branches(13);
            net.node(op, &["a", "a"], "y", &[]);
            check(&net, SHAPE, |x| values(x)[1].zip(&values(x)[1], f));
        }
    }
}

#[test]
fn sums_of_several() {
    let functions: [(&str, Function); 3] = [("Sum", |a, b| a + b), ("Max", f64::max), ("Min", f64::min)];
    for (op, f) in functions {
        let (mut net, values) = branches(13);
        net.node("Relu", &["a"], "r", &[]).node(op, &["a", "x", "r", "b"], "y", &[]);
        let graph = check(&net, SHAPE, |x| {
            let [x, a, b] = values(x);
            let r = a.map(|v| v.max(0.0));
            a.zip(&x, f).zip(&r, f).zip(&b, f)
        });
        let kind = if op == "Sum" { "Add" } else { op };
        assert_eq!(kinds(&graph).iter().filter(|k| **k == kind).count(), 3);
        // one operand is the tensor itself, and what reads it may not become its bias
        let mut net = Net::new(13, &[1, 3]);
        net.random("w", &[3, 3]).random("c", &[3]).node("MatMul", &["x", "w"], "m", &[]).node(op, &["m"], "s", &[]);
        net.node("Add", &["s", "c"], "p", &[]).node("Mul", &["s", "p"], "y", &[]);
        let (w, c) = (T::of(&net, "w"), T::of(&net, "c"));
        check(&net, &[3], |x| x.dense(&w, &[]).zip(&x.dense(&w, &c.v), |a, b| a * b));
    }
    // a constant
    let (mut net, values) = branches(13);
    net.random("c", &[2, 1, 1]).node("Sum", &["c", "a"], "y", &[]);
    let c = T::of(&net, "c");
    check(&net, SHAPE, |x| values(x)[1].map_channels(|channel, v| v + c.v[channel]));
}

#[test]
fn merge_faults() {
    let (mut net, _) = branches(13);
    net.node("Flatten", &["a"], "g", &[]).node("Mul", &["a", "g"], "y", &[]);
    refused(&net, "y", "broadcast");
    let (mut net, _) = branches(13);
    net.node("Div", &["a", "b"], "y", &[]);
    refused(&net, "y", "division");
    let (mut net, _) = branches(13);
    net.constant("c", scalar(1.0)).node("Sum", &["a", "b", "c"], "y", &[]);
    refused(&net, "y", "constant among more than two");
    let (mut net, _) = branches(13);
    net.node("Sum", &[], "y", &[]);
    refused(&net, "y", "no operands");
}

#[test]
fn concatenation_along_every_axis() {
    for (axis, at) in [(1, 0), (2, 1), (3, 2), (-1, 2), (-2, 1), (-3, 0)] {
        let (mut net, values) = branches(13);
        net.node("Concat", &["a", "x", "b"], "c", &[("axis", Attr::I(axis))]).node("Relu", &["@"], "y", &[]);
        check(&net, SHAPE, |x| {
            let [x, a, b] = values(x);
            concat(&[&a, &x, &b], at).map(|v| v.max(0.0))
        });
        // the same tensor twice, then a layer
        let channels = if at == 0 { 4 } else { 2 };
        let (mut net, values) = branches(13);
        net.node("Concat", &["a", "a"], "c", &[("axis", Attr::I(axis))]);
        net.random("w", &[3, channels, 2, 2]).node("Conv", &["@", "w"], "y", &[]);
        let w = T::of(&net, "w");
        check(&net, SHAPE, |x| {
            let [_, a, _] = values(x);
            concat(&[&a, &a], at).conv(&w, &[], win([2, 2], [1, 1], [0; 4]), 1)
        });
    }
    for (axis, text) in [(0, "batch"), (4, "none of the 4"), (-4, "batch"), (-5, "none of the 4"), (i64::MIN, "none of the 4")] {
        let (mut net, _) = branches(13);
        net.node("Concat", &["a", "b"], "y", &[("axis", Attr::I(axis))]);
        refused(&net, "y", text);
    }
    // different sizes along the axis, and along another one
    let pool = |net: &mut Net| {
        net.node("MaxPool", &["a"], "p", &[("kernel_shape", Attr::Is(&[2, 1])), ("strides", Attr::Is(&[2, 1]))]);
    };
    let (mut net, values) = branches(13);
    pool(&mut net);
    net.node("Concat", &["p", "b"], "y", &[("axis", Attr::I(2))]);
    check(&net, SHAPE, |x| {
        let [_, a, b] = values(x);
        let max = |w: &[Option<f64>]| w.iter().flatten().fold(f64::NEG_INFINITY, |m, &v| m.max(v));
        concat(&[&a.pool(win([2, 1], [2, 1], [0; 4]), max), &b], 1)
    });
    let (mut net, _) = branches(13);
    pool(&mut net);
    net.node("Concat", &["p", "b"], "y", &[("axis", Attr::I(1))]);
    refused(&net, "y", "do not join");
    let (mut net, values) = branches(13);
    net.random("c", &[1, 2, 4, 4]).node("Concat", &["a", "c"], "y", &[("axis", Attr::I(1))]);
    let c = T::new(&[2, 4, 4], T::of(&net, "c").v);
    check(&net, SHAPE, |x| {
        let [_, a, _] = values(x);
        concat(&[&a, &c], 0)
    });
}

/// Samples without channels: flat, and a matrix in a file without convolutions.
#[test]
fn concatenation_of_flat_tensors_and_matrices() {
    let mut net = Net::new(13, &[1, 3]);
    net.dense("a", 3, 2).node("Concat", &["a", "x", "a"], "c", &[("axis", Attr::I(-1))]).dense("y", 7, 2);
    let [wa, ba, wy, by] = ["a_w", "a_b", "y_w", "y_b"].map(|n| T::of(&net, n));
    check(&net, &[3], |x| {
        let a = x.dense(&wa, &ba.v);
        concat(&[&a, x, &a], 0).dense(&wy, &by.v)
    });
    for (axis, at) in [(1, 0), (2, 1)] {
        let mut net = Net::new(13, &[1, 2, 3]);
        net.node("Relu", &["x"], "r", &[]).node("Concat", &["r", "x"], "y", &[("axis", Attr::I(axis))]);
        check(&net, &[2, 3], |x| concat(&[&x.map(|v| v.max(0.0)), x], at));
    }
    // two images flattened one after the other
    let (mut net, values) = branches(13);
    net.node("Flatten", &["a"], "fa", &[]).node("Flatten", &["x"], "fx", &[]);
    net.node("Concat", &["fa", "fx"], "c", &[("axis", Attr::I(1))]).dense("y", 64, 3);
    let (w, b) = (T::of(&net, "y_w"), T::of(&net, "y_b"));
    check(&net, SHAPE, |x| {
        let [x, a, _] = values(x);
        concat(&[&a.flat(), &x.flat()], 0).dense(&w, &b.v)
    });
}

fn one(op: &str, opset: i64, attributes: &[(&str, Attr<'_>)]) -> Net {
    let mut net = Net::new(opset, &[1, 2, 3]);
    net.node(op, &["x"], "y", attributes);
    net
}

#[track_caller]
fn check_bounds(net: &Net, lo: f64, hi: f64) -> Graph {
    check(net, &[2, 3], |x| x.map(|v| v.clamp(lo, hi)))
}

#[test]
fn clips() {
    const FREE: f32 = f32::MAX;
    for (lo, hi, expected) in [
        (0.0, 1.5, &["Relu", "BatchNormalization", "Relu", "Sub"][..]),
        (0.0, FREE, &["Relu"]),
        (-1.25, 1.5, &["BatchNormalization", "Relu", "BatchNormalization", "Relu", "Sub", "BatchNormalization"]),
        (-FREE, 0.75, &["BatchNormalization", "Relu", "Sub"]),
        (0.5, f32::INFINITY, &["BatchNormalization", "Relu", "BatchNormalization"]),
        (f32::NEG_INFINITY, 0.0, &["Relu", "Sub"]),
    ] {
        let graph = check_bounds(&one("Clip", 7, &[("min", Attr::F(lo)), ("max", Attr::F(hi))]), lo.into(), hi.into());
        assert_eq!(kinds(&graph), expected);
        let mut net = Net::new(13, &[1, 2, 3]);
        net.constant("lo", scalar(lo)).constant("hi", scalar(hi)).node("Clip", &["x", "lo", "hi"], "y", &[]);
        assert_eq!(kinds(&check_bounds(&net, lo.into(), hi.into())), expected);
    }
    // one of the inputs left out
    let mut net = Net::new(11, &[1, 2, 3]);
    net.constant("hi", scalar(0.5)).node("Clip", &["x", "", "hi"], "y", &[]);
    check_bounds(&net, f64::NEG_INFINITY, 0.5);
    let mut net = Net::new(11, &[1, 2, 3]);
    net.constant("lo", scalar(-0.5)).node("Clip", &["x", "lo"], "y", &[]);
    check_bounds(&net, -0.5, f64::INFINITY);
    // attributes left out; no bound at all leaves the tensor
    check_bounds(&one("Clip", 7, &[("max", Attr::F(1.0))]), f64::NEG_INFINITY, 1.0);
    let mut net = one("Clip", 7, &[]);
    net.node("Relu", &["y"], "z", &[]);
    assert_eq!(kinds(&check_bounds(&net, 0.0, f64::INFINITY)), ["Relu"]);
    for (op, lo, hi) in [("Max", 0.5, f64::INFINITY), ("Min", f64::NEG_INFINITY, 0.5)] {
        for inputs in [&["x", "c"], &["c", "x"]] {
            let mut net = Net::new(13, &[1, 2, 3]);
            net.constant("c", scalar(0.5)).node(op, inputs, "y", &[]);
            check_bounds(&net, lo, hi);
        }
    }
    for (lo, hi) in [(1.0, 0.5), (f32::NAN, 1.0), (f32::INFINITY, f32::INFINITY), (f32::NEG_INFINITY, f32::NEG_INFINITY)] {
        let mut net = Net::new(13, &[1, 2, 3]);
        net.constant("lo", scalar(lo)).constant("hi", scalar(hi)).node("Clip", &["x", "lo", "hi"], "y", &[]);
        refused(&net, "y", if lo.is_nan() { "not a single number" } else { "leave nothing" });
    }
}

/// A bound outside of what the quantizer after keeps is none.
#[test]
fn clips_in_front_of_quantizers() {
    // signed 4 bits of 0.25, not narrow: −2 … 1.75
    let net = |lo: f32, hi: f32| {
        let mut net = Net::new(7, &[1, 2, 3]);
        net.node("Clip", &["x"], "c", &[("min", Attr::F(lo)), ("max", Attr::F(hi))]);
        net.quant("@", "y", scalar(0.25), scalar(4.0), &[("narrow", Attr::I(0))]);
        net
    };
    for (lo, hi, expected) in [
        (-2.0, 1.75, &["Quant"][..]),
        (-3.0, 6.0, &["Quant"]),
        (0.0, 1.75, &["Relu", "Quant"]),
        (0.0, 1.5, &["Relu", "BatchNormalization", "Relu", "Sub", "Quant"]),
        // between the largest value and the next integer
        (-2.0, 1.8, &["Quant"]),
        (-2.0, 1.7, &["BatchNormalization", "Relu", "Sub", "Quant"]),
        (-1.9, 2.0, &["BatchNormalization", "Relu", "BatchNormalization", "Quant"]),
    ] {
        let graph = check(&net(lo, hi), &[2, 3], |x| {
            x.map(|v| (v.clamp(lo.into(), hi.into()) / 0.25).clamp(-8.0, 7.0).round_ties_even() * 0.25)
        });
        assert_eq!(kinds(&graph), expected, "{lo} … {hi}");
    }
    // one scale of several reaches beyond the bound
    let mut net = Net::new(7, &[1, 2, 3]);
    net.node("Clip", &["x"], "c", &[("min", Attr::F(0.0)), ("max", Attr::F(1.0))]);
    let scales = Tensor::f32(vec![2, 1], vec![0.0625, 0.25]);
    net.quant("@", "y", scales, scalar(4.0), &[("signed", Attr::I(0)), ("narrow", Attr::I(0))]);
    let graph = check(&net, &[2, 3], |x| {
        x.map_channels(|c, v| {
            let s = [0.0625, 0.25][c];
            (v.clamp(0.0, 1.0) / s).clamp(0.0, 15.0).round_ties_even() * s
        })
    });
    assert_eq!(kinds(&graph), ["BatchNormalization", "Relu", "Sub", "Quant"]);
}

#[test]
fn hard_sigmoid_and_slopes() {
    let graph = check(&one("HardSigmoid", 13, &[("alpha", Attr::F(0.25)), ("beta", Attr::F(0.375))]), &[2, 3], |x| {
        x.map(|v| (0.25 * v + 0.375).clamp(0.0, 1.0))
    });
    assert_eq!(graph.nodes.last().map(|n| n.op.kind()), Some("Sub"));
    // its defaults are no binary fractions
    let model = one("HardSigmoid", 13, &[]).model();
    check_model(&model, &[&[2, 3]], 1e-6, |x| vec![x[0].map(|v| (0.2 * v + 0.5).clamp(0.0, 1.0))]);
    for shape in [&[1][..], &[2, 1], &[]] {
        let mut net = Net::new(13, &[1, 2, 3]);
        net.constant("s", Tensor::f32(shape.to_vec(), vec![0.125; shape.iter().product()])).node("PRelu", &["x", "s"], "y", &[]);
        let graph = check(&net, &[2, 3], |x| x.map(|v| if v < 0.0 { 0.125 * v } else { v }));
        assert_eq!(graph.nodes[0].op, Op::Elementwise(Elementwise::LeakyRelu { slope: 0.125 }));
    }
    let mut net = Net::new(13, &[1, 2, 3]);
    net.constant("s", Tensor::f32(vec![2, 1], vec![0.125, -0.25])).node("PRelu", &["x", "s"], "y", &[]);
    check(&net, &[2, 3], |x| x.map_channels(|c, v| if v < 0.0 { [0.125, -0.25][c] * v } else { v }));
}

/// `+s` where `x ≥ 0`, else `−s`.
#[test]
fn bipolar_quantizers() {
    let sign = |v: f64| if v >= 0.0 { 1.0 } else { -1.0 };
    // weights of a convolution with a scale per output, activations with a scale per channel
    let mut net = Net::new(13, &[1, 2, 4, 4]);
    net.random("w", &[3, 2, 2, 2]).constant("ws", Tensor::f32(vec![3, 1, 1, 1], vec![0.5, 0.25, 1.5]));
    net.constant("as", Tensor::f32(vec![1, 2, 1, 1], vec![0.5, 2.0]));
    net.node("BipolarQuant", &["w", "ws"], "wq", &[]).node("BipolarQuant", &["x", "as"], "xq", &[]);
    net.node("Conv", &["xq", "wq"], "c", &[("pads", Attr::Is(&[1, 0, 0, 1]))]).node("BipolarQuant", &["@", "half"], "y", &[]);
    net.constant("half", scalar(0.5));
    let w = T::of(&net, "w").map_channels(|o, v| [0.5, 0.25, 1.5][o] * sign(v));
    check(&net, &[2, 4, 4], |x| {
        let x = x.map_channels(|c, v| [0.5, 2.0][c] * sign(v));
        x.conv(&w, &[], win([2, 2], [1, 1], [1, 0, 0, 1]), 1).map(|v| 0.5 * sign(v))
    });
    // a Quant of one signed bit is the same
    let mut net = Net::new(13, &[1, 3]);
    net.random("w", &[3, 2]).quant("w", "wq", scalar(0.25), scalar(1.0), &[]);
    net.quant("x", "xq", scalar(2.0), scalar(1.0), &[]).node("MatMul", &["@", "wq"], "y", &[]);
    let w = T::of(&net, "w").map(|v| 0.25 * sign(v));
    let graph = check(&net, &[3], |x| x.map(|v| 2.0 * sign(v)).dense(&w, &[]));
    let annotated =
        |n: &hgq_onnx::graph::Node<Op>| matches!(&n.op, Op::Dense(d) if d.weight_quant.as_ref().is_some_and(|q| q.bipolar));
    assert!(graph.nodes.iter().any(annotated));
    // one unsigned bit is 0 and 1
    let mut net = Net::new(13, &[1, 3]);
    net.quant("x", "y", scalar(2.0), scalar(1.0), &[("signed", Attr::I(0)), ("narrow", Attr::I(0))]);
    check(&net, &[3], |x| x.map(|v| (v / 2.0).clamp(0.0, 1.0).round_ties_even() * 2.0));
    // widths per element: one signed bit is −1 and 0
    let mut net = Net::new(13, &[1, 3]);
    net.quant("x", "y", scalar(2.0), Tensor::f32(vec![3], vec![1.0, 2.0, 3.0]), &[("narrow", Attr::I(0))]);
    check(&net, &[3], |x| {
        let q = |e: usize| (x.v[e] / 2.0).clamp(-(e as f64).exp2(), (e as f64).exp2() - 1.0).round_ties_even() * 2.0;
        T::new(&[3], (0..3).map(q).collect())
    });
    let mut net = Net::new(13, &[1, 3]);
    net.constant("s", scalar(0.0)).node("BipolarQuant", &["x", "s"], "y", &[]);
    refused(&net, "y", "scale 0");
}

/// A normalisation in front of a sign becomes a threshold, at the same place for all values on a
/// grid.
#[test]
fn thresholds_in_front_of_signs() {
    let mut net = Net::new(13, &[1, 3, 2]);
    net.constant("g", Tensor::f32(vec![3], vec![0.5, -0.25, 0.0])).constant("b", Tensor::f32(vec![3], vec![0.5, 0.25, -1.0]));
    net.constant("m", Tensor::f32(vec![3], vec![0.5, 0.0, 0.0])).constant("v", Tensor::f32(vec![3], vec![1.0, 1.0, 1.0]));
    net.node("BatchNormalization", &["x", "g", "b", "m", "v"], "n", &[("epsilon", Attr::F(0.0))]);
    net.constant("s", scalar(1.0)).node("BipolarQuant", &["@", "s"], "y", &[]);
    check(&net, &[3, 2], |x| {
        let (g, b, m) = ([0.5, -0.25, 0.0], [0.5, 0.25, -1.0], [0.5, 0.0, 0.0]);
        x.map_channels(|c, v| if (v - m[c]) * g[c] + b[c] >= 0.0 { 1.0 } else { -1.0 })
    });
    // sums and thresholds far below one
    let mut net = Net::new(13, &[1, 3]);
    let weights: Vec<f32> = (0..12).map(|i| (i - 5) as f32 * 1e-5).collect();
    net.constant("w", Tensor::f32(vec![3, 4], weights)).node("MatMul", &["x", "w"], "m", &[]);
    net.constant("g", Tensor::f32(vec![4], vec![1e5, -2e5, 1e5, 3e5]))
        .constant("b", Tensor::f32(vec![4], vec![1.5, -0.75, 0.1, -2.0]));
    net.node("Mul", &["m", "g"], "a", &[]).node("Add", &["a", "b"], "n", &[]);
    net.constant("s", scalar(1.0)).node("BipolarQuant", &["@", "s"], "y", &[]);
    let w = T::of(&net, "w");
    check(&net, &[3], |x| {
        let sums = x.dense(&w, &[]);
        let (g, b) = ([1e5, -2e5, 1e5, 3e5], [1.5, -0.75, f64::from(0.1f32), -2.0]);
        T::new(&[4], (0..4).map(|c| if sums.v[c] * g[c] + b[c] >= 0.0 { 1.0 } else { -1.0 }).collect())
    });
}

#[test]
fn two_inputs_with_different_layouts() {
    // x with the channels first through a convolution, z with the channels last through one of
    // qonnx
    let mut net = Net::new(13, &[1, 2, 4, 3]);
    net.graph.input.push(info("z", &[1, 4, 3, 2]));
    net.random("w", &[2, 2, 1, 1]).random("v", &[2, 1, 1, 2]);
    net.node("Conv", &["x", "w"], "a", &[]).node("Transpose", &["@"], "t", &[("perm", Attr::Is(&[0, 2, 3, 1]))]);
    net.node("Conv", &["z", "v"], "b", &[]);
    net.graph.node[2].domain = Some("qonnx.custom_op.channels_last".into());
    net.node("Add", &["t", "b"], "y", &[]);
    let (w, v) = (T::of(&net, "w"), T::of(&net, "v").transposed(&[0, 3, 1, 2]));
    let point = win([1, 1], [1, 1], [0; 4]);
    let found = check_model(&net.model(), &[&[2, 4, 3], &[4, 3, 2]], 1e-9, |x| {
        let a = x[0].conv(&w, &[], point, 1);
        let b = x[1].transposed(&[2, 0, 1]).conv(&v, &[], point, 1);
        vec![a.zip(&b, |a, b| a + b).transposed(&[1, 2, 0])]
    });
    assert_eq!(kinds(&found.graph), ["Conv", "Conv", "Add"]);
    assert_eq!((found.input_orders[0].is_some(), found.input_orders[1].is_some()), (true, false));
    // the second input only meets the first: it follows its layout
    let mut net = Net::new(13, &[1, 2, 4, 3]);
    net.graph.input.push(info("z", &[1, 2, 4, 3]));
    net.random("w", &[2, 2, 1, 1]).node("Conv", &["x", "w"], "a", &[]).node("Sub", &["z", "a"], "y", &[]);
    let w = T::of(&net, "w");
    let found = check_model(&net.model(), &[&[2, 4, 3], &[2, 4, 3]], 1e-9, |x| {
        vec![x[1].zip(&x[0].conv(&w, &[], point, 1), |z, a| z - a)]
    });
    assert_eq!(kinds(&found.graph), ["Conv", "Sub"]);
    assert!(found.input_orders.iter().chain(&found.output_orders).all(Option::is_some));
}
