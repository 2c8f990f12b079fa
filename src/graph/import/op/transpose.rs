//! `Transpose`: of a constant it is done here, of a tensor it becomes a permutation of the sample.

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
        Item::Data(value) => {
            let shape = context.shape(value).to_vec();
            let perm = checked(perm, shape.len() + 1)?;
            if perm[0] != 0 {
                return Err(Fault::new(format!("perm {perm:?} moves the batch axis; only the axes after it may be permuted")));
            }
            let perm: Vec<usize> = perm[1..].iter().map(|&axis| axis - 1).collect();
            context.spend(shape.iter().product())?;
            let source = sources(&shape, &perm);
            let output = perm.iter().map(|&axis| shape[axis]).collect();
            Ok(context.emit(node, Op::Move(Move::Permute { source }), value, output))
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
fn sources(shape: &[usize], perm: &[usize]) -> Vec<usize> {
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
