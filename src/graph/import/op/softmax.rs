//! `Softmax` over the last axis. Before opset 13 the default axis is 1 and all axes from there on are one.

use super::super::{
    context::{Context, Fault, NodeView},
    item::Item,
};
use crate::graph::op::Op;

pub fn softmax<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    const AXIS_IS_ONE_AXIS: i64 = 13;
    let input = context.data(node, 0)?;
    let shape = context.shape(input).to_vec();
    let rank = shape.len() as i64 + 1;
    let axis = node.attributes().int("axis", if context.opset < AXIS_IS_ONE_AXIS { 1 } else { -1 })?;
    if axis != -1 && axis != rank - 1 {
        return Err(Fault::new(format!("it is over axis {axis} of {rank}; only the last axis is supported")));
    }
    Ok(context.emit(node, Op::Softmax, input, shape))
}
