//! `Softmax` over the last axis. Before opset 13 the default axis is 1 and all axes from there on
//! are one.

use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::Item;
use crate::graph::op::Op;
use crate::onnx::proto::attribute_proto::AttributeType;
use crate::onnx::proto::{AttributeProto, NodeProto};

/// The axis of a node that names none.
fn default_axis(opset: i64) -> i64 {
    const AXIS_IS_ONE_AXIS: i64 = 13;
    if opset < AXIS_IS_ONE_AXIS { 1 } else { -1 }
}

/// Writes the axis into a node of another operator set than that of the model.
pub fn write_default_axis(node: &mut NodeProto, opset: i64) {
    if node.attribute.iter().all(|a| a.name() != "axis") {
        let kind = Some(AttributeType::Int as i32);
        let axis = AttributeProto { name: Some("axis".into()), i: Some(default_axis(opset)), r#type: kind, ..Default::default() };
        node.attribute.push(axis);
    }
}

pub fn softmax<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let input = context.data(node, 0)?;
    let shape = context.shape(input).to_vec();
    let axis = node.attributes().int("axis", default_axis(context.opset))?;
    if shape.is_empty() {
        return Err(Fault::new("its input is a single number per sample"));
    }
    if context.sample_axis(axis, shape.len())? + 1 != shape.len() {
        return Err(Fault::new(format!("it is over axis {axis}; only the last axis is supported")));
    }
    Ok(context.emit(node, Op::Softmax { log: node.proto.op_type() == "LogSoftmax" }, input, shape))
}
