//! Where the elements of tensors are: the file has channels first (or moves axes itself), the graph
//! channels last.

use crate::support::loops::{T, Win, check, check_model, concat, kinds, win};
use crate::support::onnx::{Attr, Net, is};
use hgq_onnx::graph::Op;
use hgq_onnx::onnx::Tensor;
use hgq_onnx::onnx::proto::{ModelProto, ValueInfoProto};

const POINT: Win = Win { k: [1, 1], s: [1, 1], p: [0; 4] };
const TWO: Win = Win { k: [2, 2], s: [1, 1], p: [0; 4] };

/// `x [2, 3, 4]` and `c`, a convolution of it with three channels of 2 × 3.
fn image() -> (Net, impl Fn(&T) -> T) {
    let mut net = Net::new(13, &[1, 2, 3, 4]);
    net.random("w", &[3, 2, 2, 2]).random("b", &[3]).node("Conv", &["x", "w", "b"], "c", &[]);
    let (w, b) = (T::of(&net, "w"), T::of(&net, "b"));
    (net, move |x: &T| x.conv(&w, &b.v, TWO, 1))
}

const SHAPE: &[usize] = &[2, 3, 4];

/// The model of a net with these outputs.
fn with_outputs(net: &Net, outputs: &[&str]) -> ModelProto {
    let mut model = net.model();
    let info = |name: &&str| ValueInfoProto { name: Some(name.to_string()), ..Default::default() };
    model.graph.as_mut().unwrap().output = outputs.iter().map(info).collect();
    model
}

#[test]
fn flattened_in_every_spelling() {
    type Spelling = fn(&mut Net);
    let spellings: [Spelling; 6] = [
        |net| {
            net.node("Flatten", &["c"], "f", &[]);
        },
        |net| {
            net.constant("s", Tensor::i64(vec![2], vec![-1, 18])).node("Reshape", &["c", "s"], "f", &[]);
        },
        |net| {
            net.constant("s", Tensor::i64(vec![2], vec![1, -1])).node("Reshape", &["c", "s"], "f", &[]);
        },
        // x.view(x.size(0), -1)
        |net| {
            net.constant("zero", Tensor::i64(vec![], vec![0])).constant("minus", Tensor::i64(vec![1], vec![-1]));
            net.constant("axes", Tensor::i64(vec![1], vec![0]));
            net.node("Shape", &["c"], "sh", &[]).node("Gather", &["@", "zero"], "n", &[]);
            net.node("Unsqueeze", &["@", "axes"], "u", &[]).node("Concat", &["@", "minus"], "s", &[("axis", Attr::I(0))]);
            net.node("Reshape", &["c", "s"], "f", &[]);
        },
        // by way of another grid
        |net| {
            net.constant("s", Tensor::i64(vec![4], vec![0, 9, 1, 2])).node("Reshape", &["c", "s"], "g", &[]);
            net.node("Relu", &["@"], "r", &[]).node("Flatten", &["@"], "f", &[]);
        },
        // nodes of constants
        |net| {
            net.node("Constant", &[], "s", &[("value_ints", is(&[1, 18]))]).node("Reshape", &["c", "s"], "f", &[]);
        },
    ];
    for (index, spelling) in spellings.into_iter().enumerate() {
        let (mut net, conv) = image();
        spelling(&mut net);
        net.dense("y", 18, 4);
        let (w, b) = (T::of(&net, "y_w"), T::of(&net, "y_b"));
        let graph = check(&net, SHAPE, |x| {
            let c = if index == 4 { conv(x).map(|v| v.max(0.0)) } else { conv(x) };
            c.flat().dense(&w, &b.v)
        });
        assert!(!kinds(&graph).contains(&"Transpose"), "{:?}", kinds(&graph));
        assert_eq!(kinds(&graph).iter().filter(|k| **k == "Gemm").count(), 1);
    }
}

