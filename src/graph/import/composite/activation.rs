//! Activations and reductions that are made of others.

use super::super::context::NodeView;
use super::super::fault::Fault;
use super::nodes::{Nodes, float};
use crate::diagnostic::Code;
use crate::ops::table::GELU_SLOPE;

fn input<'m>(node: &NodeView<'m>, index: usize) -> Result<&'m str, Fault> {
    node.input(index).ok_or_else(|| Fault::new(format!("input {index} is missing")))
}

/// `x·HardSigmoid(x)`.
pub fn hard_swish(node: &NodeView<'_>, nodes: &mut Nodes) -> Result<(), Fault> {
    let x = input(node, 0)?;
    let gate = nodes.step("HardSigmoid", &[x], vec![float("alpha", 1.0 / 6.0), float("beta", 0.5)]);
    nodes.last("Mul", &[x, &gate], node.output(), vec![]);
    Ok(())
}

/// `x·σ(alpha·x)`; ONNX Runtime calls it QuickGelu.
pub fn swish(node: &NodeView<'_>, nodes: &mut Nodes) -> Result<(), Fault> {
    let default = if node.proto.op_type() == "Swish" { 1.0 } else { GELU_SLOPE };
    gated(node, nodes, input(node, 0)?, node.attributes().float("alpha", default)?);
    Ok(())
}

fn gated(node: &NodeView<'_>, nodes: &mut Nodes, x: &str, alpha: f32) {
    let scaled = match alpha {
        1.0 => x.to_string(),
        alpha => {
            let alpha = nodes.number(alpha);
            nodes.step("Mul", &[x, &alpha], vec![])
        }
    };
    let gate = nodes.step("Sigmoid", &[&scaled], vec![]);
    nodes.last("Mul", &[x, &gate], node.output(), vec![]);
}

/// `alpha·Elu(x / alpha)`.
pub fn celu(node: &NodeView<'_>, nodes: &mut Nodes) -> Result<(), Fault> {
    let (x, alpha) = (input(node, 0)?, node.attributes().float("alpha", 1.0)?);
    if alpha == 1.0 {
        nodes.last("Elu", &[x], node.output(), vec![]);
        return Ok(());
    }
    if !alpha.is_finite() || alpha == 0.0 {
        return Err(Fault::new("attribute `alpha` is 0 or not finite"));
    }
    let alpha = nodes.number(alpha);
    let scaled = nodes.step("Div", &[x, &alpha], vec![]);
    let elu = nodes.step("Elu", &[&scaled], vec![]);
    nodes.last("Mul", &[&elu, &alpha], node.output(), vec![]);
    Ok(())
}

/// `x·tanh(softplus(x))`.
pub fn mish(node: &NodeView<'_>, nodes: &mut Nodes) -> Result<(), Fault> {
    let x = input(node, 0)?;
    let softplus = nodes.step("Softplus", &[x], vec![]);
    let gate = nodes.step("Tanh", &[&softplus], vec![]);
    nodes.last("Mul", &[x, &gate], node.output(), vec![]);
    Ok(())
}

/// Both forms of GELU, also with a bias that is added before.
pub fn gelu(node: &NodeView<'_>, nodes: &mut Nodes) -> Result<(), Fault> {
    let x = input(node, 0)?;
    let biased = match node.input(1) {
        Some(bias) => nodes.step("Add", &[x, bias], vec![]),
        None => x.to_string(),
    };
    nodes.note(Code::Approximated, format!("GELU is computed as x·sigmoid({GELU_SLOPE}·x): it differs by up to 0.021"));
    gated(node, nodes, &biased, GELU_SLOPE);
    Ok(())
}

/// A cast between floats.
pub fn alias(node: &NodeView<'_>, nodes: &mut Nodes) -> Result<(), Fault> {
    nodes.last("Identity", &[input(node, 0)?], node.output(), vec![]);
    Ok(())
}

pub fn sum_of_squares(node: &NodeView<'_>, nodes: &mut Nodes) -> Result<(), Fault> {
    let x = input(node, 0)?;
    let squares = nodes.step("Mul", &[x, x], vec![]);
    summed(node, nodes, &squares);
    Ok(())
}

pub fn sum_of_magnitudes(node: &NodeView<'_>, nodes: &mut Nodes) -> Result<(), Fault> {
    let magnitudes = nodes.step("Abs", &[input(node, 0)?], vec![]);
    summed(node, nodes, &magnitudes);
    Ok(())
}

fn summed(node: &NodeView<'_>, nodes: &mut Nodes, x: &str) {
    let inputs: Vec<&str> = [x].into_iter().chain(node.input(1)).collect();
    nodes.last("ReduceSum", &inputs, node.output(), node.proto.attribute.clone());
}
