//! Attributes and sizes that are wrong on purpose: no panic, no overflow, no absurd allocation; every
//! fault names a node or tensor.

use crate::support::loops::{refusals, refused};
use crate::support::onnx::{Attr, Net, info, is, scalar};
use hgq_onnx::graph::import;
use hgq_onnx::onnx::Tensor;
use hgq_onnx::onnx::proto::tensor_proto::DataType;

#[test]
fn windows_are_bounded() {
    let conv = |attributes: &[(&str, Attr<'_>)]| {
        let mut net = Net::new(13, &[1, 1, 8, 8]);
        net.random("w", &[1, 1, 3, 3]).node("Conv", &["x", "w"], "y", attributes);
        net
    };
    let pool = |op: &str, attributes: &[(&str, Attr<'_>)]| {
        let mut net = Net::new(13, &[1, 1, 8, 8]);
        net.node(op, &["x"], "y", attributes);
        net
    };
    let huge = 1 << 23;
    refused(&conv(&[("pads", is(&[i64::MAX; 4]))]), "y", "numbers from 0 to");
    refused(&conv(&[("strides", is(&[i64::MAX, 1]))]), "y", "numbers from 0 to");
    refused(&conv(&[("pads", is(&[huge; 4]))]), "y", "reads more than");
    refused(&conv(&[("pads", is(&[huge, 0, huge, 0])), ("strides", is(&[1, 4]))]), "y", "expand");
    refused(&conv(&[("group", Attr::I(i64::MAX))]), "y", "do not fit");
    refused(&conv(&[("group", Attr::I(i64::MIN))]), "y", "do not fit");
    let kernel = |k: &'static [i64]| ("kernel_shape", is(k));
    refused(&pool("MaxPool", &[kernel(&[i64::MAX, i64::MAX])]), "y", "numbers from 0 to");
    refused(&pool("MaxPool", &[kernel(&[i64::MAX, i64::MAX]), ("auto_pad", Attr::S("SAME_UPPER"))]), "y", "numbers from 0 to");
    let wide = [kernel(&[1 << 14, 1 << 14]), ("pads", is(&[(1 << 14) - 1; 4])), ("count_include_pad", Attr::I(1))];
    refused(&pool("AveragePool", &wide), "y", "reads more than");
    refused(&pool("MaxPool", &[kernel(&[1 << 20, 1 << 20]), ("auto_pad", Attr::S("SAME_UPPER"))]), "y", "reads more than");
    // the largest sample
    let mut net = Net::new(13, &[1, 1, 4096, 4096]);
    net.random("w", &[1, 1, 3, 3]).node("Conv", &["x", "w"], "y", &[]);
    refused(&net, "y", "expand");
    let mut net = Net::new(13, &[1, 1, 4096, 4097]);
    net.node("Relu", &["x"], "y", &[]);
    refused(&net, "x", "more than");
    // more channels than a sample may have elements
    let mut net = Net::new(13, &[1, 1, 1024, 1024]);
    net.random("w", &[32, 1, 1, 1]).node("Conv", &["x", "w"], "y", &[]);
    refused(&net, "y", "33554432 elements");
}

/// Tensors without elements whose other dimensions ask for memory.
#[test]
fn empty_tensors_do_not_ask_for_memory() {
    for dims in [[0, 1 << 40], [1 << 40, 0], [0, 1 << 28], [1 << 28, 0]] {
        for op in ["Gemm", "MatMul", "Mul", "Conv"] {
            let mut net = Net::new(13, &[1, 4]);
            net.constant("w", Tensor::f32(vec![0], vec![])).constant("b", scalar(1.0));
            net.graph.initializer[0].dims = dims.to_vec();
            net.node("Transpose", &["w"], "wt", &[]).node(op, &["x", "w"], "m", &[]).node(op, &["x", "wt"], "n", &[]);
            net.node("Gemm", &["x", "w", "b"], "g", &[]).node("Sum", &["m", "n", "g"], "y", &[]);
            assert!(!refusals(&net).is_empty());
        }
    }
    let mut net = Net::new(13, &[1, 4]);
    net.constant("w", Tensor::f32(vec![0], vec![])).constant("s", Tensor::i64(vec![4], vec![0, 1 << 30, 1 << 30, 1 << 30]));
    net.node("Reshape", &["w", "s"], "r", &[]).node("Transpose", &["@"], "t", &[]).node("Mul", &["x", "@"], "y", &[]);
    assert_eq!(refusals(&net)[0].name, "r");
}

/// What one node costs is counted, so that thousands cost no more than the limit.
#[test]
fn many_large_nodes_are_bounded() {
    let large = |nodes: usize, step: &dyn Fn(&mut Net, usize)| {
        let mut net = Net::new(13, &[1, 2048, 2048, 2]);
        net.node("Transpose", &["x"], "t", &[("perm", is(&[0, 3, 1, 2]))]);
        (0..nodes).for_each(|n| step(&mut net, n));
        net
    };
    let found = refusals(&large(40, &|net, n| {
        net.node("Clip", &["@"], &format!("c{n}"), &[("min", Attr::F(-1.0)), ("max", Attr::F(1.0 + n as f32))]);
    }));
    assert!(found[0].reason.contains("expand"), "{found:?}");
    // elementwise nodes share the order of what they read
    let mut net = large(2000, &|net, n| {
        net.node("Relu", &["@"], &format!("r{n}"), &[]);
    });
    net.node("GlobalMaxPool", &["@"], "y", &[]);
    let graph = import(&net.model()).unwrap_or_else(|e| panic!("{e}")).graph;
    assert_eq!(graph.nodes.len(), 2001);
    // permutations that become selections
    let stuck = |count: usize| {
        let mut net = Net::new(13, &[1, 16, 16, 16]);
        for n in 0..count {
            net.node("Transpose", &["@"], &format!("t{n}"), &[("perm", is(&[0, 2, 1, 3]))]);
            net.node("Concat", &["@", "x"], &format!("c{n}"), &[("axis", Attr::I(3))]);
            net.node("AveragePool", &["@"], &format!("a{n}"), &[("kernel_shape", is(&[1, 2])), ("strides", is(&[1, 2]))]);
        }
        net
    };
    import(&stuck(60).model()).unwrap();
}

#[test]
fn ranks_and_lists_are_bounded() {
    let mut net = Net::new(13, &[1, 4]);
    let axes: Vec<i64> = (1..5000).collect();
    net.node("Unsqueeze", &["x"], "u", &[("axes", is(&axes))]).node("Relu", &["@"], "y", &[]);
    refused(&net, "u", "more than the limit of 16");
    let mut net = Net::new(13, &[1, 4]);
    net.node("Transpose", &["x"], "t", &[("perm", is(&axes))]).node("Relu", &["@"], "y", &[]);
    let found = refusals(&net);
    assert!(found[0].reason.len() < 2000, "{}", found[0].reason.len());
    let mut net = Net::new(13, &[1; 40]);
    net.node("Relu", &["x"], "y", &[]);
    refused(&net, "x", "40 dimensions");
}

#[test]
fn zero_points_and_axes_at_the_ends() {
    for z in [i64::MIN, i64::MAX, 1 << 40] {
        let mut net = Net::new(13, &[1, 2]);
        net.constant("s", scalar(0.5)).constant("z", Tensor::i64(vec![], vec![z]));
        net.graph.initializer.push(hgq_onnx::onnx::proto::TensorProto {
            name: Some("w".into()),
            data_type: Some(DataType::Int8 as i32),
            dims: vec![2, 1],
            int32_data: vec![1, 2],
            ..Default::default()
        });
        net.node("DequantizeLinear", &["w", "s", "z"], "wd", &[]).node("MatMul", &["x", "wd"], "y", &[]);
        refused(&net, "wd", "zero point");
    }
    // many inputs, each in the layout of the file
    let mut net = Net::new(13, &[1, 2, 2, 2]);
    net.random("w", &[2, 2, 1, 1]).node("Conv", &["x", "w"], "c0", &[]);
    for n in 1..300 {
        net.graph.input.push(info(&format!("x{n}"), &[1, 2, 2, 2]));
        net.node("Conv", &[&format!("x{n}"), "w"], &format!("c{n}"), &[]).node(
            "Add",
            &["@", &format!("s{}", n - 1)],
            &format!("s{n}"),
            &[],
        );
    }
    net.graph.node[0].output[0] = "s0".into();
    let found = import(&net.model()).unwrap();
    assert!(found.input_orders.iter().all(Option::is_some) && found.input_orders.len() == 300);
}

/// Every extreme in every attribute of a window.
#[test]
fn hostile_attributes_are_refused() {
    let extremes = [i64::MIN, -1, 0, 1, 3, 1 << 20, 1 << 40, i64::MAX];
    let mut refused = 0;
    for op in ["Conv", "MaxPool", "AveragePool"] {
        for name in ["kernel_shape", "strides", "pads", "dilations", "group", "ceil_mode"] {
            for &v in &extremes {
                for count in [0, 1, 2, 4, 5] {
                    let mut net = Net::new(13, &[1, 2, 4, 5]);
                    net.constant("w", Tensor::f32(vec![2, 2, 2, 2], vec![0.5; 16]));
                    let list = vec![v; count];
                    let inputs: &[&str] = if op == "Conv" { &["x", "w"] } else { &["x"] };
                    let own = if matches!(name, "group" | "ceil_mode") { Attr::I(v) } else { Attr::Is(&list) };
                    let mut attributes = vec![(name, own)];
                    if name != "kernel_shape" {
                        attributes.push(("kernel_shape", Attr::Is(&[2, 2])));
                    }
                    net.node(op, inputs, "y", &attributes);
                    if let Err(e) = import(&net.model()) {
                        assert!(e.to_string().contains('y'), "{e}");
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(refused > 400, "{refused}");
}

/// Empty tensors, scalars and huge numbers where operators expect sizes.
#[test]
fn sizes_of_new_operators_are_checked() {
    let constant = |op: &str, shape: &[usize], inputs: &[(&str, &[i64])], attributes: &[(&str, Attr<'_>)]| {
        let mut net = Net::new(13, &[1, 2]);
        net.constant("c", Tensor::f32(shape.to_vec(), vec![1.0; shape.iter().product()]));
        for (name, v) in inputs {
            net.constant(name, Tensor::i64(vec![v.len()], v.to_vec()));
        }
        let names: Vec<&str> = std::iter::once("c").chain(inputs.iter().map(|(name, _)| *name)).collect();
        net.node(op, &names, "k", attributes).node("Add", &["x", "k"], "y", &[]);
        drop(import(&net.model()));
    };
    constant("Slice", &[], &[("s", &[0]), ("e", &[1])], &[]);
    constant("Slice", &[0], &[("s", &[-1]), ("e", &[i64::MIN]), ("a", &[0]), ("t", &[-1])], &[]);
    constant("Resize", &[1, 1, 0, 2], &[("roi", &[]), ("scales", &[]), ("sizes", &[1, 1, 2, 2])], &[]);
    for (start, limit, delta) in [(i64::MIN, i64::MAX, i64::MAX / 4), (0, 0, 0), (5, 0, 1)] {
        let mut net = Net::new(13, &[1, 2]);
        for (name, v) in [("s", start), ("l", limit), ("d", delta)] {
            net.constant(name, Tensor::i64(vec![], vec![v]));
        }
        net.node("Range", &["s", "l", "d"], "k", &[]).node("Reshape", &["x", "k"], "y", &[]);
        drop(import(&net.model()));
    }
    let huge = i64::MAX / 2;
    for attributes in [
        [("output_padding", is(&[huge, 0])), ("strides", is(&[1, 1]))],
        [("output_shape", is(&[huge, huge])), ("strides", is(&[1, 1]))],
        [("strides", is(&[1 << 24, 1 << 24])), ("pads", is(&[0, 0, 0, 0]))],
        [("dilations", is(&[1 << 24, 1 << 24])), ("strides", is(&[1, 1]))],
    ] {
        let mut net = Net::new(13, &[1, 1, 4, 4]);
        net.random("w", &[1, 1, 2, 2]).node("ConvTranspose", &["@", "w"], "y", &attributes);
        assert_eq!(refusals(&net).len(), 1);
    }
}
