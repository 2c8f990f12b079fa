//! `Clip`, and `HardSigmoid` as a scaled one.

use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::Item;
use super::qdq;
use crate::graph::dag::ValueId;
use crate::graph::op::{Affine, Op};
use crate::ops::Elementwise;

pub fn clip<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    if let Some(integers) = qdq::clip(context, node) {
        return integers;
    }
    let input = context.data(node, 0)?;
    let attributes = node.attributes();
    let bound = |index: usize, what: &str, attribute: &str, none: f64| -> Result<f64, Fault> {
        match context.optional(node, index, what)? {
            Some(constant) => match constant.tensor.to_f64()[..] {
                [v] if !v.is_nan() => Ok(v),
                _ => Err(Fault::new(format!("its {what} is not a single number"))),
            },
            // an attribute until opset 10; float32's ends mean no bound
            None => Ok(attributes.float(attribute, none as f32)?.into()),
        }
    };
    let lo = bound(1, "lower bound (input 1)", "min", f64::NEG_INFINITY)?;
    let hi = bound(2, "upper bound (input 2)", "max", f64::INFINITY)?;
    let open = |v: f64| if v.abs() >= f64::from(f32::MAX) { v.signum() * f64::INFINITY } else { v };
    between(context, node, input, open(lo), open(hi))
}

/// `αx + β` between 0 and 1.
pub fn hard_sigmoid<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    const ALPHA: f32 = 0.2;
    const BETA: f32 = 0.5;
    let attributes = node.attributes();
    let (alpha, beta) = (attributes.float("alpha", ALPHA)?, attributes.float("beta", BETA)?);
    if !alpha.is_finite() || !beta.is_finite() {
        return Err(Fault::new("its attributes are not finite"));
    }
    let input = context.data(node, 0)?;
    let shape = context.shape(input).to_vec();
    let len = shape.iter().product();
    context.spend(2 * len)?;
    let affine = Affine { scale: vec![alpha.into(); len], shift: vec![beta.into(); len] };
    let scaled = context.step(&format!("{}_scaled", node.name), Op::Affine(affine), vec![input], shape);
    between(context, node, scaled, 0.0, 1.0)
}

/// `input` between two numbers, of which either may be infinite.
pub fn between<'m>(context: &mut Context<'m>, node: &NodeView<'m>, input: ValueId, lo: f64, hi: f64) -> Result<Item, Fault> {
    if lo > hi || lo == f64::INFINITY || hi == f64::NEG_INFINITY {
        return Err(Fault::new(format!("its bounds {lo} and {hi} leave nothing")));
    }
    let shape = context.shape(input).to_vec();
    // it becomes two scales and shifts and another after
    context.spend(6 * shape.iter().product::<usize>())?;
    Ok(match (lo, hi) {
        (f64::NEG_INFINITY, f64::INFINITY) => Item::Data(input),
        (0.0, f64::INFINITY) => context.emit(node, Op::Elementwise(Elementwise::Relu), input, shape),
        _ => context.emit(node, Op::Clip { lo, hi }, input, shape),
    })
}