/// A flat quantizer with a scale per element, after a convolution.
#[test]
fn flat_parameters_follow_their_elements() {
    let (mut net, conv) = image();
    net.node("Flatten", &["c"], "f", &[]);
    let scales: Vec<f32> = (0..18).map(|e| [0.25, 0.5, 0.125][e % 3]).collect();
    net.quant("@", "q", Tensor::f32(vec![1, 18], scales.clone()), Tensor::f32(vec![], vec![4.0]), &[("narrow", Attr::I(0))]);
    net.random("m", &[18]).node("Mul", &["@", "m"], "s", &[]).node("Tanh", &["@"], "t", &[]).dense("y", 18, 2);
    let [m, w, b] = ["m", "y_w", "y_b"].map(|n| T::of(&net, n));
    check(&net, SHAPE, |x| {
        let f = conv(x).flat();
        let scale = T::new(&[18], scales.iter().map(|&s| f64::from(s)).collect());
        let q = f.zip(&scale, |v, s| (v / s).clamp(-8.0, 7.0).round_ties_even() * s);
        q.zip(&m, |a, b| a * b).map(f64::tanh).dense(&w, &b.v)
    });
}

#[test]
fn products_at_every_position() {
    // [T, K] with a bias per output, and with one per position
    for bias in [&[4][..], &[1, 1, 4], &[1], &[5, 4], &[5, 1]] {
        let mut net = Net::new(13, &[1, 5, 3]);
        net.random("w", &[3, 4]).random("b", bias).node("MatMul", &["x", "w"], "m", &[]).node("Add", &["b", "@"], "y", &[]);
        let (w, b) = (T::of(&net, "w"), T::of(&net, "b"));
        let graph = check(&net, &[5, 3], |x| {
            let m = x.dense(&w, &[]);
            let v = m.v.iter().enumerate().map(|(e, v)| {
                let at = match bias {
                    [1] => 0,
                    [5, 4] => e,
                    [5, 1] => e / 4,
                    _ => e % 4,
                };
                v + b.v[at]
            });
            T::new(&[5, 4], v.collect())
        });
        assert_eq!(kinds(&graph).len(), if bias[0] == 5 { 2 } else { 1 }, "{bias:?}");
    }
    // [H, W, K], then channels first
    let mut net = Net::new(13, &[1, 2, 4, 3]);
    net.random("w", &[3, 2]).node("MatMul", &["x", "w"], "m", &[]).node("Transpose", &["@"], "t", &[("perm", is(&[0, 3, 1, 2]))]);
    net.random("v", &[2, 2, 2, 2]).node("Conv", &["@", "v"], "y", &[]);
    let (w, v) = (T::of(&net, "w"), T::of(&net, "v"));
    let graph = check(&net, &[2, 4, 3], |x| x.dense(&w, &[]).transposed(&[2, 0, 1]).conv(&v, &[], TWO, 1));
    assert_eq!(kinds(&graph), ["Conv", "Conv"]);
    // over the columns of a channels-first image
    let (mut net, conv) = image();
    net.random("v", &[3, 5]).node("MatMul", &["c", "v"], "m", &[]).node("Relu", &["@"], "y", &[]);
    let v = T::of(&net, "v");
    check(&net, SHAPE, |x| conv(x).dense(&v, &[]).map(|v| v.max(0.0)));
}

