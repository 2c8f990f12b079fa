//! Operators on integers (QOperator form): the same as DequantizeLinear in front of the operator on
//! floats and QuantizeLinear after it.

use super::super::context::NodeView;
use super::super::fault::Fault;
use super::nodes::{Nodes, int};
use crate::onnx::proto::AttributeProto;

/// `(q − z)·s` of the inputs from `at` on: tensor, scale and zero point.
fn dequantized(node: &NodeView<'_>, nodes: &mut Nodes, at: usize, axis: i64) -> Result<String, Fault> {
    let (Some(tensor), Some(scale)) = (node.input(at), node.input(at + 1)) else {
        return Err(Fault::new(format!("input {at} or its scale is missing")));
    };
    let inputs: Vec<&str> = [tensor, scale].into_iter().chain(node.input(at + 2)).collect();
    Ok(nodes.step("DequantizeLinear", &inputs, vec![int("axis", axis)]))
}

/// Integers of the scale and zero point at the inputs from `at` on.
fn quantized(node: &NodeView<'_>, nodes: &mut Nodes, value: &str, at: usize) -> Result<(), Fault> {
    let scale = node.input(at).ok_or_else(|| Fault::new("the scale of its output is missing"))?;
    let inputs: Vec<&str> = [value, scale].into_iter().chain(node.input(at + 1)).collect();
    nodes.last("QuantizeLinear", &inputs, node.output(), vec![]);
    Ok(())
}

/// A bias of int32 on the grid of the products.
fn bias(node: &NodeView<'_>, nodes: &mut Nodes, index: usize, scales: [usize; 2]) -> Result<Option<String>, Fault> {
    let Some(bias) = node.input(index) else { return Ok(None) };
    let [Some(x), Some(w)] = scales.map(|at| node.input(at)) else { return Err(Fault::new("a scale is missing")) };
    let scale = nodes.step("Mul", &[x, w], vec![]);
    Ok(Some(nodes.step("DequantizeLinear", &[bias, &scale], vec![int("axis", 0)])))
}

pub fn conv(node: &NodeView<'_>, nodes: &mut Nodes) -> Result<(), Fault> {
    let x = dequantized(node, nodes, 0, 1)?;
    let w = dequantized(node, nodes, 3, 0)?;
    let bias = bias(node, nodes, 8, [1, 4])?;
    let inputs: Vec<&str> = [&x[..], &w[..]].into_iter().chain(bias.as_deref()).collect();
    let y = nodes.step("Conv", &inputs, node.proto.attribute.clone());
    quantized(node, nodes, &y, 6)
}

pub fn matmul(node: &NodeView<'_>, nodes: &mut Nodes) -> Result<(), Fault> {
    let (a, b) = (dequantized(node, nodes, 0, 1)?, dequantized(node, nodes, 3, 1)?);
    let y = nodes.step("MatMul", &[&a, &b], vec![]);
    quantized(node, nodes, &y, 6)
}

pub fn gemm(node: &NodeView<'_>, nodes: &mut Nodes) -> Result<(), Fault> {
    let transposed = node.attributes().int("transB", 0)?;
    let (a, b) = (dequantized(node, nodes, 0, 1)?, dequantized(node, nodes, 3, 1 - transposed)?);
    let bias = bias(node, nodes, 6, [1, 4])?;
    let inputs: Vec<&str> = [&a[..], &b[..]].into_iter().chain(bias.as_deref()).collect();
    if node.input(7).is_none() {
        nodes.last("Gemm", &inputs, node.output(), node.proto.attribute.clone());
        return Ok(());
    }
    let y = nodes.step("Gemm", &inputs, node.proto.attribute.clone());
    quantized(node, nodes, &y, 7)
}

pub fn binary(node: &NodeView<'_>, nodes: &mut Nodes) -> Result<(), Fault> {
    let (a, b) = (dequantized(node, nodes, 0, 1)?, dequantized(node, nodes, 3, 1)?);
    let op = node.proto.op_type().trim_start_matches("QLinear");
    let y = nodes.step(op, &[&a, &b], vec![]);
    quantized(node, nodes, &y, 6)
}

pub fn unary(node: &NodeView<'_>, nodes: &mut Nodes) -> Result<(), Fault> {
    if node.attributes().int("channels_last", 0)? != 0 {
        return Err(Fault::new("channels_last = 1 is what ONNX Runtime's optimiser writes; give the file from before"));
    }
    let x = dequantized(node, nodes, 0, 1)?;
    let op = node.proto.op_type().trim_start_matches("QLinear");
    let own = |a: &&AttributeProto| !matches!(a.name(), "channels_last" | "opset");
    let attributes = node.proto.attribute.iter().filter(own).cloned().collect();
    let y = nodes.step(op, &[&x], attributes);
    quantized(node, nodes, &y, 3)
}

pub fn concat(node: &NodeView<'_>, nodes: &mut Nodes) -> Result<(), Fault> {
    let count = node.proto.input.len().saturating_sub(2);
    if count == 0 || !count.is_multiple_of(3) {
        return Err(Fault::new("its inputs are not tensors with scale and zero point each"));
    }
    let parts = (0..count / 3).map(|n| dequantized(node, nodes, 2 + 3 * n, 1)).collect::<Result<Vec<_>, _>>()?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let y = nodes.step("Concat", &parts, node.proto.attribute.clone());
    quantized(node, nodes, &y, 0)
}
