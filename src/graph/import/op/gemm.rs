//! `Gemm`: `y = α·x·B + β·C`.

use super::super::broadcast;
use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::{Constant, Item};
use super::dense;
use super::transpose::permuted;
use crate::diagnostic::Code;
use crate::onnx::{Tensor, Values};
use std::sync::Arc;

pub fn gemm<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let attributes = node.attributes();
    if attributes.int("transA", 0)? != 0 {
        return Err(Fault::new("transA = 1 mixes the samples of a batch; export with transA = 0"));
    }
    let (alpha, beta) = (attributes.float("alpha", 1.0)?, attributes.float("beta", 1.0)?);
    let input = context.data(node, 0)?;
    // a global pool leaves axes of size 1
    if context.shape(input).iter().filter(|d| **d != 1).count() > 1 {
        return Err(Fault::new(format!("its input has sample shape {:?}; put a Flatten before it", context.shape(input))));
    }
    let mut weight = context.constant(node, 1, "weight (input 1)")?;
    let bias = context.optional(node, 2, "bias (input 2)")?;
    if weight.shape().len() != 2 || weight.tensor.is_empty() {
        return Err(Fault::new(format!("weight `{}` has shape {:?}, not two dimensions", weight.name, weight.shape())));
    }
    if attributes.int("transB", 0)? != 0 {
        context.spend(2 * weight.tensor.len())?;
        weight = permuted(&weight, &[1, 0]);
    }
    let outputs = weight.shape()[1];
    dense::check_size(outputs)?;
    let bias = match bias {
        None => None,
        Some(bias) => {
            let source = broadcast::onto_sample(bias.shape(), &[outputs])?;
            Some(bias.gather(vec![outputs], &source))
        }
    };
    let weight = scaled(context, node, weight, alpha, "alpha")?;
    let bias = bias.map(|bias| scaled(context, node, bias, beta, "beta")).transpose()?;
    dense::emit(context, node, input, &weight, bias.as_ref(), vec![outputs], None)
}

/// `factor·constant`. An annotated constant is quantized first, and then is no longer annotated.
fn scaled<'m>(
    context: &mut Context<'m>,
    node: &NodeView<'m>,
    constant: Constant,
    factor: f32,
    attribute: &str,
) -> Result<Constant, Fault> {
    if factor == 1.0 {
        return Ok(constant);
    }
    if !factor.is_finite() {
        return Err(Fault::new(format!("attribute `{attribute}` is not finite")));
    }
    if constant.quant.is_some() {
        let message = format!("{attribute} = {factor} scales the annotated tensor `{}`; its annotation is lost", constant.name);
        context.note(Code::AnnotationLost, node, message);
    }
    let tensor = constant.resolved();
    let values = Values::F64(tensor.to_f64().into_iter().map(|v| v * f64::from(factor)).collect());
    let tensor = Tensor { shape: tensor.shape.clone(), values, data_type: tensor.data_type };
    Ok(Constant { tensor: Arc::new(tensor), quant: None, ..constant })
}
