//! Two and more tensors, element by element; and a tensor against a scalar bound.

use super::super::broadcast;
use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::{Constant, Item};
use super::{clip, dense};
use crate::graph::dag::ValueId;
use crate::graph::op::Op;
use crate::ops::{Merge, Move};

/// `a ∘ b` of two tensors.
pub fn two<'m>(context: &mut Context<'m>, node: &NodeView<'m>, merge: Merge, a: ValueId, b: ValueId) -> Result<Item, Fault> {
    let [a, b] = alike(context, node, [a, b])?;
    let shape = context.shape(a).to_vec();
    Ok(context.emit_many(node, Op::Merge(merge), vec![a, b], shape))
}

/// Both in the shape that they broadcast to: copies of the elements of the smaller one.
fn alike<'m>(context: &mut Context<'m>, node: &NodeView<'m>, values: [ValueId; 2]) -> Result<[ValueId; 2], Fault> {
    let [one, two] = values.map(|v| context.shape(v).to_vec());
    if one == two {
        return Ok(values);
    }
    let fault = || Fault::new(format!("its operands have sample shapes {one:?} and {two:?}, which do not broadcast"));
    // with fewer axes, the batch of one would meet another axis of the other
    let common = broadcast::common(&one, &two).filter(|_| one.len() == two.len()).ok_or_else(fault)?;
    dense::check_size(common.iter().product())?;
    let mut both = values;
    for (at, (value, shape)) in both.iter_mut().zip([&one, &two]).enumerate() {
        if *shape != common {
            let source = broadcast::indices(shape, &common).ok_or_else(fault)?;
            context.spend(2 * source.len())?;
            let op = Op::Move(Move::Select { source: source.into_iter().map(Some).collect() });
            *value = context.step(&format!("{}_operand{at}", node.name), op, vec![*value], common.clone());
        }
    }
    Ok(both)
}

pub fn max<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    several(context, node, Merge::Max)
}

pub fn min<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    several(context, node, Merge::Min)
}

/// Any number of operands, from left to right.
pub fn several<'m>(context: &mut Context<'m>, node: &NodeView<'m>, merge: Merge) -> Result<Item, Fault> {
    let count = node.proto.input.len();
    let mut items = (0..count).map(|index| context.item(node, index)).collect::<Result<Vec<_>, _>>()?;
    match &mut items[..] {
        [one] => return Ok(one.clone()),
        // a bound
        [Item::Data(value), Item::Const(bound)] | [Item::Const(bound), Item::Data(value)] if merge != Merge::Add => {
            let &[number] = &bound.finite()?[..] else {
                let other = constant_data(context, node, *value, bound)?;
                let (value, shape) = (*value, context.shape(*value).to_vec());
                return Ok(context.emit_many(node, Op::Merge(merge), vec![value, other], shape));
            };
            let (lo, hi) = if merge == Merge::Max { (number, f64::INFINITY) } else { (f64::NEG_INFINITY, number) };
            return clip::between(context, node, *value, lo, hi);
        }
        _ => {}
    }
    let values = items.iter().map(|item| if let Item::Data(value) = item { Ok(*value) } else { Err(Fault::new("a constant among more than two operands, or no tensor at all, is not supported; fold constants before export (onnxsim)")) });
    let values = values.collect::<Result<Vec<_>, _>>()?;
    let Some((&first, rest)) = values.split_first() else { return Err(Fault::new("it has no operands")) };
    let mut left = first;
    for (at, &right) in rest.iter().enumerate() {
        let [one, right] = alike(context, node, [left, right])?;
        left = one;
        let shape = context.shape(left).to_vec();
        if at + 1 == rest.len() {
            return Ok(context.emit_many(node, Op::Merge(merge), vec![left, right], shape));
        }
        left = context.step(&format!("{}_{at}", node.name), Op::Merge(merge), vec![left, right], shape);
    }
    Ok(Item::Data(left))
}

/// A constant as a tensor of the shape of `like`.
pub(super) fn constant_data<'m>(
    context: &mut Context<'m>,
    node: &NodeView<'m>,
    like: ValueId,
    constant: &Constant,
) -> Result<ValueId, Fault> {
    let shape = context.shape(like).to_vec();
    let source = broadcast::onto_sample(constant.shape(), &shape)?;
    let values = constant.finite()?;
    let values = source.into_iter().map(|e| values[e]).collect();
    context.filled(&format!("{}_constant", node.name), like, values, shape)
}
