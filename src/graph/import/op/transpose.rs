//! `Transpose`: of a constant it is done here, of a tensor it becomes a permutation of the sample.

use super::super::axes::sample_of;
use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::{Constant, Item};
use crate::graph::op::Op;
use crate::ops::Move;

pub fn transpose<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let perm = node.attributes().ints("perm")?;
    match context.item(node, 0)? {
        Item::Const(constant) => {
            let perm = checked(perm, constant.shape().len())?;
            context.spend(constant.tensor.len() * if constant.quant.is_some() { 5 } else { 2 })?;
            Ok(Item::Const(permuted(&constant, &perm)))
        }
        Item::Data(_) | Item::Turned { .. } => {
            let seen = context.seen(node, 0)?;
            let shape = context.full_shape(seen);
            let perm = checked(perm, shape.len())?;
            let batch = seen.batch.and_then(|at| perm.iter().position(|&axis| axis == at));
            context.spend(shape.iter().product())?;
            // where only the batch moves, no element does
            let source = sources(&shape, &perm);
            let full: Vec<usize> = perm.iter().map(|&axis| shape[axis]).collect();
            let sample = sample_of(&full, batch);
            if context.shape(seen.value) == sample && source.iter().enumerate().all(|(to, &from)| to == from) {
                return Ok(context.turned(seen.value, batch));
            }
            let Item::Data(value) = context.emit(node, Op::Move(Move::Permute { source }), seen.value, sample) else {
                return Err(Fault::new("its result is no tensor"));
            };
            Ok(context.turned(value, batch))
        }
        _ => Err(Fault::new("its input is computed from shapes")),
    }
}

/// A permutation of `rank` axes; the default reverses them.
fn checked(perm: Option<&[i64]>, rank: usize) -> Result<Vec<usize>, Fault> {
    let Some(perm) = perm else { return Ok((0..rank).rev().collect()) };
    let axes: Vec<usize> = perm.iter().filter_map(|&axis| usize::try_from(axis).ok()).collect();
    let mut sorted = axes.clone();
    sorted.sort_unstable();
    if axes.len() != perm.len() || !sorted.into_iter().eq(0..rank) {
        return Err(Fault::new(format!("perm {perm:?} is not a permutation of {rank} axes")));
    }
    Ok(axes)
}

/// A constant with its axes permuted, and its annotation likewise.
pub fn permuted(constant: &Constant, perm: &[usize]) -> Constant {
    let shape = perm.iter().map(|&axis| constant.shape()[axis]).collect();
    constant.gather(shape, &sources(constant.shape(), perm))
}

/// Where each element of the transposed tensor comes from.
pub(super) fn sources(shape: &[usize], perm: &[usize]) -> Vec<usize> {
    if shape.contains(&0) {
        return vec![];
    }
    let mut strides = vec![1usize; shape.len()];
    for axis in (0..shape.len().saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * shape[axis + 1];
    }
    let mut source = vec![0usize];
    for &axis in perm {
        source = source
            .iter()
            .flat_map(|&base| (0..shape[axis]).map(move |i| (base, i)))
            .map(|(base, i)| base + i * strides[axis])
            .collect();
    }
    source
}
