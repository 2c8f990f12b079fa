//! What every selection shares: `Slice`, `Split`, `Gather`, `Expand`, `Tile`, `Resize` and others
//! say for each element of their result which of their input it is. Of constants and shapes that is
//! done here.

use super::super::axes::{Seen, sample_of};
use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::{Constant, Dim, Item};
use super::dense::check_size;
use super::shape;
use crate::graph::op::Op;
use crate::onnx::Values;
use crate::ops::Move;

/// The result of a selection on a tensor: its shape, for each axis the one of the input that it
/// runs along, and where each element comes from.
pub struct Picked {
    pub shape: Vec<usize>,
    pub axes: Vec<Option<usize>>,
    pub source: Vec<usize>,
}

impl Picked {
    /// Everything where it is.
    pub fn whole(from: &[usize]) -> Picked {
        Picked { axes: (0..from.len()).map(Some).collect(), shape: from.to_vec(), source: (0..from.iter().product()).collect() }
    }

    /// The rows `rows` along `axis`.
    pub fn along(from: &[usize], axis: usize, rows: &[usize]) -> Picked {
        let inner: usize = from[axis + 1..].iter().product();
        let outer: usize = from[..axis].iter().product();
        let mut source = Vec::with_capacity(outer * rows.len() * inner);
        for o in 0..outer {
            for &row in rows {
                let start = (o * from[axis] + row) * inner;
                source.extend(start..start + inner);
            }
        }
        let mut shape = from.to_vec();
        shape[axis] = rows.len();
        Picked { axes: (0..shape.len()).map(Some).collect(), shape, source }
    }

    /// Another selection on the result.
    pub fn then(self, next: Picked) -> Picked {
        let axes = next.axes.iter().map(|axis| axis.and_then(|a| self.axes[a])).collect();
        Picked { shape: next.shape, axes, source: next.source.into_iter().map(|e| self.source[e]).collect() }
    }
}

/// What the selection `of` makes of input 0 of `node`; called `name`.
///
/// # Errors
/// Those of `of`, a selection over the samples of a batch, or a result that is too large.
pub fn selected<'m>(
    context: &mut Context<'m>,
    node: &NodeView<'m>,
    name: &str,
    of: impl Fn(&[usize]) -> Result<Picked, Fault>,
) -> Result<Item, Fault> {
    match context.item(node, 0)? {
        Item::Const(constant) => {
            let picked = of(constant.shape())?;
            context.spend(picked.source.len().saturating_mul(if constant.quant.is_some() { 5 } else { 2 }))?;
            Ok(Item::Const(Constant { name: name.into(), ..constant.gather(picked.shape, &picked.source) }))
        }
        Item::Dims { dims, scalar: false } => {
            let picked = of(&[dims.len()])?;
            let dims: Vec<Dim> = picked.source.iter().map(|&e| dims[e]).collect();
            if picked.shape.len() > 1 {
                return Err(Fault::new("it makes more than a vector of a shape"));
            }
            Ok(shape::item(name, dims, picked.shape.is_empty()))
        }
        _ => {
            let seen = context.seen(node, 0)?;
            let full = context.full_shape(seen);
            let picked = of(&full)?;
            emit(context, name, seen, picked)
        }
    }
}

/// Emits a selection of data.
pub fn emit(context: &mut Context<'_>, name: &str, seen: Seen, picked: Picked) -> Result<Item, Fault> {
    let Picked { shape, axes, source } = picked;
    let batch = seen.batch.map(|at| {
        let after = axes.iter().position(|&axis| axis == Some(at)).filter(|&after| shape[after] == 1);
        after.ok_or_else(|| Fault::new("it selects among the samples of a batch; only the other axes are supported"))
    });
    let batch = batch.transpose()?;
    let sample = sample_of(&shape, batch);
    if sample.contains(&0) {
        return Err(Fault::new("its result is empty"));
    }
    check_size(source.len())?;
    context.spend(source.len())?;
    let same = source.len() == context.graph.len_of(seen.value) && source.iter().enumerate().all(|(at, &from)| at == from);
    if same && context.shape(seen.value) == sample {
        return Ok(context.turned(seen.value, batch));
    }
    let op = if same { Move::Reshape } else { Move::Select { source: source.into_iter().map(Some).collect() } };
    let value = context.step(name, Op::Move(op), vec![seen.value], sample);
    Ok(context.turned(value, batch))
}

/// Integers of an input or, in older operator sets, of an attribute.
///
/// # Errors
/// Where the input is not a constant of integers, or of a shape that is open.
pub fn integers<'m>(
    context: &Context<'m>,
    node: &NodeView<'m>,
    index: usize,
    attribute: &str,
) -> Result<Option<Vec<i64>>, Fault> {
    if let Some(values) = node.attributes().ints(attribute)? {
        return Ok(Some(values.to_vec()));
    }
    if node.input(index).is_none() {
        return Ok(None);
    }
    match context.item(node, index)? {
        Item::Const(constant) if !matches!(constant.tensor.values, Values::Bool(_)) => {
            let values = constant.tensor.to_i64();
            values.map(Some).ok_or_else(|| Fault::new(format!("its {attribute} (input {index}) are not integers")))
        }
        Item::Dims { dims, .. } => {
            // the batch, of size 1 here
            Ok(Some(dims.iter().map(|d| if let Dim::Known(n) = *d { n } else { 1 }).collect()))
        }
        _ => Err(Fault::new(format!("its {attribute} (input {index}) are not constant"))),
    }
}
