//! Convolutions, pooling, padding and normalisation of the import against straight loops in the
//! layout of the file.

use crate::support::loops::{T, Win, check, check_model, kinds, refused, win};
use crate::support::onnx::{Attr, Net, is};
use hgq_onnx::graph::Op;
use hgq_onnx::onnx::Tensor;

/// `x` of `shape` through one convolution with weight `w` of `weight` and bias `b`.
fn conv_net(shape: &[usize], weight: &[usize], attributes: &[(&str, Attr<'_>)]) -> Net {
    let dims: Vec<i64> = std::iter::once(1).chain(shape.iter().map(|&d| d as i64)).collect();
    let mut net = Net::new(13, &dims);
    net.random("w", weight).random("b", &weight[..1]);
    net.node("Conv", &["x", "w", "b"], "y", attributes);
    net
}

#[track_caller]
fn check_conv(shape: &[usize], weight: &[usize], attributes: &[(&str, Attr<'_>)], win: Win, groups: usize) {
    let net = conv_net(shape, weight, attributes);
    let (w, b) = (T::of(&net, "w"), T::of(&net, "b"));
    let graph = check(&net, shape, |x| x.conv(&w, &b.v, win, groups));
    assert_eq!(kinds(&graph), ["Conv"]);
}

#[test]
fn conv_2d_stride_and_pads() {
    check_conv(&[2, 5, 6], &[3, 2, 3, 2], &[], win([3, 2], [1, 1], [0; 4]), 1);
    check_conv(&[2, 5, 6], &[3, 2, 3, 2], &[("strides", is(&[2, 3]))], win([3, 2], [2, 3], [0; 4]), 1);
    let attributes = [("strides", is(&[2, 1])), ("pads", is(&[0, 3, 2, 1])), ("kernel_shape", is(&[3, 2]))];
    check_conv(&[2, 5, 6], &[3, 2, 3, 2], &attributes, win([3, 2], [2, 1], [0, 3, 2, 1]), 1);
    // one channel, one pixel
    check_conv(&[1, 4, 4], &[1, 1, 2, 2], &[], win([2, 2], [1, 1], [0; 4]), 1);
    check_conv(&[3, 1, 1], &[2, 3, 1, 1], &[], win([1, 1], [1, 1], [0; 4]), 1);
    // a dilation of an axis of one tap means nothing
    check_conv(&[1, 4, 4], &[2, 1, 1, 2], &[("dilations", is(&[3, 1]))], win([1, 2], [1, 1], [0; 4]), 1);
}

#[test]
fn conv_1d() {
    let w1 = |k, s, p: [usize; 2]| win([1, k], [1, s], [0, p[0], 0, p[1]]);
    check_conv(&[3, 9], &[4, 3, 3], &[], w1(3, 1, [0, 0]), 1);
    check_conv(&[3, 9], &[4, 3, 3], &[("strides", is(&[2])), ("pads", is(&[2, 1]))], w1(3, 2, [2, 1]), 1);
    check_conv(&[4, 9], &[4, 1, 3], &[("group", Attr::I(4)), ("auto_pad", Attr::S("SAME_UPPER"))], w1(3, 1, [1, 1]), 4);
}

#[test]
fn conv_auto_pad() {
    // 5 rows, kernel 4, stride 2: 3 outputs need 8 rows, 3 more; 6 columns, kernel 3, stride 1: 2
    // more
    let strides = || ("strides", is(&[2, 1]));
    for (mode, p) in [("SAME_UPPER", [1, 1, 2, 1]), ("SAME_LOWER", [2, 1, 1, 1]), ("VALID", [0; 4]), ("NOTSET", [0; 4])] {
        check_conv(&[2, 5, 6], &[2, 2, 4, 3], &[strides(), ("auto_pad", Attr::S(mode))], win([4, 3], [2, 1], p), 1);
    }
    // a stride above the kernel: no padding, none negative
    check_conv(
        &[1, 7, 7],
        &[2, 1, 1, 1],
        &[("strides", is(&[3, 3])), ("auto_pad", Attr::S("SAME_UPPER"))],
        win([1, 1], [3, 3], [0; 4]),
        1,
    );
    refused(&conv_net(&[1, 4, 4], &[1, 1, 2, 2], &[("auto_pad", Attr::S("SAME"))]), "y", "`SAME` is unknown");
}

#[test]
fn conv_groups_and_depthwise() {
    check_conv(&[4, 4, 4], &[6, 2, 2, 2], &[("group", Attr::I(2))], win([2, 2], [1, 1], [0; 4]), 2);
    check_conv(&[3, 4, 4], &[3, 1, 3, 3], &[("group", Attr::I(3))], win([3, 3], [1, 1], [0; 4]), 3);
    // two outputs per channel
    let pads = ("pads", is(&[1, 1, 0, 0]));
    check_conv(&[3, 4, 4], &[6, 1, 2, 2], &[("group", Attr::I(3)), pads], win([2, 2], [1, 1], [1, 1, 0, 0]), 3);
}

#[test]
fn conv_without_bias() {
    for inputs in [&["x", "w"][..], &["x", "w", ""]] {
        let mut net = Net::new(13, &[1, 2, 4, 4]);
        net.random("w", &[3, 2, 2, 2]).node("Conv", inputs, "y", &[]);
        let w = T::of(&net, "w");
        check(&net, &[2, 4, 4], |x| x.conv(&w, &[], win([2, 2], [1, 1], [0; 4]), 1));
    }
    // a constant per channel added after becomes the bias
    let mut net = Net::new(13, &[1, 2, 4, 4]);
    net.random("w", &[3, 2, 2, 2]).random("c", &[3, 1, 1]).node("Conv", &["x", "w"], "h", &[]).node("Add", &["@", "c"], "y", &[]);
    let (w, c) = (T::of(&net, "w"), T::of(&net, "c"));
    let found = check_model(&net.model(), &[&[2, 4, 4]], 1e-5, |x| vec![x[0].conv(&w, &c.v, win([2, 2], [1, 1], [0; 4]), 1)]);
    assert_eq!(kinds(&found.graph), ["Conv"]);
}

#[test]
fn conv_with_annotated_weights() {
    // a scale per output channel
    let mut net = Net::new(13, &[1, 2, 3, 3]);
    net.random("w", &[2, 2, 2, 2]).random("b", &[2]);
    net.quant("w", "wq", Tensor::f32(vec![2, 1, 1, 1], vec![0.25, 0.125]), Tensor::f32(vec![], vec![3.0]), &[]);
    net.quant("b", "bq", Tensor::f32(vec![], vec![0.5]), Tensor::f32(vec![], vec![4.0]), &[("narrow", Attr::I(0))]);
    net.node("Conv", &["x", "wq", "bq"], "y", &[]);
    // narrow is the default: −3 … 3
    let q = |v: f64, s: f64, lo: f64, hi: f64| (v / s).clamp(lo, hi).round_ties_even() * s;
    let w = T::of(&net, "w").map_channels(|o, v| q(v, [0.25, 0.125][o], -3.0, 3.0));
    let b = T::of(&net, "b").map(|v| q(v, 0.5, -8.0, 7.0));
    check(&net, &[2, 3, 3], |x| x.conv(&w, &b.v, win([2, 2], [1, 1], [0; 4]), 1));
}

/// Operators of `qonnx.custom_op.channels_last`: `[N, H, W, C]`, weights `[O, kernel…, I]`.
#[test]
fn channels_last_operators() {
    let mut net = Net::new(13, &[1, 5, 4, 2]);
    net.random("w", &[3, 2, 3, 2]).random("b", &[3]).random("g", &[3]).random("m", &[3]);
    net.constant("v", Tensor::f32(vec![3], vec![0.5, 2.0, 1.0]));
    net.node("Conv", &["x", "w", "b"], "c", &[("pads", is(&[1, 0, 0, 1]))]);
    net.node("BatchNormalization", &["@", "g", "b", "m", "v"], "n", &[]);
    net.node("MaxPool", &["@"], "y", &[("kernel_shape", is(&[2, 1])), ("strides", is(&[2, 1]))]);
    net.graph.node.iter_mut().for_each(|n| n.domain = Some("qonnx.custom_op.channels_last".into()));
    let w = T::of(&net, "w").transposed(&[0, 3, 1, 2]);
    let [b, g, m, v] = ["b", "g", "m", "v"].map(|n| T::of(&net, n).v);
    let found = check_model(&net.model(), &[&[5, 4, 2]], 1e-5, |x| {
        let c = x[0].transposed(&[2, 0, 1]).conv(&w, &b, win([2, 3], [1, 1], [1, 0, 0, 1]), 1);
        let n = c.map_channels(|c, x| (x - m[c]) / (v[c] + 1e-5).sqrt() * g[c] + b[c]);
        vec![n.pool(win([2, 1], [2, 1], [0; 4]), max).transposed(&[1, 2, 0])]
    });
    assert_eq!(kinds(&found.graph), ["Conv", "MaxPool"]);
    assert_eq!((&found.input_orders[..], &found.output_orders[..]), (&[None][..], &[None][..]));
}

#[test]
fn conv_faults_are_named() {
    let shape = [2, 4, 4];
    refused(&conv_net(&shape, &[3, 3, 2, 2], &[]), "y", "do not fit an input of 2 channels");
    refused(&conv_net(&shape, &[3, 1, 2, 2], &[("group", Attr::I(2))]), "y", "3 outputs");
    refused(&conv_net(&shape, &[2, 2, 5, 2], &[]), "y", "larger than the padded input");
    refused(&conv_net(&shape, &[2, 2, 2, 2], &[("dilations", is(&[4, 1]))]), "y", "larger than the padded input");
    refused(&conv_net(&shape, &[2, 2, 2, 2], &[("dilations", is(&[0, 1]))]), "y", "dilation is 0");
    refused(&conv_net(&shape, &[2, 2, 2, 2], &[("kernel_shape", is(&[2, 1]))]), "y", "kernel_shape");
    refused(&conv_net(&shape, &[2, 2, 2, 2], &[("pads", is(&[0, -1, 0, 0]))]), "y", "`pads`");
    refused(&conv_net(&shape, &[2, 2, 2, 2], &[("strides", is(&[0, 1]))]), "y", "dilation is 0");
    refused(&conv_net(&shape, &[2, 2, 2], &[]), "y", "4 axes are needed");
    refused(&conv_net(&[4], &[2, 2, 2], &[]), "y", "sample shape [4]");
    refused(&conv_net(&[2, 3, 3, 3], &[2, 2, 2, 2, 2], &[]), "y", "sample shape");
}

fn max(window: &[Option<f64>]) -> f64 {
    window.iter().flatten().fold(f64::NEG_INFINITY, |m, &v| m.max(v))
}

fn mean(window: &[Option<f64>]) -> f64 {
    window.iter().map(|v| v.unwrap_or(0.0)).sum::<f64>() / window.len() as f64
}

fn pool_net(op: &str, shape: &[usize], attributes: &[(&str, Attr<'_>)]) -> Net {
    let dims: Vec<i64> = std::iter::once(1).chain(shape.iter().map(|&d| d as i64)).collect();
    let mut net = Net::new(13, &dims);
    net.node(op, &["x"], "y", attributes);
    net
}

#[test]
fn max_pools() {
    let check_pool = |shape: &[usize], attributes: &[(&str, Attr<'_>)], win: Win| {
        let graph = check(&pool_net("MaxPool", shape, attributes), shape, |x| x.pool(win, max));
        assert_eq!(kinds(&graph), ["MaxPool"]);
    };
    let kernel = |k| ("kernel_shape", is(k));
    check_pool(&[2, 5, 4], &[kernel(&[2, 3])], win([2, 3], [1, 1], [0; 4]));
    check_pool(&[3, 6, 6], &[kernel(&[2, 2]), ("strides", is(&[2, 2]))], win([2, 2], [2, 2], [0; 4]));
    // all values below zero as well: padding never wins
    check_pool(&[2, 5, 4], &[kernel(&[3, 3]), ("pads", is(&[1, 2, 0, 1]))], win([3, 3], [1, 1], [1, 2, 0, 1]));
    check_pool(&[2, 7], &[kernel(&[3]), ("strides", is(&[2])), ("pads", is(&[1, 1]))], win([1, 3], [1, 2], [0, 1, 0, 1]));
    let same = ("auto_pad", Attr::S("SAME_UPPER"));
    check_pool(&[1, 5, 5], &[kernel(&[2, 2]), ("strides", is(&[2, 2])), same], win([2, 2], [2, 2], [0, 0, 1, 1]));
    // no incomplete window at the end: ceil_mode changes nothing
    let ceil = |stride| [kernel(&[2, 2]), ("strides", is(stride)), ("ceil_mode", Attr::I(1))];
    check_pool(&[1, 6, 4], &ceil(&[2, 2]), win([2, 2], [2, 2], [0; 4]));
    // a row of padding after the last one
    check_pool(&[1, 5, 4], &ceil(&[2, 2]), win([2, 2], [2, 2], [0, 0, 1, 0]));
    refused(&pool_net("MaxPool", &[1, 5, 4], &[kernel(&[2, 2]), ("dilations", is(&[2, 1]))]), "y", "gaps");
    refused(&pool_net("MaxPool", &[1, 5, 4], &[kernel(&[2, 2]), ("pads", is(&[0, 2, 0, 0]))]), "y", "padding only");
    refused(&pool_net("MaxPool", &[1, 5, 4], &[]), "y", "`kernel_shape` is missing");
    refused(&pool_net("MaxPool", &[1, 5, 4], &[kernel(&[2])]), "y", "`kernel_shape`");
}

#[test]
fn average_pools() {
    let kernel = || ("kernel_shape", is(&[2, 3]));
    let graph =
        check(&pool_net("AveragePool", &[2, 5, 4], &[kernel()]), &[2, 5, 4], |x| x.pool(win([2, 3], [1, 1], [0; 4]), mean));
    assert!(matches!(graph.nodes[0].op, Op::AveragePool { divisor: 6, .. }));
    let padded = |count: i64| {
        let attributes = [kernel(), ("pads", is(&[1, 1, 0, 2])), ("count_include_pad", Attr::I(count))];
        pool_net("AveragePool", &[2, 5, 4], &attributes)
    };
    check(&padded(1), &[2, 5, 4], |x| x.pool(win([2, 3], [1, 1], [1, 1, 0, 2]), mean));
    refused(&padded(0), "y", "count_include_pad");
    // nothing is padded: whether padding counts does not matter
    let attributes = [kernel(), ("pads", is(&[0; 4])), ("count_include_pad", Attr::I(0))];
    check(&pool_net("AveragePool", &[2, 5, 4], &attributes), &[2, 5, 4], |x| x.pool(win([2, 3], [1, 1], [0; 4]), mean));
    let one = [("kernel_shape", is(&[4])), ("strides", is(&[3]))];
    check(&pool_net("AveragePool", &[2, 8], &one), &[2, 8], |x| x.pool(win([1, 4], [1, 3], [0; 4]), mean));
}

#[test]
fn global_pools_and_means() {
    for (op, shape, k) in [("GlobalAveragePool", &[3, 4, 5][..], [4, 5]), ("GlobalMaxPool", &[3, 4, 5], [4, 5])] {
        let f = if op == "GlobalMaxPool" { max } else { mean };
        check(&pool_net(op, shape, &[]), shape, |x| x.pool(win(k, [1, 1], [0; 4]), f));
        check(&pool_net(op, &[3, 6], &[]), &[3, 6], |x| x.pool(win([1, 6], [1, 1], [0; 4]), f));
    }
    for (shape, axes) in
        [(&[3, 4, 5][..], &[2, 3][..]), (&[3, 4, 5], &[-1, -2]), (&[3, 4, 5], &[3, -2]), (&[3, 6], &[2]), (&[3, 6], &[-1])]
    {
        for keep in [0, 1] {
            for as_input in [false, true] {
                let dims: Vec<i64> = std::iter::once(1).chain(shape.iter().map(|&d| d as i64)).collect();
                let mut net = Net::new(13, &dims);
                if as_input {
                    net.constant("axes", Tensor::i64(vec![axes.len()], axes.to_vec()));
                    net.node("ReduceMean", &["x", "axes"], "m", &[("keepdims", Attr::I(keep))]);
                } else {
                    net.node("ReduceMean", &["x"], "m", &[("keepdims", Attr::I(keep)), ("axes", is(axes))]);
                }
                if keep == 1 {
                    net.node("Flatten", &["@"], "f", &[]);
                }
                net.random("w", &[3, 2]).node("MatMul", &["@", "w"], "y", &[]);
                let w = T::of(&net, "w");
                let per = shape[1..].iter().product::<usize>();
                check(&net, shape, |x| {
                    let means = x.v.chunks(per).map(|c| c.iter().sum::<f64>() / per as f64).collect();
                    T::new(&[3], means).dense(&w, &[])
                });
            }
        }
    }
    // the positions of a tensor with the channels last
    let mut net = Net::new(13, &[1, 4, 5, 3]);
    net.node("ReduceMean", &["x"], "m", &[("axes", is(&[1, 2])), ("keepdims", Attr::I(0))]);
    let found =
        check(&net, &[4, 5, 3], |x| T::new(&[3], (0..3).map(|c| (0..20).map(|p| x.v[p * 3 + c]).sum::<f64>() / 20.0).collect()));
    assert_eq!(kinds(&found), ["AveragePool", "Reshape"]);
    for (axes, text) in [(&[9][..], "none of the 4"), (&[2, 2], "given twice")] {
        refused(&pool_net("ReduceMean", &[3, 4, 5], &[("axes", is(axes))]), "y", text);
    }
}

/// Zeros around `[C, H, W]`: (before, after) of channels, rows and columns.
fn padded(x: &T, pads: [(usize, usize); 3]) -> T {
    let size: Vec<usize> = x.shape.iter().zip(pads).map(|(d, (b, a))| d + b + a).collect();
    let mut y = T::new(&size, vec![0.0; size.iter().product()]);
    for c in 0..x.shape[0] {
        for i in 0..x.shape[1] {
            for j in 0..x.shape[2] {
                let at = ((c + pads[0].0) * size[1] + i + pads[1].0) * size[2] + j + pads[2].0;
                y.v[at] = x.v[(c * x.shape[1] + i) * x.shape[2] + j];
            }
        }
    }
    y
}

#[test]
fn pads() {
    let pad_net = |pads: &[i64]| {
        let mut net = Net::new(13, &[1, 2, 3, 4]);
        net.constant("p", Tensor::i64(vec![pads.len()], pads.to_vec())).node("Pad", &["x", "p"], "p1", &[]);
        net
    };
    let rows_and_columns = [0, 0, 1, 0, 0, 0, 2, 1];
    // into a convolution, which pads itself as well
    let mut net = pad_net(&rows_and_columns);
    net.random("w", &[2, 2, 2, 2]).node("Conv", &["@", "w"], "y", &[("pads", is(&[0, 1, 0, 0]))]);
    let w = T::of(&net, "w");
    let graph =
        check(&net, &[2, 3, 4], |x| padded(x, [(0, 0), (1, 2), (0, 1)]).conv(&w, &[], win([2, 2], [1, 1], [0, 1, 0, 0]), 1));
    assert_eq!(kinds(&graph), ["Conv"]);
    let Op::Dense(dense) = &graph.nodes[0].op else { panic!() };
    assert_eq!(dense.window.as_ref().unwrap().pads, [1, 1, 2, 1]);
    // in front of a maximum zeros count, so they stay
    let mut net = pad_net(&rows_and_columns);
    net.node("MaxPool", &["@"], "y", &[("kernel_shape", is(&[2, 2]))]);
    let graph = check(&net, &[2, 3, 4], |x| padded(x, [(0, 0), (1, 2), (0, 1)]).pool(win([2, 2], [1, 1], [0; 4]), max));
    assert_eq!(kinds(&graph), ["Pad", "MaxPool"]);
    // an average takes them in, unless a window would lie in them
    for (kernel, expected) in [([3, 2], &["AveragePool"][..]), ([2, 2], &["Pad", "AveragePool"])] {
        let mut net = pad_net(&rows_and_columns);
        let k = kernel.map(|k| k as i64);
        net.node("AveragePool", &["@"], "y", &[("kernel_shape", is(&k))]);
        let graph = check(&net, &[2, 3, 4], |x| padded(x, [(0, 0), (1, 2), (0, 1)]).pool(win(kernel, [1, 1], [0; 4]), mean));
        assert_eq!(kinds(&graph), expected);
    }
    // channels are padded: into no window
    let mut net = pad_net(&[0, 1, 0, 0, 0, 2, 0, 1]);
    net.random("w", &[2, 5, 2, 2]).node("Conv", &["@", "w"], "y", &[]);
    let w = T::of(&net, "w");
    let graph = check(&net, &[2, 3, 4], |x| padded(x, [(1, 2), (0, 0), (0, 1)]).conv(&w, &[], win([2, 2], [1, 1], [0; 4]), 1));
    assert_eq!(kinds(&graph), ["Pad", "Conv"]);
    // two readers
    let mut net = pad_net(&rows_and_columns);
    net.random("w", &[2, 2, 1, 1]).node("Conv", &["p1", "w"], "c", &[]).node("Add", &["c", "p1"], "y", &[]);
    let w = T::of(&net, "w");
    check(&net, &[2, 3, 4], |x| {
        let p = padded(x, [(0, 0), (1, 2), (0, 1)]);
        p.conv(&w, &[], win([1, 1], [1, 1], [0; 4]), 1).zip(&p, |a, b| a + b)
    });
    refused(&pad_net(&[0, 0, -1, 0, 0, 0, 0, 0]), "p1", "negative");
    refused(&pad_net(&[0, 0, 1, 0, 0, 0]), "p1", "6 pads for 4 axes");
    refused(&pad_net(&[1, 0, 0, 0, 0, 0, 0, 0]), "p1", "batch");
}

#[test]
fn pads_of_older_files() {
    let mut net = Net::new(7, &[1, 2, 3, 4]);
    net.node("Pad", &["x"], "p", &[("pads", is(&[0, 0, 1, 1, 0, 0, 0, 0])), ("value", Attr::F(0.0))]).node(
        "Relu",
        &["@"],
        "y",
        &[],
    );
    let graph = check(&net, &[2, 3, 4], |x| padded(x, [(0, 0), (1, 0), (1, 0)]).map(|v| v.max(0.0)));
    assert_eq!(kinds(&graph), ["Pad", "Relu"]);
    let with = |name: &str, value: Attr<'_>| {
        let mut net = Net::new(7, &[1, 2]);
        net.node("Pad", &["x"], "y", &[("pads", is(&[0, 1, 0, 1])), (name, value)]);
        net
    };
    refused(&with("value", Attr::F(1.0)), "y", "pads with 1");
    refused(&with("mode", Attr::S("reflect")), "y", "`reflect`");
    let mut net = with("mode", Attr::S("constant"));
    net.dense("z", 4, 2);
    let (w, b) = (T::of(&net, "z_w"), T::of(&net, "z_b"));
    check(&net, &[2], |x| T::new(&[4], vec![0.0, x.v[0], x.v[1], 0.0]).dense(&w, &b.v));
}

#[test]
fn batch_normalization_before_behind_and_alone() {
    let parameters = |net: &mut Net, n: usize| {
        net.random("g", &[n]).random("bb", &[n]).random("m", &[n]);
        net.constant("v", Tensor::f32(vec![n], (0..n).map(|c| 0.5 + c as f32).collect()));
    };
    let normal = |net: &Net| {
        let [g, b, m, v] = ["g", "bb", "m", "v"].map(|n| T::of(net, n).v);
        move |x: &T| x.map_channels(|c, x| (x - m[c]) / (v[c] + f64::from(1e-3f32)).sqrt() * g[c] + b[c])
    };
    const INPUTS: [&str; 5] = ["@", "g", "bb", "m", "v"];
    let epsilon = || [("epsilon", Attr::F(1e-3))];
    for (shape, weight, window) in
        [(&[2, 4, 4][..], &[3, 2, 2, 2][..], win([2, 2], [1, 1], [0; 4])), (&[2, 6], &[3, 2, 3], win([1, 3], [1, 1], [0; 4]))]
    {
        let dims: Vec<i64> = std::iter::once(1).chain(shape.iter().map(|&d| d as i64)).collect();
        // after
        let mut net = Net::new(13, &dims);
        parameters(&mut net, 3);
        net.random("w", weight).random("b", &[3]).node("Conv", &["x", "w", "b"], "c", &[]);
        net.node("BatchNormalization", &INPUTS, "y", &epsilon());
        let (w, b, n) = (T::of(&net, "w"), T::of(&net, "b"), normal(&net));
        let found = check_model(&net.model(), &[shape], 1e-5, |x| vec![n(&x[0].conv(&w, &b.v, window, 1))]);
        assert_eq!(kinds(&found.graph), ["Conv"]);
        // before; where the convolution pads, the shift cannot go through the zeros
        for padded in [false, true] {
            let pads: Vec<i64> = (0..2 * (shape.len() - 1)).map(|_| i64::from(padded)).collect();
            let p = if shape.len() == 2 { [0, 1, 0, 1] } else { [1; 4] };
            let window = Win { p: if padded { p } else { [0; 4] }, ..window };
            let mut net = Net::new(13, &dims);
            parameters(&mut net, 2);
            net.random("w", weight).random("b", &[3]).node("BatchNormalization", &INPUTS, "n", &epsilon());
            net.node("Conv", &["@", "w", "b"], "y", &[("pads", is(&pads))]);
            let (w, b, n) = (T::of(&net, "w"), T::of(&net, "b"), normal(&net));
            let found = check_model(&net.model(), &[shape], 1e-5, |x| vec![n(&x[0]).conv(&w, &b.v, window, 1)]);
            let expected: &[&str] = if padded { &["BatchNormalization", "Conv"] } else { &["Conv"] };
            assert_eq!(kinds(&found.graph), expected);
        }
        // alone
        let mut net = Net::new(13, &dims);
        parameters(&mut net, 2);
        net.node("Relu", &["x"], "r", &[]).node("BatchNormalization", &INPUTS, "y", &epsilon());
        let n = normal(&net);
        let found = check_model(&net.model(), &[shape], 1e-9, |x| vec![n(&x[0].map(|v| v.max(0.0)))]);
        assert_eq!(kinds(&found.graph), ["Relu", "BatchNormalization"]);
    }
}

#[test]
fn batch_normalization_before_groups() {
    let mut net = Net::new(13, &[1, 4, 3, 3]);
    net.random("g", &[4]).random("bb", &[4]).random("m", &[4]).constant("v", Tensor::f32(vec![4], vec![0.5, 1.0, 2.0, 3.0]));
    net.node("BatchNormalization", &["x", "g", "bb", "m", "v"], "n", &[]);
    net.random("w", &[6, 2, 2, 2]).node("Conv", &["@", "w"], "y", &[("group", Attr::I(2))]);
    let [g, b, m, v] = ["g", "bb", "m", "v"].map(|n| T::of(&net, n).v);
    let w = T::of(&net, "w");
    let found = check_model(&net.model(), &[&[4, 3, 3]], 1e-5, |x| {
        let n = x[0].map_channels(|c, x| (x - m[c]) / (v[c] + f64::from(1e-5f32)).sqrt() * g[c] + b[c]);
        vec![n.conv(&w, &[], win([2, 2], [1, 1], [0; 4]), 2)]
    });
    assert_eq!(kinds(&found.graph), ["Conv"]);
}
