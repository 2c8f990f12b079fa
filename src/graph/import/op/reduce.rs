//! `ReduceMean`, `ReduceSum`, `ReduceMax`, `ReduceMin` over constant axes: the largest element or
//! the average under a window that covers them, or a dense layer of ones where nothing else is
//! left.

use super::super::axes::normalised;
use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::{Constant, Item};
use super::select::integers;
use super::transpose::sources;
use super::{dense, pool};
use crate::diagnostic::Code;
use crate::graph::dag::ValueId;
use crate::graph::op::{Affine, Op};
use crate::graph::window::Window;
use crate::onnx::Tensor;
use crate::ops::Move;

/// What is made of the elements along the axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    Mean,
    Sum,
    Max,
    Min,
}

pub fn mean<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    reduce(context, node, Reduction::Mean)
}

pub fn sum<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    reduce(context, node, Reduction::Sum)
}

pub fn max<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    reduce(context, node, Reduction::Max)
}

pub fn min<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    reduce(context, node, Reduction::Min)
}

/// The axes of a sample of `rank` axes, all of them where the node names none; `None` for no axis
/// at all (`noop_with_empty_axes`).
///
/// # Errors
/// The batch named among them.
fn axes<'m>(context: &mut Context<'m>, node: &NodeView<'m>, rank: usize) -> Result<Option<Vec<usize>>, Fault> {
    let given = integers(context, node, 1, "axes")?.filter(|axes| !axes.is_empty());
    let batches = usize::from(context.batch.is_some());
    let Some(given) = given else {
        if node.attributes().int("noop_with_empty_axes", 0)? != 0 {
            return Ok(None);
        }
        // a batch of one is summed up as if it were not there
        if batches > 0 && !context.batch_of_one {
            context.note(Code::BatchReduced, node, "it is over all axes, the batch too: it is made for each sample");
        }
        return Ok(Some((0..rank).collect()));
    };
    let mut axes = Vec::with_capacity(given.len());
    for axis in given {
        let at = normalised(axis, rank + batches)?;
        match at.checked_sub(batches) {
            Some(at) if !axes.contains(&at) => axes.push(at),
            None if context.batch_of_one => {}
            _ => return Err(Fault::new(format!("axis {axis} is the batch or given twice"))),
        }
    }
    axes.sort_unstable();
    Ok(Some(axes))
}

fn reduce<'m>(context: &mut Context<'m>, node: &NodeView<'m>, reduction: Reduction) -> Result<Item, Fault> {
    let input = context.data(node, 0)?;
    let shape = context.shape(input).to_vec();
    let Some(axes) = axes(context, node, shape.len())? else { return Ok(Item::Data(input)) };
    let keep = node.attributes().int("keepdims", 1)? != 0;
    let kept: Vec<usize> = (0..shape.len()).filter(|axis| !axes.contains(axis)).collect();
    let along = |which: &[usize]| which.iter().map(|&axis| shape[axis]).product::<usize>();
    let (rows, columns) = (along(&axes), along(&kept));
    let left = |axis: usize| if axes.contains(&axis) { keep.then_some(1) } else { Some(shape[axis]) };
    let mut output: Vec<usize> = (0..shape.len()).filter_map(left).collect();
    if output.is_empty() {
        output.push(1);
    }
    if rows == 1 {
        return Ok(context.emit(node, Op::Move(Move::Reshape), input, output));
    }
    let windowed = |window: Window| match reduction {
        Reduction::Max | Reduction::Min => Op::MaxPool(window),
        Reduction::Mean => Op::AveragePool { window, divisor: rows },
        Reduction::Sum => Op::AveragePool { window, divisor: 1 },
    };
    if reduction != Reduction::Min
        && let Some(found) = pool::over_positions(context, node, &axes)?
    {
        let op = windowed(found.2.clone());
        return pool::reduced(context, node, found, op, output);
    }
    let sums = matches!(reduction, Reduction::Mean | Reduction::Sum);
    if sums && columns == 1 {
        return all(context, node, input, reduction, rows, output);
    }
    // [reduced, kept], one channel for each that is kept
    let perm: Vec<usize> = axes.iter().chain(&kept).copied().collect();
    context.spend(2 * shape.iter().product::<usize>())?;
    let name = |what: &str| format!("{}_{what}", node.name);
    let permuted = Op::Move(Move::Permute { source: sources(&shape, &perm) });
    let mut value = context.step(&name("rows"), permuted, vec![input], vec![rows, columns]);
    let window = Window { input: [1, rows, columns], kernel: [1, rows], stride: [1, 1], pads: [0; 4], groups: columns };
    let negated = |context: &mut Context<'m>, what: &str, value: ValueId| {
        let shape = context.shape(value).to_vec();
        let len = shape.iter().product();
        let minus = Affine { scale: vec![-1.0; len], shift: vec![0.0; len] };
        context.step(&name(what), Op::Affine(minus), vec![value], shape)
    };
    if reduction == Reduction::Min {
        value = negated(context, "minus", value);
    }
    context.spend_window(&window, columns)?;
    value = context.step(&name("reduced"), windowed(window), vec![value], vec![1, columns]);
    if reduction == Reduction::Min {
        value = negated(context, "plus", value);
    }
    Ok(context.emit(node, Op::Move(Move::Reshape), value, output))
}

/// All elements of a sample in one number.
fn all<'m>(
    context: &mut Context<'m>,
    node: &NodeView<'m>,
    input: ValueId,
    reduction: Reduction,
    rows: usize,
    output: Vec<usize>,
) -> Result<Item, Fault> {
    context.spend(rows)?;
    let one = if reduction == Reduction::Mean { (1.0 / rows as f64) as f32 } else { 1.0 };
    let weight = Constant::new(&format!("{}_weight", node.name), Tensor::f32(vec![rows, 1], vec![one; rows]));
    let mut flat = input;
    if context.shape(input).len() > 1 {
        flat = context.step(&format!("{}_flat", node.name), Op::Move(Move::Reshape), vec![input], vec![rows]);
    }
    dense::emit(context, node, flat, &weight, None, output, None)
}
