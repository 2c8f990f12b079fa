//! What ONNX Runtime's optimiser fuses.

use super::super::context::NodeView;
use super::super::fault::Fault;
use super::nodes::{Nodes, float};
use crate::onnx::proto::AttributeProto;

/// The node's attributes without those of the fusion.
fn own(node: &NodeView<'_>) -> Vec<AttributeProto> {
    let fused = |a: &&AttributeProto| !a.name().starts_with("activation");
    node.proto.attribute.iter().filter(fused).cloned().collect()
}

/// The operator, a sum with a further input, and the activation of the fusion.
fn with_activation(
    node: &NodeView<'_>,
    nodes: &mut Nodes,
    op: &str,
    inputs: &[&str],
    summand: Option<&str>,
) -> Result<(), Fault> {
    let attributes = node.attributes();
    let activation = attributes.string("activation", "")?;
    let parameters = attributes.floats("activation_params")?.unwrap_or_default();
    let alpha = |default: f32| parameters.first().copied().map_or_else(|| attributes.float("activation_alpha", default), Ok);
    let after: Vec<AttributeProto> = match activation.as_str() {
        "LeakyRelu" => vec![float("alpha", alpha(0.01)?)],
        "HardSigmoid" => vec![float("alpha", alpha(0.2)?), float("beta", parameters.get(1).copied().unwrap_or(0.5))],
        "Clip" => match parameters {
            [lo, hi] => vec![float("min", *lo), float("max", *hi)],
            _ => return Err(Fault::new("its activation Clip has no two bounds")),
        },
        "" | "Relu" | "Sigmoid" | "Tanh" => vec![],
        other => return Err(Fault::new(format!("activation `{other}` of a fusion is not known"))),
    };
    let mut value = None;
    if summand.is_none() && activation.is_empty() {
        nodes.last(op, inputs, node.output(), own(node));
        return Ok(());
    }
    let layer = nodes.step(op, inputs, own(node));
    if let Some(summand) = summand {
        if activation.is_empty() {
            nodes.last("Add", &[&layer, summand], node.output(), vec![]);
            return Ok(());
        }
        value = Some(nodes.step("Add", &[&layer, summand], vec![]));
    }
    nodes.last(&activation, &[value.as_deref().unwrap_or(&layer)], node.output(), after);
    Ok(())
}

pub fn conv(node: &NodeView<'_>, nodes: &mut Nodes) -> Result<(), Fault> {
    let inputs: Vec<&str> = (0..3).filter_map(|at| node.input(at)).collect();
    with_activation(node, nodes, "Conv", &inputs, node.input(3))
}

pub fn gemm(node: &NodeView<'_>, nodes: &mut Nodes) -> Result<(), Fault> {
    let inputs: Vec<&str> = (0..3).filter_map(|at| node.input(at)).collect();
    with_activation(node, nodes, "Gemm", &inputs, None)
}

pub fn matmul(node: &NodeView<'_>, nodes: &mut Nodes) -> Result<(), Fault> {
    let attributes = node.attributes();
    let flag = |name: &str| attributes.int(name, 0);
    if flag("transA")? != 0 || flag("transBatchA")? != 0 || flag("transBatchB")? != 0 {
        return Err(Fault::new("it transposes its first operand or batches; only transB is supported"));
    }
    let (Some(a), Some(b)) = (node.input(0), node.input(1)) else { return Err(Fault::new("it has no two inputs")) };
    let b = if flag("transB")? != 0 { nodes.step("Transpose", &[b], vec![]) } else { b.to_string() };
    let alpha = attributes.float("alpha", 1.0)?;
    if alpha == 1.0 {
        nodes.last("MatMul", &[a, &b], node.output(), vec![]);
        return Ok(());
    }
    let alpha = nodes.number(alpha);
    let product = nodes.step("MatMul", &[a, &b], vec![]);
    nodes.last("Mul", &[&product, &alpha], node.output(), vec![]);
    Ok(())
}
