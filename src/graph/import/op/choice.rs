//! Comparisons of data with a number, and `Where`: a choice by constants is a sum of two masks, one
//! by the sign of what it chooses a leaky Relu. Elsewhere a comparison is a class label.

use super::super::broadcast;
use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::{Item, Test};
use super::merge::constant_data;
use crate::graph::dag::ValueId;
use crate::graph::op::{Affine, Op};
use crate::onnx::Values;
use crate::ops::{Elementwise, Merge};

/// A number that data are compared with.
pub fn test<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let greater = node.proto.op_type().starts_with("Greater");
    let (value, constant, above) = match (context.item(node, 0)?, context.item(node, 1)?) {
        (Item::Data(value), Item::Const(constant)) => (value, constant, greater),
        (Item::Const(constant), Item::Data(value)) => (value, constant, !greater),
        _ => return Err(Fault::new("it compares two tensors; only a tensor and a number are supported")),
    };
    let &[threshold] = &constant.resolved().to_f64()[..] else {
        return Err(Fault::new("it compares with several numbers; only one is supported"));
    };
    Ok(Item::Test(Test { value, threshold, above }))
}

/// `Where`.
pub fn choice<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    match context.item(node, 0)? {
        Item::Const(_) => by_constants(context, node),
        Item::Test(test) => by_sign(context, node, test),
        _ => Err(Fault::new("its condition depends on the data; only the sign of what is chosen is supported")),
    }
}

/// `a·m + b·(1 − m)` with a mask of zeros and ones.
fn by_constants<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let condition = context.constant(node, 0, "condition")?;
    let Values::Bool(mask) = &condition.tensor.values else { return Err(Fault::new("its condition is not of type BOOL")) };
    let items = [context.item(node, 1)?, context.item(node, 2)?];
    let like = items.iter().find_map(|item| if let Item::Data(value) = item { Some(*value) } else { None });
    let like = like.ok_or_else(|| Fault::new("it chooses between constants of other kinds"))?;
    let shape = context.shape(like).to_vec();
    let source = broadcast::onto_sample(condition.shape(), &shape)?;
    context.spend(8 * source.len())?;
    let mut parts = Vec::new();
    for (first, item) in [true, false].into_iter().zip(&items) {
        let value = match item {
            Item::Data(value) => *value,
            Item::Const(constant) => constant_data(context, &named(node, first), like, constant)?,
            _ => return Err(Fault::new("it chooses something that is no tensor")),
        };
        if context.shape(value) != shape {
            return Err(Fault::new("what it chooses from has different shapes; expand it first"));
        }
        let scale = source.iter().map(|&e| f64::from(u8::from(mask[e] == first))).collect();
        let masked = Op::Affine(Affine { scale, shift: vec![0.0; source.len()] });
        parts.push(context.step(&format!("{}_{first}", node.name), masked, vec![value], shape.clone()));
    }
    Ok(context.emit_many(node, Op::Merge(Merge::Add), parts, shape))
}

fn named<'m>(node: &NodeView<'m>, first: bool) -> NodeView<'m> {
    NodeView { proto: node.proto, name: format!("{}_{first}", node.name) }
}

/// `x` on one side of 0 and a multiple of it on the other.
fn by_sign<'m>(context: &mut Context<'m>, node: &NodeView<'m>, test: Test) -> Result<Item, Fault> {
    let fault = || {
        Fault::new("it chooses by the data between other things than x and a multiple of x with a threshold of 0; use LeakyRelu")
    };
    if test.threshold != 0.0 {
        return Err(fault());
    }
    let slope = |context: &Context<'m>, index: usize| -> Result<f64, Fault> {
        match context.item(node, index)? {
            Item::Data(value) if value == test.value => Ok(1.0),
            Item::Data(value) => multiple(context, value, test.value).ok_or_else(fault),
            Item::Const(constant) if constant.resolved().to_f64().iter().all(|&v| v == 0.0) => Ok(0.0),
            _ => Err(fault()),
        }
    };
    let (mut positive, mut negative) = (slope(context, 1)?, slope(context, 2)?);
    if !test.above {
        std::mem::swap(&mut positive, &mut negative);
    }
    if positive != 1.0 {
        return Err(fault());
    }
    let shape = context.shape(test.value).to_vec();
    let function = if negative == 0.0 { Elementwise::Relu } else { Elementwise::LeakyRelu { slope: negative as f32 } };
    super::activation::elementwise_of(context, node, function, test.value, shape)
}

/// The factor with which `value` is a multiple of `x`.
fn multiple(context: &Context<'_>, value: ValueId, x: ValueId) -> Option<f64> {
    let node = &context.graph.nodes[context.graph.producer(value)?];
    let Op::Affine(affine) = &node.op else { return None };
    let first = *affine.scale.first()?;
    let alike = affine.scale.iter().all(|s| *s == first) && affine.shift.iter().all(|s| *s == 0.0);
    (alike && node.inputs == [x]).then_some(first)
}
