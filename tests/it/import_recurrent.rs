//! Recurrent layers of a fixed length, unrolled: what tract computes from the same bytes.

use crate::support::checked::Checked;
use crate::support::eval::evaluate;
use crate::support::onnx::{Attr, Net};
use hgq_onnx::graph;
use hgq_onnx::onnx::Tensor;

/// A sequence of `steps` steps with 3 features through a layer of 4 units: all its outputs, the
/// batch in front.
fn layer(op: &str, gates: usize, steps: i64, direction: &str, reset_after: Option<i64>) -> Net {
    let directions = if direction == "bidirectional" { 2 } else { 1 };
    let mut net = Net::new(14, &[1, steps, 3]);
    let rows = 4 * gates;
    net.random("w", &[directions, rows, 3]).random("r", &[directions, rows, 4]).random("b", &[directions, 2 * rows]);
    net.node("Transpose", &["@"], "t", &[("perm", Attr::Is(&[1, 0, 2]))]);
    let mut attributes = vec![("hidden_size", Attr::I(4)), ("direction", Attr::S(direction))];
    attributes.extend(reset_after.map(|after| ("linear_before_reset", Attr::I(after))));
    net.node(op, &["@", "w", "r", "b"], "all", &attributes);
    // [T, D, B, H] → [B, T, D, H]
    net.node("Transpose", &["@"], "batch", &[("perm", Attr::Is(&[2, 0, 1, 3]))]);
    net.constant("flat", Tensor::i64(vec![2], vec![1, -1])).node("Reshape", &["@", "flat"], "y", &[]);
    net
}

#[test]
fn gates_are_those_of_onnx() {
    for (op, gates, reset_after) in [("LSTM", 4, None), ("GRU", 3, Some(0)), ("GRU", 3, Some(1)), ("RNN", 1, None)] {
        layer(op, gates, 4, "forward", reset_after).agrees();
        layer(op, gates, 1, "forward", reset_after).agrees();
    }
    layer("GRU", 3, 3, "bidirectional", Some(1)).agrees();
    // tract runs an LSTM forward whatever it says: the other way round is that of a sequence turned round
    let run = |direction: &str, x: &[f32]| {
        let imported = graph::import(&layer("LSTM", 4, 3, direction, None).model()).unwrap();
        evaluate(&imported, &[x], 1).remove(0)
    };
    let turned = |v: &[f64], row: usize| v.chunks(row).rev().flatten().copied().collect::<Vec<f64>>();
    let x: Vec<f64> = (0..9).map(|n| f64::from(n * n % 7) / 4.0 - 0.5).collect();
    let as_f32 = |v: Vec<f64>| v.into_iter().map(|x| x as f32).collect::<Vec<f32>>();
    assert_eq!(turned(&run("reverse", &as_f32(x.clone())), 4), run("forward", &as_f32(turned(&x, 3))));
}

#[test]
fn the_last_state_and_what_follows() {
    let mut net = Net::new(13, &[1, 5, 3]);
    net.random("w", &[1, 16, 3]).random("r", &[1, 16, 4]).random("h0", &[1, 1, 4]).random("c0", &[1, 1, 4]);
    net.node("Transpose", &["@"], "t", &[("perm", Attr::Is(&[1, 0, 2]))]);
    net.node("LSTM", &["@", "w", "r", "", "", "h0", "c0"], "all", &[("hidden_size", Attr::I(4))]);
    net.graph.node.last_mut().unwrap().output.extend(["h".into(), "c".into()]);
    net.constant("zero", Tensor::i64(vec![1], vec![0])).node("Squeeze", &["h", "zero"], "last", &[]);
    net.random("v", &[4, 2]).node("MatMul", &["@", "v"], "y", &[]);
    net.agrees();
}

#[test]
fn what_is_refused_says_the_number() {
    let mut net = Net::new(13, &[1, 200, 64]);
    net.random("w", &[1, 256, 64]).random("r", &[1, 256, 64]);
    net.node("Transpose", &["@"], "t", &[("perm", Attr::Is(&[1, 0, 2]))]);
    net.node("LSTM", &["@", "w", "r"], "y", &[("hidden_size", Attr::I(64))]);
    assert!(net.refusals()[0].reason.contains("6553600 weights"), "{:?}", net.refusals());
    let mut net = Net::new(13, &[1, 3, 3]);
    net.random("w", &[1, 12, 3]).random("r", &[1, 12, 3]);
    net.node("LSTM", &["@", "w", "r"], "y", &[("hidden_size", Attr::I(3))]);
    assert!(net.refusals()[0].reason.contains("axis 1"), "{:?}", net.refusals());
}
