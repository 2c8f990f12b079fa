//! Nodes all of whose inputs are constant are computed here, whatever they are: normalised weights,
//! masks, shapes. What a handler of an operator on data does with constants alone stays there.

mod compare;
mod made;
mod product;
mod reduce;
mod unary;

use super::context::{Context, NodeView};
use super::fault::Fault;
use super::item::{Constant, Item};
use crate::onnx::{Tensor, Values};

/// The constants that a node reads, in their order; `None` for one that is left out.
type Operands = Vec<Option<Constant>>;

/// The constant that a node gives, of the type of `like`.
fn computed(node: &NodeView<'_>, shape: Vec<usize>, values: Values, like: &Tensor) -> Item {
    Item::Const(Constant::new(node.output(), Tensor { shape, values, data_type: like.data_type }))
}

/// Results computed in f64 in the type of `like`.
fn rounded(values: Vec<f64>, like: &Tensor) -> Values {
    match &like.values {
        Values::I64(_) => Values::I64(values.iter().map(|&v| v as i64).collect()),
        Values::F64(_) => Values::F64(values),
        Values::F32(_) => Values::F32(values.iter().map(|&v| v as f32).collect()),
        Values::U64(_) => Values::U64(values.iter().map(|&v| v as u64).collect()),
        Values::Bool(_) => Values::Bool(values.iter().map(|&v| v != 0.0).collect()),
    }
}

/// The result of a node whose inputs are all constant (there may be none); `None` where its
/// operator is left to its handler.
pub fn fold<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Option<Result<Item, Fault>> {
    if !matches!(node.proto.domain(), "" | "ai.onnx") {
        return None;
    }
    let op = node.proto.op_type();
    if op == "ConstantOfShape" {
        return Some(made::constant_of_shape(context, node));
    }
    let operands: Option<Operands> = (0..node.proto.input.len())
        .map(|at| match node.input(at).map(|name| context.items.get(name)) {
            None => Some(None),
            Some(Some(Item::Const(constant))) => Some(Some(constant.clone())),
            Some(_) => None,
        })
        .collect();
    let operands = operands.filter(|o| o.iter().any(Option::is_some))?;
    let of = |at: usize| operands.get(at).cloned().flatten();
    let x = of(0)?;
    Some(match op {
        _ if unary::is(op) => unary::apply(context, node, op, &x),
        "Equal" | "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual" | "And" | "Or" | "Xor" => {
            compare::compare(context, node, op, &x, &of(1)?)
        }
        "Where" => compare::select(context, node, &x, &of(1)?, &of(2)?),
        "Clip" if x.tensor.is_float() => compare::clip(context, node, &x, of(1), of(2)),
        "Max" | "Min" | "Sum" | "Mean" => compare::several(context, node, op, &operands),
        "Mod" => compare::modulo(context, node, &x, &of(1)?),
        "MatMul" => product::matmul(context, node, &x, &of(1)?),
        "Einsum" => product::einsum(context, node, &operands),
        "Range" => made::range(context, node, &x, &of(1)?, &of(2)?),
        "Size" => made::size(node, &x),
        "Trilu" => made::trilu(context, node, &x, of(1)),
        "EyeLike" => made::eye_like(context, node, &x),
        _ if op.starts_with("Reduce") => reduce::reduce(context, node, op, &x)?,
        _ => return None,
    })
}
