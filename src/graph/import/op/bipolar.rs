//! QONNX `BipolarQuant`: `+scale` where `x ≥ 0`, else `−scale`. Of a constant it is an annotation;
//! of a tensor `scale·(2·sign(x) + 1)` with the sign −1 or 0 (see [`Op::Sign`]).

use super::super::broadcast;
use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::{Constant, Item};
use crate::graph::annotation::{QuantSpec, RoundingMode};
use crate::graph::op::{Affine, Op};
use std::sync::Arc;

pub fn bipolar<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let scale = context.constant(node, 1, "scale (input 1)")?;
    quantized(context, node, &scale)
}

/// Also a `Quant` of one signed bit.
pub fn quantized<'m>(context: &mut Context<'m>, node: &NodeView<'m>, scale: &Constant) -> Result<Item, Fault> {
    let values = scale.resolved().to_f64();
    if let Some(bad) = values.iter().find(|s| !s.is_finite() || **s <= 0.0) {
        return Err(Fault::new(format!("scale {bad} in `{}`; every scale must be positive and finite", scale.name)));
    }
    match context.item(node, 0)? {
        Item::Const(constant) => {
            constant.check_finite()?;
            let shape = constant.shape().to_vec();
            context.spend(5 * constant.tensor.len())?;
            let fault =
                || Fault::new(format!("a scale of shape {:?} does not broadcast to the tensor's {shape:?}", scale.shape()));
            let source = broadcast::indices(scale.shape(), &shape).ok_or_else(fault)?;
            let spec = QuantSpec {
                node: node.name.clone(),
                scale: source.iter().map(|&at| values[at]).collect(),
                zero_point: vec![0.0; source.len()],
                bits: vec![1.0; source.len()],
                bits_per_element: false,
                signed: true,
                narrow: false,
                rounding: RoundingMode::HalfEven,
                bipolar: true,
            };
            let tensor = if constant.quant.is_some() { constant.resolved() } else { constant.tensor.clone() };
            Ok(Item::Const(Constant { name: constant.name, tensor, quant: Some(Arc::new(spec)) }))
        }
        Item::Data(value) => {
            let shape = context.shape(value).to_vec();
            context.spend(3 * context.graph.len_of(value))?;
            let source = broadcast::onto_sample(scale.shape(), &shape)?;
            let shift: Vec<f64> = source.iter().map(|&at| values[at]).collect();
            let scale = shift.iter().map(|s| 2.0 * s).collect();
            let sign = context.step(&format!("{}_sign", node.name), Op::Sign, vec![value], shape.clone());
            Ok(context.emit(node, Op::Affine(Affine { scale, shift }), sign, shape))
        }
        _ => Err(Fault::new("its input is computed from shapes")),
    }
}
