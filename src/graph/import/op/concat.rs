//! `Concat`: of tensors along any axis but the batch; of shapes and constants it is done here.

use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::{Constant, Item};
use super::window::Layout;
use super::{dense, shape};
use crate::graph::dag::ValueId;
use crate::graph::op::Op;
use crate::ops::{Move, movement};

/// A constant as a tensor beside others.
fn filled<'m>(
    context: &mut Context<'m>,
    node: &NodeView<'m>,
    at: usize,
    like: ValueId,
    constant: &Constant,
) -> Result<ValueId, Fault> {
    let shape = match (context.batch, constant.shape()) {
        (None, shape) | (Some(_), [1, shape @ ..]) => shape.to_vec(),
        (Some(_), shape) => return Err(Fault::new(format!("it joins samples and a constant of shape {shape:?}"))),
    };
    context.filled(&format!("{}_constant{at}", node.name), like, constant.finite()?, shape)
}

pub fn concat<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let items = (0..node.proto.input.len()).map(|index| context.item(node, index)).collect::<Result<Vec<_>, _>>()?;
    if !items.iter().any(|item| matches!(item, Item::Data(_))) {
        return shape::concat(context, node);
    }
    let first = items.iter().find_map(|item| if let Item::Data(value) = item { Some(*value) } else { None });
    let first = first.ok_or_else(|| Fault::new("it joins no tensors"))?;
    let values = items.iter().enumerate().map(|(at, item)| match item {
        Item::Data(value) => Ok(*value),
        Item::Const(constant) => filled(context, node, at, first, constant),
        _ => Err(Fault::new("it joins a tensor with what is none")),
    });
    let values: Vec<ValueId> = values.collect::<Result<_, _>>()?;
    let shapes: Vec<Vec<usize>> = values.iter().map(|&v| context.shape(v).to_vec()).collect();
    let axis = context.sample_axis(node.attributes().int("axis", 1)?, shapes[0].len())?;
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
