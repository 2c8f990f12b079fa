//! `Add`, `Sub`, `Mul`, `Div` of a tensor and a constant: `y = x·scale + shift`; of two tensors a
//! [`Merge`]. The constant of an `Add` right after a dense layer without bias becomes the bias,
//! with its annotation.

use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::{Constant, Item};
use super::super::{broadcast, unsupported};
use super::{dense, fold, merge};
use crate::graph::dag::ValueId;
use crate::graph::op::{Affine, Op};
use crate::ops::Merge;

/// The two operands of a node: both constant, data and a constant, or both data.
enum Operands {
    Constants(Constant, Constant),
    /// `swapped` when the constant comes first.
    Mixed {
        data: ValueId,
        constant: Constant,
        swapped: bool,
    },
    Tensors(ValueId, ValueId),
}

fn operands<'m>(context: &Context<'m>, node: &NodeView<'m>) -> Result<Operands, Fault> {
    Ok(match (context.item(node, 0)?, context.item(node, 1)?) {
        (Item::Const(a), Item::Const(b)) => Operands::Constants(a, b),
        (Item::Data(data), Item::Const(constant)) => Operands::Mixed { data, constant, swapped: false },
        (Item::Const(constant), Item::Data(data)) => Operands::Mixed { data, constant, swapped: true },
        (Item::Data(a), Item::Data(b)) => Operands::Tensors(a, b),
        _ => return Err(Fault::new("arithmetic on shapes is not supported; export with a fixed sample shape")),
    })
}

/// Emits `x·scale + shift`, where both come from the value of the constant at each element.
fn affine<'m>(
    context: &mut Context<'m>,
    node: &NodeView<'m>,
    (data, constant): (ValueId, &Constant),
    of: impl Fn(f64) -> (f64, f64),
) -> Result<Item, Fault> {
    let shape = context.shape(data).to_vec();
    context.spend(3 * shape.iter().product::<usize>())?;
    let values = constant.finite()?;
    let (scale, shift): (Vec<f64>, Vec<f64>) =
        broadcast::onto_sample(constant.shape(), &shape)?.into_iter().map(|index| of(values[index])).unzip();
    if scale.iter().chain(&shift).any(|v| !v.is_finite()) {
        return Err(Fault::new(format!("it divides by a zero in tensor `{}`", constant.name)));
    }
    Ok(context.emit(node, Op::Affine(Affine { scale, shift }), data, shape))
}

pub fn add<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    match operands(context, node)? {
        Operands::Tensors(a, b) => merge::two(context, node, Merge::Add, a, b),
        Operands::Constants(a, b) => fold::binary(context, node, &a, &b, |x, y| x + y, i64::checked_add),
        Operands::Mixed { data, constant, .. } => {
            // reads are counted for the tensor itself, not for an alias of it
            let uses = context.uses.get(context.graph.values[data].name.as_str());
            if context.bare.contains(&data) && uses == Some(&1) {
                bias(context, node, data, &constant)
            } else {
                affine(context, node, (data, &constant), |c| (1.0, c))
            }
        }
    }
}

/// Makes `constant` the bias of the dense layer that computes `data`; the value takes the name of
/// the sum.
fn bias<'m>(context: &mut Context<'m>, node: &NodeView<'m>, data: ValueId, constant: &Constant) -> Result<Item, Fault> {
    constant.check_finite()?;
    let outputs = context.shape(data).last().copied().unwrap_or(1);
    // a bias per position is none
    let Ok(source) = broadcast::onto_sample(constant.shape(), &[outputs]) else {
        return affine(context, node, (data, constant), |c| (1.0, c));
    };
    context.spend(4 * source.len())?;
    let bias = constant.gather(vec![source.len()], &source);
    let values = dense::in_f32(context, node, &bias)?;
    let layer = context.graph.nodes.iter_mut().rfind(|n| n.output == data);
    if let Some(Op::Dense(dense)) = layer.map(|n| &mut n.op) {
        dense.bias = values;
        dense.bias_quant = bias.quant.as_deref().cloned();
    }
    context.bare.remove(&data);
    context.graph.values[data].name = node.output().to_string();
    Ok(Item::Data(data))
}

/// `−x`.
pub fn neg<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let x = context.data(node, 0)?;
    let shape = context.shape(x).to_vec();
    let op = negative(context, &shape)?;
    Ok(context.emit(node, op, x, shape))
}

/// The larger one of `x` and `−x`.
pub fn abs<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let x = context.data(node, 0)?;
    let shape = context.shape(x).to_vec();
    let op = negative(context, &shape)?;
    let minus = context.step(&format!("{}_minus", node.name), op, vec![x], shape.clone());
    Ok(context.emit_many(node, Op::Merge(Merge::Max), vec![x, minus], shape))
}

/// The change of sign of all elements.
pub(super) fn negative(context: &mut Context<'_>, shape: &[usize]) -> Result<Op, Fault> {
    let len = shape.iter().product();
    context.spend(2 * len)?;
    Ok(Op::Affine(Affine { scale: vec![-1.0; len], shift: vec![0.0; len] }))
}

pub fn sub<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    match operands(context, node)? {
        Operands::Tensors(a, b) => merge::two(context, node, Merge::Sub, a, b),
        Operands::Constants(a, b) => fold::binary(context, node, &a, &b, |x, y| x - y, i64::checked_sub),
        Operands::Mixed { data, constant, swapped: false } => affine(context, node, (data, &constant), |c| (1.0, -c)),
        Operands::Mixed { data, constant, swapped: true } => affine(context, node, (data, &constant), |c| (-1.0, c)),
    }
}

pub fn mul<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    match operands(context, node)? {
        Operands::Tensors(a, b) => merge::two(context, node, Merge::Mul, a, b),
        Operands::Constants(a, b) => fold::binary(context, node, &a, &b, |x, y| x * y, i64::checked_mul),
        Operands::Mixed { data, constant, .. } => affine(context, node, (data, &constant), |c| (c, 0.0)),
    }
}

pub fn div<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    match operands(context, node)? {
        Operands::Tensors(..) => Err(Fault::new(unsupported::DIVISION)),
        Operands::Constants(a, b) => fold::binary(context, node, &a, &b, |x, y| x / y, i64::checked_div),
        Operands::Mixed { data, constant, swapped: false } => affine(context, node, (data, &constant), |c| (1.0 / c, 0.0)),
        Operands::Mixed { swapped: true, .. } => Err(Fault::new(unsupported::DIVISION)),
    }
}

pub fn sum<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    if node.proto.input.len() == 2 {
        return add(context, node);
    }
    merge::several(context, node, Merge::Add)
}
