//! `Concat`: of tensors along any axis but the batch; of shapes and constants it is done here.

use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::Item;
use super::window::Layout;
use super::{dense, shape};
use crate::graph::dag::ValueId;
use crate::graph::op::Op;
use crate::ops::{Move, movement};

pub fn concat<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let items = (0..node.proto.input.len()).map(|index| context.item(node, index)).collect::<Result<Vec<_>, _>>()?;
    if !items.iter().any(|item| matches!(item, Item::Data(_))) {
        return shape::concat(context, node);
    }
    let value = |item: &Item| match item {
        Item::Data(value) => Ok(*value),
        _ => Err(Fault::new("it joins a tensor and a constant; put the constant into the weights after it")),
    };
    let values: Vec<ValueId> = items.iter().map(value).collect::<Result<_, _>>()?;
    let shapes: Vec<Vec<usize>> = values.iter().map(|&v| context.shape(v).to_vec()).collect();
    let rank = shapes[0].len() as i64 + 1;
    let axis = node.attributes().int("axis", 1)?;
    let axis = if axis < 0 { axis + rank } else { axis };
    if axis == 0 || !(1..rank).contains(&axis) {
        return Err(Fault::new(format!("axis {axis} is the batch or does not exist; samples stay apart")));
    }
    let axis = axis as usize - 1;
    // with the channels last, the first axis is the last one and the others move up
    let spatial = matches!(shapes[0].len(), 2 | 3) && context.spatial;
    let layout = if spatial { Layout::First } else { Layout::Last };
    let at = match (spatial, axis) {
        (true, 0) => shapes[0].len() - 1,
        (true, axis) => axis - 1,
        (false, axis) => axis,
    };
    let last: Vec<Vec<usize>> = shapes.iter().map(|s| layout.last(s)).collect();
    let last: Vec<&[usize]> = last.iter().map(|s| &s[..]).collect();
    let fault = || Fault::new(format!("sample shapes {shapes:?} do not join along axis {}", axis + 1));
    let output = movement::concat_shape(&last, at).ok_or_else(fault)?;
    if values.len() == 1 {
        return Ok(items[0].clone());
    }
    dense::check_size(output.iter().product())?;
    let inputs = values.into_iter().map(|v| context.channels_last(node, v, layout)).collect::<Result<Vec<_>, _>>()?;
    context.emit_last(node, Op::Move(Move::Concat { axis: at }), inputs, output, layout)
}
