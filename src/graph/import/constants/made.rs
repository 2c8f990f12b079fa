//! Tensors that are made from nothing but a shape or bounds.

use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::{Constant, Item};
use super::super::op::select::integers;
use super::computed;
use crate::onnx::limits::MAX_ELEMENTS;
use crate::onnx::{Tensor, Values};

/// A shape whose batch, if there is one, has size 1.
pub fn constant_of_shape<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let dims = integers(context, node, 0, "shape")?.ok_or_else(|| Fault::new("its shape is missing"))?;
    let shape: Option<Vec<usize>> = dims.iter().map(|&d| usize::try_from(d).ok()).collect();
    let shape = shape.ok_or_else(|| Fault::new(format!("its shape {dims:?} is negative")))?;
    let len = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).filter(|&n| n <= MAX_ELEMENTS);
    let len = len.ok_or_else(|| Fault::new(format!("its shape {dims:?} has more than {MAX_ELEMENTS} elements")))?;
    context.spend(len)?;
    let value = node.attributes().tensor("value")?.unwrap_or_else(|| Tensor::f32(vec![1], vec![0.0]));
    if value.len() != 1 {
        return Err(Fault::new("its value is not one number"));
    }
    let constant = Constant::new(node.output(), value);
    Ok(Item::Const(constant.gather(shape, &vec![0; len])))
}

pub fn range<'m>(
    context: &mut Context<'m>,
    node: &NodeView<'m>,
    start: &Constant,
    limit: &Constant,
    delta: &Constant,
) -> Result<Item, Fault> {
    let [start_at, to, by] = [start, limit, delta].map(|c| c.tensor.to_f64().first().copied().unwrap_or(f64::NAN));
    let count = ((to - start_at) / by).ceil();
    if count.is_nan() || count > MAX_ELEMENTS as f64 {
        return Err(Fault::new(format!("from {start_at} to {to} by {by} are too many numbers")));
    }
    let count = count.max(0.0) as usize;
    context.spend(count)?;
    let steps = 0..count;
    let values = match &start.tensor.values {
        Values::I64(_) => {
            Values::I64(steps.map(|n| (start_at as i64).wrapping_add((n as i64).wrapping_mul(by as i64))).collect())
        }
        Values::F64(_) => Values::F64(steps.map(|n| start_at + n as f64 * by).collect()),
        _ => Values::F32(steps.map(|n| (start_at + n as f64 * by) as f32).collect()),
    };
    Ok(computed(node, vec![count], values, &start.tensor))
}

pub fn size(node: &NodeView<'_>, x: &Constant) -> Result<Item, Fault> {
    Ok(Item::Const(Constant::new(node.output(), Tensor::i64(vec![], vec![x.tensor.len() as i64]))))
}

/// The upper or lower triangle of matrices: causal masks.
pub fn trilu<'m>(context: &mut Context<'m>, node: &NodeView<'m>, x: &Constant, k: Option<Constant>) -> Result<Item, Fault> {
    let k = k.and_then(|k| k.tensor.to_i64()).and_then(|k| k.first().copied()).unwrap_or(0);
    let upper = node.attributes().int("upper", 1)? != 0;
    let &[.., rows, columns] = x.shape() else { return Err(Fault::new("its input is no matrix")) };
    context.spend(x.tensor.len())?;
    let kept = |e: usize| {
        let (row, column) = ((e / columns % rows.max(1)) as i64, (e % columns) as i64);
        if upper { column >= row.saturating_add(k) } else { column <= row.saturating_add(k) }
    };
    fn masked<T: Copy + Default>(values: &[T], kept: impl Fn(usize) -> bool) -> Vec<T> {
        values.iter().enumerate().map(|(e, &v)| if kept(e) { v } else { T::default() }).collect()
    }
    let tensor = x.resolved();
    let values = match &tensor.values {
        Values::F32(v) => Values::F32(masked(v, kept)),
        Values::F64(v) => Values::F64(masked(v, kept)),
        Values::I64(v) => Values::I64(masked(v, kept)),
        Values::U64(v) => Values::U64(masked(v, kept)),
        Values::Bool(v) => Values::Bool(masked(v, kept)),
    };
    Ok(computed(node, tensor.shape.clone(), values, &tensor))
}

pub fn eye_like<'m>(context: &mut Context<'m>, node: &NodeView<'m>, x: &Constant) -> Result<Item, Fault> {
    let &[rows, columns] = x.shape() else { return Err(Fault::new("its input is no matrix")) };
    let k = node.attributes().int("k", 0)?;
    context.spend(rows.saturating_mul(columns))?;
    let one = |e: usize| f32::from(u8::from((e % columns) as i64 == ((e / columns) as i64).saturating_add(k)));
    Ok(Item::Const(Constant::new(node.output(), Tensor::f32(vec![rows, columns], (0..rows * columns).map(one).collect()))))
}
