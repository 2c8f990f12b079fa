//! `Constant`: a tensor in an attribute.

use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::{Constant, Item};
use crate::onnx::Tensor;

pub fn constant<'m>(_: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let attributes = node.attributes();
    let tensor = if let Some(tensor) = attributes.tensor("value")? {
        tensor
    } else if attributes.has("value_float") {
        Tensor::f32(vec![], vec![attributes.float("value_float", 0.0)?])
    } else if attributes.has("value_int") {
        Tensor::i64(vec![], vec![attributes.int("value_int", 0)?])
    } else if let Some(values) = attributes.floats("value_floats")? {
        Tensor::f32(vec![values.len()], values.to_vec())
    } else if let Some(values) = attributes.ints("value_ints")? {
        Tensor::i64(vec![values.len()], values.to_vec())
    } else {
        return Err(Fault::new("only dense numeric constants are supported"));
    };
    Ok(Item::Const(Constant::new(node.output(), tensor)))
}
