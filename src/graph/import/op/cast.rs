//! `Cast`: between float types it is an identity (the circuit is fixed-point anyway); constants are
//! converted.

use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::{Constant, Item};
use crate::diagnostic::Code;
use crate::onnx::proto::tensor_proto::DataType;
use crate::onnx::{Tensor, Values};

pub fn cast<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let code = node.attributes().int("to", 0)?;
    let to = i32::try_from(code).ok().and_then(|code| DataType::try_from(code).ok()).unwrap_or(DataType::Undefined);
    match context.item(node, 0)? {
        Item::Data(value) => match to {
            DataType::Float | DataType::Double => Ok(Item::Data(value)),
            DataType::Float16 | DataType::Bfloat16 => {
                context.note(Code::CastIgnored, node, format!("the cast to {} is ignored", to.as_str_name()));
                Ok(Item::Data(value))
            }
            _ => Err(Fault::new(format!("a cast to {} is not supported; remove it from the model", to.as_str_name()))),
        },
        Item::Const(constant) => {
            context.spend(constant.tensor.len())?;
            let tensor = constant.resolved();
            let values = match to {
                DataType::Float => Values::F32(tensor.to_f32()),
                DataType::Double => Values::F64(tensor.to_f64()),
                DataType::Int64 | DataType::Int32 => {
                    let fault = || Fault::new(format!("tensor `{}` has values that are not integers", constant.name));
                    Values::I64(tensor.to_i64().ok_or_else(fault)?)
                }
                _ => return Err(Fault::new(format!("a cast of a constant to {} is not supported", to.as_str_name()))),
            };
            Ok(Item::Const(Constant::new(node.output(), Tensor { shape: tensor.shape.clone(), values, data_type: to })))
        }
        dims @ Item::Dims { .. } => Ok(dims),
        other => Ok(other),
    }
}
