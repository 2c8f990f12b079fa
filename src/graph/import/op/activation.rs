//! `Relu`, `LeakyRelu`, `PRelu`, `Sigmoid`, `Tanh`.

use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::Item;
use crate::graph::op::Op;

fn elementwise<'m>(context: &mut Context<'m>, node: &NodeView<'m>, op: Op) -> Result<Item, Fault> {
    let input = context.data(node, 0)?;
    let shape = context.shape(input).to_vec();
    Ok(context.emit(node, op, input, shape))
}

pub fn relu<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    elementwise(context, node, Op::Relu)
}

pub fn leaky_relu<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    const DEFAULT: f32 = 0.01;
    let alpha = node.attributes().float("alpha", DEFAULT)?;
    if !alpha.is_finite() {
        return Err(Fault::new("attribute `alpha` is not finite"));
    }
    elementwise(context, node, Op::LeakyRelu { alpha })
}

/// A slope per channel is supported where all are the same.
pub fn prelu<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let slope = context.constant(node, 1, "slope (input 1)")?;
    let values = slope.finite()?;
    let alpha = match values.split_first() {
        Some((&first, rest)) if rest.iter().all(|&v| v == first) && (first as f32).is_finite() => first as f32,
        _ => return Err(Fault::new(format!("slope `{}` differs between channels; use one slope (LeakyRelu)", slope.name))),
    };
    elementwise(context, node, Op::LeakyRelu { alpha })
}

pub fn sigmoid<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    elementwise(context, node, Op::Sigmoid)
}

pub fn tanh<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    elementwise(context, node, Op::Tanh)
}
