//! QCDQ files against their QONNX twins and against formulas.

use crate::support::eval::evaluate;
use crate::support::onnx::{Attr, Net};
use hgq_onnx::diagnostic::Code;
use hgq_onnx::graph::{Op, QuantSpec, RoundingMode, eval, import};
use hgq_onnx::onnx::Tensor;
use hgq_onnx::onnx::proto::{TensorProto, tensor_proto::DataType};

fn integers(name: &str, kind: DataType, dims: &[i64], values: &[i32]) -> TensorProto {
    TensorProto {
        name: Some(name.into()),
        data_type: Some(kind as i32),
        dims: dims.to_vec(),
        int32_data: values.to_vec(),
        ..Default::default()
    }
}

/// `x [1, 2] → QuantizeLinear → [Clip] → DequantizeLinear`.
fn activation(kind: DataType, zero: i32, clip: Option<(i32, i32)>) -> Net {
    let mut net = Net::new(13, &[1, 2]);
    net.constant("s", Tensor::f32(vec![], vec![0.25]));
    net.graph.initializer.push(integers("z", kind, &[], &[zero]));
    net.node("QuantizeLinear", &["@", "s", "z"], "q", &[]);
    if let Some((lo, hi)) = clip {
        net.graph.initializer.push(integers("lo", kind, &[], &[lo]));
        net.graph.initializer.push(integers("hi", kind, &[], &[hi]));
        net.node("Clip", &["@", "lo", "hi"], "c", &[]);
    }
    net.node("DequantizeLinear", &["@", "s", "z"], "dq", &[]);
    net
}

fn spec(net: &Net) -> Result<QuantSpec, String> {
    let imported = import(&net.model()).map_err(|e| e.to_string())?;
    match &imported.graph.nodes[..] {
        [node] => match &node.op {
            Op::Quant(spec) => Ok(spec.clone()),
            other => panic!("{other:?}"),
        },
        nodes => panic!("{nodes:?}"),
    }
}

#[test]
fn ranges_of_integers_become_formats() {
    for (kind, zero, clip, signed, narrow, bits) in [
        (DataType::Int8, 0, None, true, false, 8.0),
        (DataType::Uint8, 0, None, false, false, 8.0),
        (DataType::Int8, 0, Some((-7, 7)), true, true, 4.0),
        (DataType::Int8, 0, Some((-8, 7)), true, false, 4.0),
        (DataType::Int8, 0, Some((0, 63)), false, false, 6.0),
        (DataType::Uint8, 0, Some((0, 63)), false, false, 6.0),
        // shifted: the same values
        (DataType::Uint8, 128, None, true, false, 8.0),
        (DataType::Int8, -128, None, false, false, 8.0),
        (DataType::Int16, 0, None, true, false, 16.0),
    ] {
        let s = spec(&activation(kind, zero, clip)).unwrap();
        assert_eq!(
            (s.signed, s.narrow, s.bits[0], s.rounding),
            (signed, narrow, bits, RoundingMode::HalfEven),
            "{kind:?} {zero} {clip:?}"
        );
        assert_eq!((&s.scale[..], &s.zero_point[..]), (&[0.25, 0.25][..], &[0.0, 0.0][..]));
    }
}

#[test]
fn ranges_that_are_no_format_are_bounds_in_a_wider_one() {
    for (zero, clip) in [(3, None), (0, Some((-5, 7))), (0, Some((0, 9))), (0, Some((5, 7)))] {
        let imported = import(&activation(DataType::Int8, zero, clip).model()).unwrap();
        let (lo, hi) = clip.unwrap_or((-128, 127));
        let x: Vec<f32> = (-80..80).map(|n| n as f32 * 0.6).collect();
        let y = evaluate(&imported, &[&x], x.len() / 2);
        for (x, y) in x.iter().zip(&y[0]) {
            let q = ((f64::from(*x) / 0.25).round_ties_even() + zero as f64).clamp(lo as f64, hi as f64);
            assert_eq!(*y, (q - zero as f64) * 0.25, "{x} {zero} {clip:?}");
        }
    }
    let mut net = activation(DataType::Int8, 0, None);
    net.constant("s2", Tensor::f32(vec![], vec![0.5]));
    if let Some(node) = net.graph.node.last_mut() {
        node.input[1] = "s2".into();
    }
    assert!(spec(&net).unwrap_err().contains("not that of the QuantizeLinear"));
    let mut net = Net::new(13, &[1, 2]);
    net.constant("s", Tensor::f32(vec![], vec![0.25]));
    net.node("QuantizeLinear", &["@", "s"], "q", &[]);
    // an output of integers is what they stand for
    let imported = import(&net.model()).unwrap();
    assert_eq!(imported.notes.iter().map(|n| n.code).collect::<Vec<_>>(), [Code::IntegerPort]);
    assert_eq!(evaluate(&imported, &[&[0.3, 99.0]], 1)[0], [0.25, 63.75]);
}

#[test]
fn stored_integers_are_values_on_their_grid() {
    // x·W + b; W per output channel, b as int32 of scale s_x·s_w
    let mut net = Net::new(13, &[1, 2]);
    net.graph.initializer.push(integers("w", DataType::Int8, &[3, 2], &[1, -2, 3, 4, -5, 7]));
    net.constant("ws", Tensor::f32(vec![3], vec![0.5, 0.25, 0.125]));
    net.graph.initializer.push(integers("wz", DataType::Int8, &[3], &[0, 0, 0]));
    net.graph.initializer.push(integers("b", DataType::Int32, &[3], &[100, -7, 1]));
    net.constant("bs", Tensor::f32(vec![3], vec![0.125, 0.0625, 0.03125]));
    net.graph.initializer.push(integers("bz", DataType::Int32, &[3], &[0, 0, 0]));
    net.node("DequantizeLinear", &["w", "ws", "wz"], "wdq", &[("axis", Attr::I(0))]);
    net.node("DequantizeLinear", &["b", "bs", "bz"], "bdq", &[("axis", Attr::I(0))]);
    net.node("Gemm", &["x", "wdq", "bdq"], "y", &[("transB", Attr::I(1))]);
    let graph = import(&net.model()).unwrap().graph;
    let y = eval::run(&graph, &[&[1.0, 2.0]], 1, &graph.outputs).unwrap();
    assert_eq!(y[0], [0.5 * -3.0 + 12.5, 0.25 * 11.0 - 0.4375, 0.125 * 9.0 + 0.03125]);
    let Op::Dense(dense) = &graph.nodes[0].op else { panic!("{:?}", graph.nodes[0].op) };
    let (w, b) = (dense.weight_quant.as_ref().unwrap(), dense.bias_quant.as_ref().unwrap());
    assert_eq!((w.bits[0], w.signed, &w.scale[..3]), (8.0, true, &[0.5, 0.25, 0.125][..]));
    assert_eq!((b.bits[0], b.scale[2]), (32.0, 0.03125));
}
