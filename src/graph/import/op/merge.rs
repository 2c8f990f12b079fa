//! Two and more tensors of one shape, element by element; and a tensor against a scalar bound.

use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::Item;
use super::clip;
use crate::graph::dag::ValueId;
use crate::graph::op::Op;
use crate::ops::Merge;

/// `a ∘ b` of two tensors.
pub fn two<'m>(context: &mut Context<'m>, node: &NodeView<'m>, merge: Merge, a: ValueId, b: ValueId) -> Result<Item, Fault> {
    alike(context, a, b)?;
    let shape = context.shape(a).to_vec();
    Ok(context.emit_many(node, Op::Merge(merge), vec![a, b], shape))
}

fn alike(context: &Context<'_>, a: ValueId, b: ValueId) -> Result<(), Fault> {
    let (one, two) = (context.shape(a), context.shape(b));
    if one == two {
        return Ok(());
    }
    Err(Fault::new(format!(
        "its operands have sample shapes {one:?} and {two:?}; tensors that are broadcast against each other are not supported"
    )))
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
            let &[bound] = &bound.finite()?[..] else {
                return Err(Fault::new("a bound per element is not supported; use one number"));
            };
            let (lo, hi) = if merge == Merge::Max { (bound, f64::INFINITY) } else { (f64::NEG_INFINITY, bound) };
            return clip::between(context, node, *value, lo, hi);
        }
        _ => {}
    }
    let values = items.iter().map(|item| if let Item::Data(value) = item { Ok(*value) } else { Err(Fault::new("a constant among more than two operands, or no tensor at all, is not supported; fold constants before export (onnxsim)")) });
    let values = values.collect::<Result<Vec<_>, _>>()?;
    let Some((&first, rest)) = values.split_first() else { return Err(Fault::new("it has no operands")) };
    let mut left = first;
    for (at, &right) in rest.iter().enumerate() {
        alike(context, left, right)?;
        let shape = context.shape(left).to_vec();
        if at + 1 == rest.len() {
            return Ok(context.emit_many(node, Op::Merge(merge), vec![left, right], shape));
        }
        left = context.step(&format!("{}_{at}", node.name), Op::Merge(merge), vec![left, right], shape);
    }
    Ok(Item::Data(left))
}
