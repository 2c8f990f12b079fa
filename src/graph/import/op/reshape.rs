//! `Reshape`. The first entry of the target stands for the batch, whatever it says, as long as the
//! others make up one sample: exporters write the batch of their example input, 1, −1, 0 or the
//! traced batch.

use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::{Constant, Dim, Item};
use crate::graph::op::Op;
use crate::onnx::limits::MAX_ELEMENTS;
use crate::ops::Move;

pub fn reshape<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let target = match context.item(node, 1)? {
        Item::Dims { dims, .. } => dims,
        Item::Const(target) => {
            let values = target.tensor.to_i64().ok_or_else(|| Fault::new("its target shape is not integer"))?;
            values.into_iter().map(Dim::Known).collect()
        }
        _ => return Err(Fault::new("its target shape depends on the data")),
    };
    if node.attributes().int("allowzero", 0)? != 0 && target.contains(&Dim::Known(0)) {
        return Err(Fault::new("allowzero = 1 with a zero in the target asks for an empty tensor"));
    }
    match context.item(node, 0)? {
        Item::Const(constant) => {
            let shape = known(&target).and_then(|t| resolve(&t, constant.shape(), constant.tensor.len()));
            let shape = shape.ok_or_else(|| mismatch(&target, constant.shape()))?;
            context.spend(constant.tensor.len())?;
            Ok(Item::Const(Constant { name: node.output().into(), ..constant.reshaped(shape) }))
        }
        Item::Data(value) => {
            let sample = context.shape(value).to_vec();
            let shape = match target.split_first() {
                _ if context.batch.is_none() => known(&target).and_then(|t| resolve(&t, &sample, sample.iter().product())),
                // zeros copy the dimension at the same position, so positions are counted with the
                // batch
                Some((_, rest)) => known(rest).and_then(|rest| resolve(&rest, &sample, sample.iter().product())),
                None => None,
            };
            let shape = shape.ok_or_else(|| mismatch(&target, &sample))?;
            Ok(context.emit(node, Op::Move(Move::Reshape), value, shape))
        }
        _ => Err(Fault::new("its input is computed from shapes")),
    }
}

fn known(dims: &[Dim]) -> Option<Vec<i64>> {
    dims.iter().map(|d| if let Dim::Known(n) = *d { Some(n) } else { None }).collect()
}

/// Fills in −1 and 0; `None` where the result does not have `len` elements.
fn resolve(target: &[i64], from: &[usize], len: usize) -> Option<Vec<usize>> {
    let mut shape = Vec::with_capacity(target.len());
    let mut open = None;
    let (mut product, mut spanned) = (1usize, 1usize);
    for (axis, &dim) in target.iter().enumerate() {
        let size = match dim {
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            0 => *from.get(axis)?,
            _ => usize::try_from(dim).ok()?,
        };
        product = product.checked_mul(size)?;
        // as for tensors of the file
        spanned = spanned.checked_mul(size.max(1)).filter(|&n| n <= MAX_ELEMENTS)?;
        shape.push(size);
    }
    if let Some(axis) = open {
        shape[axis] = len.checked_div(product)?;
        product *= shape[axis];
    }
    (product == len).then_some(shape)
}

fn mismatch(target: &[Dim], from: &[usize]) -> Fault {
    let text: Vec<String> = target.iter().map(|d| if let Dim::Known(n) = d { n.to_string() } else { "batch".into() }).collect();
    Fault::new(format!(
        "the target shape [{}] does not keep the batch as first axis and the {} elements of {from:?} in the others",
        text.join(", "),
        from.iter().product::<usize>()
    ))
}
