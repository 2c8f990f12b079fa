//! Comparisons, choices and bounds.

use super::super::broadcast;
use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::{Constant, Item};
use super::super::op::fold;
use super::{Operands, computed, rounded};
use crate::onnx::proto::tensor_proto::DataType;
use crate::onnx::{Tensor, Values};

/// Indices into tensors of these shapes for each element of what they broadcast to.
fn together(context: &mut Context<'_>, shapes: &[&[usize]]) -> Result<(Vec<usize>, Vec<Vec<usize>>), Fault> {
    let fault = || Fault::new(format!("shapes {shapes:?} do not broadcast"));
    let common = shapes.iter().try_fold(vec![], |all: Vec<usize>, s| broadcast::common(&all, s)).ok_or_else(fault)?;
    let len = common.iter().try_fold(1usize, |n, &d| n.checked_mul(d.max(1))).unwrap_or(usize::MAX);
    context.spend(len.saturating_mul(2 + shapes.len()))?;
    let picks = shapes.iter().map(|s| broadcast::indices(s, &common).ok_or_else(fault)).collect::<Result<_, _>>()?;
    Ok((common, picks))
}

pub fn compare<'m>(context: &mut Context<'m>, node: &NodeView<'m>, op: &str, a: &Constant, b: &Constant) -> Result<Item, Fault> {
    let (shape, picks) = together(context, &[a.shape(), b.shape()])?;
    let (x, y) = (a.resolved(), b.resolved());
    let pairs = || picks[0].iter().copied().zip(picks[1].iter().copied());
    let order = |i: usize, j: usize| match (&x.values, &y.values) {
        (Values::I64(x), Values::I64(y)) => Some(x[i].cmp(&y[j])),
        (Values::Bool(x), Values::Bool(y)) => Some(x[i].cmp(&y[j])),
        (Values::U64(x), Values::U64(y)) => Some(x[i].cmp(&y[j])),
        (Values::F32(x), Values::F32(y)) => x[i].partial_cmp(&y[j]),
        (Values::F64(x), Values::F64(y)) => x[i].partial_cmp(&y[j]),
        _ => None,
    };
    let truth = |i: usize, j: usize| -> Option<[bool; 2]> {
        match (&x.values, &y.values) {
            (Values::Bool(x), Values::Bool(y)) => Some([x[i], y[j]]),
            _ => None,
        }
    };
    let logical =
        |f: fn(bool, bool) -> bool| -> Option<Vec<bool>> { pairs().map(|(i, j)| truth(i, j).map(|[a, b]| f(a, b))).collect() };
    let values = match op {
        "And" => logical(|a, b| a && b),
        "Or" => logical(|a, b| a || b),
        "Xor" => logical(|a, b| a != b),
        _ => Some(
            pairs()
                .map(|(i, j)| {
                    order(i, j).is_some_and(|o| match op {
                        "Equal" => o.is_eq(),
                        "Less" => o.is_lt(),
                        "LessOrEqual" => o.is_le(),
                        "Greater" => o.is_gt(),
                        _ => o.is_ge(),
                    })
                })
                .collect(),
        ),
    };
    let values = values.ok_or_else(|| Fault::new("its operands are not of type BOOL"))?;
    Ok(Item::Const(Constant::new(node.output(), Tensor { shape, values: Values::Bool(values), data_type: DataType::Bool })))
}

/// `Where`.
pub fn select<'m>(
    context: &mut Context<'m>,
    node: &NodeView<'m>,
    condition: &Constant,
    a: &Constant,
    b: &Constant,
) -> Result<Item, Fault> {
    let Values::Bool(condition_values) = &condition.tensor.values else {
        return Err(Fault::new("its condition is not of type BOOL"));
    };
    let (shape, picks) = together(context, &[condition.shape(), a.shape(), b.shape()])?;
    let (x, y) = (a.resolved(), b.resolved());
    let from_a: Vec<bool> = picks[0].iter().map(|&at| condition_values[at]).collect();
    macro_rules! pick {
        ($x:expr, $y:expr) => {
            from_a.iter().enumerate().map(|(e, &first)| if first { $x[picks[1][e]] } else { $y[picks[2][e]] }).collect()
        };
    }
    let values = match (&x.values, &y.values) {
        (Values::F32(x), Values::F32(y)) => Values::F32(pick!(x, y)),
        (Values::F64(x), Values::F64(y)) => Values::F64(pick!(x, y)),
        (Values::I64(x), Values::I64(y)) => Values::I64(pick!(x, y)),
        (Values::U64(x), Values::U64(y)) => Values::U64(pick!(x, y)),
        (Values::Bool(x), Values::Bool(y)) => Values::Bool(pick!(x, y)),
        _ => return Err(Fault::new("its operands are of different types")),
    };
    Ok(computed(node, shape, values, &x))
}

pub fn clip<'m>(
    context: &mut Context<'m>,
    node: &NodeView<'m>,
    x: &Constant,
    lo: Option<Constant>,
    hi: Option<Constant>,
) -> Result<Item, Fault> {
    let attributes = node.attributes();
    let bound = |given: Option<Constant>, name: &str, none: f32| -> Result<f64, Fault> {
        match given.map(|c| c.tensor.to_f64()).as_deref() {
            Some(&[v]) => Ok(v),
            Some(_) => Err(Fault::new(format!("its bound `{name}` is not a single number"))),
            None => Ok(attributes.float(name, none)?.into()),
        }
    };
    let (lo, hi) = (bound(lo, "min", f32::NEG_INFINITY)?, bound(hi, "max", f32::INFINITY)?);
    let bounded = |v: f64| v.max(lo).min(hi);
    context.spend(x.tensor.len())?;
    let tensor = x.resolved();
    let values = rounded(tensor.to_f64().into_iter().map(bounded).collect(), &tensor);
    Ok(computed(node, tensor.shape.clone(), values, &tensor))
}

/// Any number of operands, from left to right.
pub fn several<'m>(context: &mut Context<'m>, node: &NodeView<'m>, op: &str, operands: &Operands) -> Result<Item, Fault> {
    let mut rest = operands.iter().flatten();
    let mut all = rest.next().cloned().ok_or_else(|| Fault::new("it has no operands"))?;
    for next in rest {
        let item = match op {
            "Max" => fold::binary(context, node, &all, next, f64::max, |x, y| Some(x.max(y))),
            "Min" => fold::binary(context, node, &all, next, f64::min, |x, y| Some(x.min(y))),
            _ => fold::binary(context, node, &all, next, |x, y| x + y, i64::checked_add),
        };
        let Item::Const(next) = item? else { return Err(Fault::new("it is not constant")) };
        all = next;
    }
    if op == "Mean" {
        let count = operands.iter().flatten().count() as f32;
        let count = Constant::new("count", Tensor::f32(vec![], vec![count]));
        return fold::binary(context, node, &all, &count, |x, y| x / y, i64::checked_div);
    }
    Ok(Item::Const(all))
}

pub fn modulo<'m>(context: &mut Context<'m>, node: &NodeView<'m>, a: &Constant, b: &Constant) -> Result<Item, Fault> {
    let truncates = node.attributes().int("fmod", 0)? != 0;
    let float = |x: f64, y: f64| if truncates { x % y } else { x - (x / y).floor() * y };
    fold::binary(context, node, a, b, float, |x, y| {
        let rest = x.checked_rem(y)?;
        if rest != 0 && !truncates && (rest < 0) != (y < 0) { rest.checked_add(y) } else { Some(rest) }
    })
}