/// As tf2onnx writes Keras: channels last, a `Transpose` around every operator.
#[test]
fn models_with_channels_last_of_the_user() {
    let mut net = Net::new(13, &[1, 5, 4, 2]);
    net.random("w", &[3, 2, 2, 2]).random("v", &[2, 3, 2, 2]);
    let (first, last) = (|| [("perm", is(&[0, 3, 1, 2]))], || [("perm", is(&[0, 2, 3, 1]))]);
    net.node("Transpose", &["x"], "t0", &first()).node("Conv", &["@", "w"], "c0", &[]);
    net.node("Transpose", &["@"], "t1", &last()).node("Relu", &["@"], "r", &[]);
    net.quant("@", "q", Tensor::f32(vec![3], vec![0.25, 0.5, 1.0]), Tensor::f32(vec![], vec![5.0]), &[]);
    net.node("Transpose", &["@"], "t2", &first()).node("Conv", &["@", "v"], "c1", &[]);
    net.node("Transpose", &["@"], "t3", &last()).node("Flatten", &["@"], "f", &[]).dense("y", 12, 3);
    let [w, v, dw, db] = ["w", "v", "y_w", "y_b"].map(|n| T::of(&net, n));
    let found = check_model(&net.model(), &[&[5, 4, 2]], 1e-9, |x| {
        let c = x[0].transposed(&[2, 0, 1]).conv(&w, &[], TWO, 1);
        let q = c.map_channels(|c, v| {
            let s = [0.25, 0.5, 1.0][c];
            (v.max(0.0) / s).clamp(-15.0, 15.0).round_ties_even() * s
        });
        vec![q.conv(&v, &[], TWO, 1).transposed(&[1, 2, 0]).flat().dense(&dw, &db.v)]
    });
    assert_eq!(kinds(&found.graph), ["Conv", "Relu", "Quant", "Conv", "Reshape", "Gemm"]);
    assert_eq!(found.input_orders, [None]);
    // one dimension, and the result stays a sequence with the channels last
    let mut net = Net::new(13, &[1, 6, 2]);
    net.random("w", &[3, 2, 3]).node("Transpose", &["x"], "t", &[("perm", is(&[0, 2, 1]))]);
    net.node("Conv", &["@", "w"], "c", &[]).node("Transpose", &["@"], "y", &[("perm", is(&[0, 2, 1]))]);
    let w = T::of(&net, "w");
    let found = check_model(&net.model(), &[&[6, 2]], 1e-9, |x| {
        vec![x[0].transposed(&[1, 0]).conv(&w, &[], win([1, 3], [1, 1], [0; 4]), 1).transposed(&[1, 0])]
    });
    assert_eq!((kinds(&found.graph), &found.output_orders[..]), (vec!["Conv"], &[None][..]));
}

#[test]
fn outputs_that_are_images() {
    let (mut net, conv) = image();
    net.node("Relu", &["c"], "y", &[]);
    let found = check_model(&net.model(), &[SHAPE], 1e-9, |x| vec![conv(&x[0]).map(|v| v.max(0.0))]);
    let graph = &found.graph;
    assert_eq!((kinds(graph), &graph.values[graph.outputs[0]].shape[..]), (vec!["Conv", "Relu"], &[2, 3, 3][..]));
    // element j of the graph is element order[j] of the file
    assert_eq!(found.output_orders[0].as_deref(), Some(&[0, 6, 12, 1, 7, 13, 2, 8, 14, 3, 9, 15, 4, 10, 16, 5, 11, 17][..]));
    assert_eq!(graph.values[graph.inputs[0]].shape, [3, 4, 2]);
    assert_eq!(found.notes.iter().map(|n| n.code.name()).collect::<Vec<_>>(), ["input_layout", "output_layout"]);
    // flattened: the order of the file has to be made
    let (mut net, conv) = image();
    net.node("Flatten", &["c"], "y", &[]);
    let found = check_model(&net.model(), &[SHAPE], 1e-9, |x| vec![conv(&x[0]).flat()]);
    assert_eq!(found.output_orders, [None]);
    // two outputs, one of them on the way to the other and read by what needs its axes
    let (mut net, conv) = image();
    net.node("Relu", &["c"], "r", &[])
        .node("Reshape", &["r", "s"], "g", &[])
        .constant("s", Tensor::i64(vec![4], vec![1, 2, 3, 3]));
    net.node("Concat", &["g", "g"], "h", &[("axis", Attr::I(3))]);
    check_model(&with_outputs(&net, &["h", "r", "c"]), &[SHAPE], 1e-9, |x| {
        let (c, r) = (conv(&x[0]), conv(&x[0]).map(|v| v.max(0.0)));
        let g = r.shaped(&[2, 3, 3]);
        vec![concat(&[&g, &g], 2), r, c]
    });
    // only the axes differ: the order stays, the shape is that of the file
    let mut net = Net::new(13, &[1, 1, 6]);
    net.node("Relu", &["x"], "r", &[]).node("Transpose", &["@"], "y", &[("perm", is(&[0, 2, 1]))]);
    check(&net, &[1, 6], |x| x.map(|v| v.max(0.0)).shaped(&[6, 1]));
    let mut net = Net::new(13, &[1, 2, 1, 3]);
    net.node("Relu", &["x"], "r", &[]).node("Transpose", &["@"], "y", &[("perm", is(&[0, 1, 3, 2]))]);
    let graph = check(&net, &[2, 1, 3], |x| x.map(|v| v.max(0.0)).shaped(&[2, 3, 1]));
    assert_eq!(graph.values[graph.outputs[0]].shape, [2, 3, 1]);
    assert_eq!(kinds(&graph), ["Relu", "Reshape"]);
}

