//! `Flatten`.

use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::Item;
use crate::graph::op::Op;
use crate::ops::Move;

pub fn flatten<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let axis = node.attributes().int("axis", 1)?;
    match context.item(node, 0)? {
        Item::Const(constant) => {
            let rank = constant.shape().len() as i64;
            let at = usize::try_from(if axis < 0 { axis + rank } else { axis }).ok().filter(|&at| at <= rank as usize);
            let at = at.ok_or_else(|| Fault::new(format!("axis {axis} does not exist")))?;
            let shape = vec![constant.shape()[..at].iter().product(), constant.shape()[at..].iter().product()];
            context.spend(constant.tensor.len())?;
            Ok(Item::Const(constant.reshaped(shape)))
        }
        Item::Data(value) => {
            let rank = context.shape(value).len() as i64 + 1;
            let axis_at = if axis < 0 { axis + rank } else { axis };
            // [1, …] is one row whether the batch stays an axis or not
            if axis_at != 1 && !(axis_at == 0 && context.batch_of_one) {
                return Err(Fault::new(format!("axis {axis} merges the batch with other axes; only axis 1 is supported")));
            }
            let len = context.graph.len_of(value);
            Ok(context.emit(node, Op::Move(Move::Reshape), value, vec![len]))
        }
        _ => Err(Fault::new("its input is computed from shapes")),
    }
}
