//! `Squeeze` and `Unsqueeze`; the axes are an attribute before opset 13 and an input from then on.

use super::super::axes::sample_of;
use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::Item;
use super::select::integers;
use crate::graph::dag::ValueId;
use crate::graph::op::Op;
use crate::ops::Move;
use std::collections::BTreeSet;

/// The axes, as indices into `rank` dimensions; `None` where the node names none.
fn axes<'m>(context: &Context<'m>, node: &NodeView<'m>, rank: usize) -> Result<Option<BTreeSet<usize>>, Fault> {
    let Some(axes) = integers(context, node, 1, "axes")? else { return Ok(None) };
    let mut set = BTreeSet::new();
    for &axis in &axes {
        let index = usize::try_from(if axis < 0 { axis.saturating_add(rank as i64) } else { axis });
        match index {
            Ok(index) if index < rank && set.insert(index) => {}
            _ => return Err(Fault::new(format!("axes {axes:?} are not distinct axes of {rank} dimensions"))),
        }
    }
    Ok(Some(set))
}

fn number_of_axes<'m>(context: &Context<'m>, node: &NodeView<'m>) -> Result<usize, Fault> {
    let axes = integers(context, node, 1, "axes")?;
    axes.map(|axes| axes.len()).ok_or_else(|| Fault::new("its axes are missing"))
}

/// The same elements with other axes of size 1.
fn reshaped<'m>(
    context: &mut Context<'m>,
    node: &NodeView<'m>,
    value: ValueId,
    sample: Vec<usize>,
    batch: Option<usize>,
) -> Result<Item, Fault> {
    let Item::Data(value) = context.emit(node, Op::Move(Move::Reshape), value, sample) else {
        return Err(Fault::new("its result is no tensor"));
    };
    Ok(context.turned(value, batch))
}

pub fn squeeze<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let without = |shape: &[usize], axes: &BTreeSet<usize>| -> Result<Vec<usize>, Fault> {
        if axes.iter().any(|&axis| shape[axis] != 1) {
            return Err(Fault::new(format!("axes {axes:?} of {shape:?} are not all of size 1")));
        }
        Ok(shape.iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, &d)| d).collect())
    };
    match context.item(node, 0)? {
        Item::Const(constant) => {
            let shape = constant.shape();
            let ones = || shape.iter().enumerate().filter(|(_, d)| **d == 1).map(|(axis, _)| axis).collect();
            let shape = without(shape, &axes(context, node, shape.len())?.unwrap_or_else(ones))?;
            context.spend(constant.tensor.len())?;
            Ok(Item::Const(constant.reshaped(shape)))
        }
        Item::Data(_) | Item::Turned { .. } => {
            let seen = context.seen(node, 0)?;
            let full = context.full_shape(seen);
            let axes = axes(context, node, full.len())?
                .filter(|axes| !seen.batch.is_some_and(|batch| axes.contains(&batch)))
                .ok_or_else(|| Fault::new("it may remove the batch axis; name the axes after it"))?;
            let sample = sample_of(&without(&full, &axes)?, seen.batch.map(|b| b - axes.range(..b).count()));
            let batch = seen.batch.map(|b| b - axes.range(..b).count());
            reshaped(context, node, seen.value, sample, batch)
        }
        Item::Dims { dims, scalar: false } if dims.len() == 1 => Ok(Item::Dims { dims, scalar: true }),
        _ => Err(Fault::new("its input is not a tensor")),
    }
}

pub fn unsqueeze<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let added = number_of_axes(context, node)?;
    let with = |shape: &[usize], axes: &BTreeSet<usize>| -> Vec<usize> {
        let mut rest = shape.iter();
        (0..shape.len() + axes.len())
            .map(|axis| if axes.contains(&axis) { 1 } else { rest.next().copied().unwrap_or(1) })
            .collect()
    };
    match context.item(node, 0)? {
        Item::Const(constant) => {
            let axes = axes(context, node, constant.shape().len() + added)?.unwrap_or_default();
            context.spend(constant.tensor.len())?;
            let shape = with(constant.shape(), &axes);
            Ok(Item::Const(constant.reshaped(shape)))
        }
        Item::Data(_) | Item::Turned { .. } => {
            let seen = context.seen(node, 0)?;
            let full = context.full_shape(seen);
            let axes = axes(context, node, full.len() + added)?.unwrap_or_default();
            let mut old = (0..full.len() + added).filter(|axis| !axes.contains(axis));
            let batch = seen.batch.and_then(|b| old.nth(b));
            let sample = sample_of(&with(&full, &axes), batch);
            reshaped(context, node, seen.value, sample, batch)
        }
        Item::Dims { dims, scalar: true } if added == 1 => Ok(Item::Dims { dims, scalar: false }),
        _ => Err(Fault::new("its input is not a tensor")),
    }
}