/// A value in the layout of the file that is an output and is also read in that order keeps its
/// name.
#[test]
fn outputs_keep_their_names() {
    for flat in [false, true] {
        let (mut net, conv) = image();
        net.node("Transpose", &["c"], "t", &[("perm", is(&[0, 2, 1, 3]))]).node("Relu", &["@"], "y", &[]);
        net.random("v", &[3, 2]).node("MatMul", &["y", "v"], if flat { "m" } else { "z" }, &[]);
        if flat {
            net.node("Flatten", &["@"], "z", &[]);
        }
        let v = T::of(&net, "v");
        check_model(&with_outputs(&net, &["y", "z"]), &[SHAPE], 1e-9, |x| {
            let y = conv(&x[0]).transposed(&[1, 0, 2]).map(|v| v.max(0.0));
            let z = y.dense(&v, &[]);
            vec![y, z]
        });
    }
}

#[test]
fn a_value_that_is_flattened_and_convolved() {
    let (mut net, conv) = image();
    net.node("Flatten", &["c"], "f", &[]).dense("d", 18, 2);
    net.random("v", &[2, 3, 1, 1]).node("Conv", &["c", "v"], "e", &[]).node("GlobalAveragePool", &["@"], "g", &[]);
    net.node("Flatten", &["@"], "h", &[]).node("Add", &["d", "h"], "y", &[]);
    let [w, b, v] = ["d_w", "d_b", "v"].map(|n| T::of(&net, n));
    let graph = check(&net, SHAPE, |x| {
        let c = conv(x);
        let e = c.conv(&v, &[], POINT, 1);
        let g = T::new(&[2], e.v.chunks(6).map(|c| c.iter().sum::<f64>() / 6.0).collect());
        c.flat().dense(&w, &b.v).zip(&g, |a, b| a + b)
    });
    assert!(!kinds(&graph).contains(&"Transpose"));
    // the input itself, too
    let mut net = Net::new(13, &[1, 2, 3, 4]);
    net.random("w", &[3, 2, 2, 2]).node("Conv", &["x", "w"], "c", &[]).node("Flatten", &["@"], "fc", &[]).dense("d", 18, 2);
    net.node("Flatten", &["x"], "f", &[]).dense("e", 24, 2).node("Sub", &["d", "e"], "y", &[]);
    let [w, dw, db, ew, eb] = ["w", "d_w", "d_b", "e_w", "e_b"].map(|n| T::of(&net, n));
    let graph = check(&net, SHAPE, |x| {
        let d = x.conv(&w, &[], TWO, 1).flat().dense(&dw, &db.v);
        d.zip(&x.flat().dense(&ew, &eb.v), |a, b| a - b)
    });
    assert_eq!(graph.values[graph.inputs[0]].shape, [3, 4, 2]);
}

