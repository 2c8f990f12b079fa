//! `Shape`, and `Concat` of shapes: how exporters compute the target of
//! a `Reshape` from a batch of any size.

use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::{Constant, Dim, Item};
use crate::onnx::{Tensor, Values};

/// Integers as an item; without a batch among them they are an ordinary constant.
pub(super) fn item(name: &str, dims: Vec<Dim>, scalar: bool) -> Item {
    let known: Option<Vec<i64>> = dims.iter().map(|d| if let Dim::Known(n) = *d { Some(n) } else { None }).collect();
    match known {
        Some(values) => Item::Const(Constant::new(name, Tensor::i64(if scalar { vec![] } else { vec![values.len()] }, values))),
        None => Item::Dims { dims, scalar },
    }
}

fn known(size: usize) -> Dim {
    Dim::Known(i64::try_from(size).unwrap_or(i64::MAX))
}

pub fn shape<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let dims: Vec<Dim> = match context.item(node, 0)? {
        Item::Const(constant) => constant.shape().iter().map(|&d| known(d)).collect(),
        Item::Data(value) => std::iter::once(Dim::Batch).chain(context.shape(value).iter().map(|&d| known(d))).collect(),
        Item::Dims { dims, scalar } => {
            if scalar {
                vec![]
            } else {
                vec![known(dims.len())]
            }
        }
        _ => return Err(Fault::new("its input is not a tensor")),
    };
    let rank = dims.len() as i64;
    let clamp = |axis: i64| (if axis < 0 { axis.saturating_add(rank) } else { axis }).clamp(0, rank) as usize;
    let attributes = node.attributes();
    let (start, end) = (clamp(attributes.int("start", 0)?), clamp(attributes.int("end", rank)?));
    Ok(item(node.output(), dims.get(start..end).unwrap_or_default().to_vec(), false))
}

/// A vector or scalar of integers.
fn vector<'m>(context: &Context<'m>, node: &NodeView<'m>, index: usize) -> Result<(Vec<Dim>, bool), Fault> {
    match context.item(node, index)? {
        Item::Dims { dims, scalar } => Ok((dims, scalar)),
        Item::Const(constant) if constant.shape().len() <= 1 && matches!(constant.tensor.values, Values::I64(_)) => {
            let values = constant.tensor.to_i64().unwrap_or_default();
            Ok((values.into_iter().map(Dim::Known).collect(), constant.shape().is_empty()))
        }
        Item::Data(_) => Err(Fault::new("it is not supported yet on tensors, only on shapes")),
        _ => Err(Fault::new("it is supported only on vectors of integers")),
    }
}

pub fn concat<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let mut dims = Vec::new();
    for index in 0..node.proto.input.len() {
        dims.extend(vector(context, node, index)?.0);
    }
    context.spend(dims.len())?;
    Ok(item(node.output(), dims, false))
}
