//! Reductions.

use super::super::axes::normalised;
use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::{Constant, Item};
use super::super::op::select::integers;
use super::super::op::transpose::permuted;
use super::{computed, rounded};

/// What is made of a row.
type Fold = Box<dyn Fn(&[f64]) -> f64>;

/// `None` where the operator has another handler.
pub fn reduce<'m>(context: &mut Context<'m>, node: &NodeView<'m>, op: &str, x: &Constant) -> Option<Result<Item, Fault>> {
    let sum = |v: &[f64]| v.iter().sum::<f64>();
    let of: Fold = match op {
        "ReduceSum" => Box::new(sum),
        "ReduceMean" => Box::new(move |v| sum(v) / v.len() as f64),
        "ReduceMax" => Box::new(|v| v.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
        "ReduceMin" => Box::new(|v| v.iter().copied().fold(f64::INFINITY, f64::min)),
        "ReduceProd" => Box::new(|v| v.iter().product()),
        "ReduceL1" => Box::new(|v| v.iter().map(|x| x.abs()).sum()),
        "ReduceL2" => Box::new(|v| v.iter().map(|x| x * x).sum::<f64>().sqrt()),
        "ReduceSumSquare" => Box::new(|v| v.iter().map(|x| x * x).sum()),
        _ => return None,
    };
    Some(along(context, node, x, &*of))
}

fn along<'m>(context: &mut Context<'m>, node: &NodeView<'m>, x: &Constant, of: &dyn Fn(&[f64]) -> f64) -> Result<Item, Fault> {
    let rank = x.shape().len();
    let given = integers(context, node, 1, "axes")?.filter(|axes| !axes.is_empty());
    if given.is_none() && node.attributes().int("noop_with_empty_axes", 0)? != 0 {
        return Ok(Item::Const(x.clone()));
    }
    let axes = match given {
        Some(axes) => axes.iter().map(|&axis| normalised(axis, rank)).collect::<Result<Vec<_>, _>>()?,
        None => (0..rank).collect(),
    };
    let keep = node.attributes().int("keepdims", 1)? != 0;
    let kept: Vec<usize> = (0..rank).filter(|axis| !axes.contains(axis)).collect();
    let gone: Vec<usize> = (0..rank).filter(|axis| axes.contains(axis)).collect();
    context.spend(x.tensor.len().saturating_mul(3))?;
    let moved = permuted(x, &[&kept[..], &gone[..]].concat()).resolved();
    let row: usize = gone.iter().map(|&axis| x.shape()[axis]).product();
    if row == 0 {
        return Err(Fault::new("it reduces an empty tensor"));
    }
    let results = moved.to_f64().chunks(row).map(of).collect::<Vec<f64>>();
    let size = |axis: usize| if gone.contains(&axis) { keep.then_some(1) } else { Some(x.shape()[axis]) };
    let shape = (0..rank).filter_map(size).collect();
    Ok(computed(node, shape, rounded(results, &moved), &moved))
}