#[test]
fn shared_weights_and_nodes_of_constants() {
    let mut net = Net::new(13, &[1, 2, 4, 4]);
    let weight = Tensor::f32(vec![2, 2, 1, 1], vec![0.5, -1.0, 0.25, 2.0]);
    net.node("Constant", &[], "w", &[("value", Attr::T(weight))]).random("b", &[2]);
    net.quant("w", "wq", Tensor::f32(vec![2, 1, 1, 1], vec![0.25, 0.5]), Tensor::f32(vec![], vec![4.0]), &[]);
    net.node("Conv", &["x", "wq", "b"], "c", &[]).node("Relu", &["@"], "r", &[]).node("Conv", &["@", "wq"], "d", &[]);
    net.node("Conv", &["d", "w", "b"], "y", &[]);
    let w = T::new(&[2, 2, 1, 1], vec![0.5, -1.0, 0.25, 2.0]);
    let q = w.map_channels(|o, v| {
        let s = [0.25, 0.5][o];
        (v / s).clamp(-7.0, 7.0).round_ties_even() * s
    });
    let b = T::of(&net, "b").v;
    let graph = check(&net, &[2, 4, 4], |x| {
        let d = x.conv(&q, &b, POINT, 1).map(|v| v.max(0.0)).conv(&q, &[], POINT, 1);
        d.conv(&w, &b, POINT, 1)
    });
    let annotated = |n: &hgq_onnx::graph::Node<Op>| matches!(&n.op, Op::Dense(d) if d.weight_quant.is_some());
    assert_eq!(graph.nodes.iter().filter(|n| annotated(n)).count(), 2);
    // one weight in a layer that reads flat images and in one that does not
    let mut net = Net::new(13, &[1, 2, 2, 2]);
    net.random("k", &[2, 2, 1, 1]).node("Conv", &["x", "k"], "c", &[]).node("Flatten", &["@"], "f", &[]);
    net.random("w", &[8, 8]).node("MatMul", &["@", "w"], "m", &[]).node("Relu", &["@"], "r", &[]).node(
        "MatMul",
        &["@", "w"],
        "y",
        &[],
    );
    let (k, w) = (T::of(&net, "k"), T::of(&net, "w"));
    check(&net, &[2, 2, 2], |x| {
        let m = x.conv(&k, &[], POINT, 1).flat().dense(&w, &[]);
        m.map(|v| v.max(0.0)).dense(&w, &[])
    });
}

/// Axes moved in every order between a convolution and a layer.
#[test]
fn every_permutation_behind_a_convolution() {
    for perm in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let (mut net, conv) = image();
        let axes: Vec<i64> = std::iter::once(0).chain(perm.iter().map(|&p| p as i64 + 1)).collect();
        net.node("Transpose", &["c"], "t", &[("perm", is(&axes))]).node("Sigmoid", &["@"], "s", &[]);
        net.node("Flatten", &["@"], "f", &[]).dense("y", 18, 2);
        let (w, b) = (T::of(&net, "y_w"), T::of(&net, "y_b"));
        let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
        let graph = check(&net, SHAPE, |x| conv(x).transposed(&perm).map(sigmoid).flat().dense(&w, &b.v));
        assert_eq!(kinds(&graph), ["Conv", "Sigmoid", "Reshape", "Gemm"]);
        // and as an output
        let (mut net, conv) = image();
        net.node("Transpose", &["c"], "y", &[("perm", is(&axes))]);
        check(&net, SHAPE, |x| conv(x).transposed(&perm));
        // and into another convolution, over what is then the channels
        let (mut net, conv) = image();
        let channels = [3, 2, 3][perm[0]];
        net.node("Transpose", &["c"], "t", &[("perm", is(&axes))]).random("v", &[2, channels, 1, 1]);
        net.node("Conv", &["@", "v"], "y", &[]);
        let v = T::of(&net, "v");
        check(&net, SHAPE, |x| conv(x).transposed(&perm).conv(&v, &[], POINT, 1));
    }
}
