//! Arithmetic on constants, and powers. Floats are computed in f64 and rounded once to the type
//! of the operands, which for `+ − × ÷ √` of f32 gives the f32 result exactly.

use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::{Constant, Item};
use super::super::{broadcast, unsupported};
use crate::graph::op::Op;
use crate::onnx::{Tensor, Values};
use crate::ops::Merge;

/// Element-wise operation with broadcasting; integers overflow or divide by zero to an error.
pub fn binary<'m>(
    context: &mut Context<'m>,
    node: &NodeView<'m>,
    a: &Constant,
    b: &Constant,
    float: impl Fn(f64, f64) -> f64,
    integer: impl Fn(i64, i64) -> Option<i64>,
) -> Result<Item, Fault> {
    let mismatch = || Fault::new(format!("shapes {:?} and {:?} do not broadcast", a.shape(), b.shape()));
    let shape = broadcast::common(a.shape(), b.shape()).ok_or_else(mismatch)?;
    let len = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d.max(1))).unwrap_or(usize::MAX);
    context.spend(len.saturating_mul(4))?;
    let pick_a = broadcast::indices(a.shape(), &shape).ok_or_else(mismatch)?;
    let pick_b = broadcast::indices(b.shape(), &shape).ok_or_else(mismatch)?;
    let pairs = pick_a.into_iter().zip(pick_b);
    let (a, b) = (a.resolved(), b.resolved());
    let values = match (&a.values, &b.values) {
        (Values::I64(x), Values::I64(y)) => {
            let sum: Option<Vec<i64>> = pairs.map(|(i, j)| integer(x[i], y[j])).collect();
            Values::I64(sum.ok_or_else(|| Fault::new("integer overflow or division by zero in constants"))?)
        }
        _ => {
            let (x, y) = (a.to_f64(), b.to_f64());
            let result = pairs.map(|(i, j)| float(x[i], y[j]));
            match a.values {
                Values::F64(_) => Values::F64(result.collect()),
                _ => Values::F32(result.map(|v| v as f32).collect()),
            }
        }
    };
    Ok(Item::Const(Constant::new(node.output(), Tensor { shape, values, data_type: a.data_type })))
}

/// Of data: `x²` and `x³` as products.
pub fn pow<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let exponent = match (context.item(node, 0)?, context.item(node, 1)?) {
        (Item::Const(a), Item::Const(b)) => {
            return binary(context, node, &a, &b, f64::powf, |x, y| u32::try_from(y).ok().and_then(|y| x.checked_pow(y)));
        }
        (Item::Data(_), Item::Const(exponent)) => exponent.resolved().to_f64(),
        _ => return Err(Fault::new(unsupported::POWER)),
    };
    let x = context.data(node, 0)?;
    let shape = context.shape(x).to_vec();
    let [first, rest @ ..] = &exponent[..] else { return Err(Fault::new("its exponent is empty")) };
    if rest.iter().any(|e| e != first) {
        return Err(Fault::new(unsupported::POWER));
    }
    match *first {
        1.0 => Ok(Item::Data(x)),
        2.0 => Ok(context.emit_many(node, Op::Merge(Merge::Mul), vec![x, x], shape)),
        3.0 => {
            let square = context.step(&format!("{}_square", node.name), Op::Merge(Merge::Mul), vec![x, x], shape.clone());
            Ok(context.emit_many(node, Op::Merge(Merge::Mul), vec![square, x], shape))
        }
        _ => Err(Fault::new(unsupported::POWER)),
    }
}
