//! What `Gemm` and `MatMul` share: `y = x·W + b`.

use super::super::context::{Context, MAX_SAMPLE, NodeView};
use super::super::fault::Fault;
use super::super::item::{Constant, Item};
use crate::diagnostic::Code;
use crate::graph::dag::ValueId;
use crate::graph::op::{Dense, Op};
use crate::graph::window::Window;
use crate::onnx::Values;

/// # Errors
/// A sample beyond [`MAX_SAMPLE`].
pub(super) fn check_size(len: usize) -> Result<(), Fault> {
    if len > MAX_SAMPLE {
        return Err(Fault::new(format!("its result has {len} elements per sample; the limit is {MAX_SAMPLE}")));
    }
    Ok(())
}

/// Emits a dense layer with the weight `[inputs][outputs]` and a bias of `outputs` values. `shape`
/// is that of a sample of the output; with a window the layer is applied at every position.
pub fn emit<'m>(
    context: &mut Context<'m>,
    node: &NodeView<'m>,
    input: ValueId,
    weight: &Constant,
    bias: Option<&Constant>,
    shape: Vec<usize>,
    window: Option<Window>,
) -> Result<Item, Fault> {
    let &[inputs, outputs] = weight.shape() else {
        return Err(Fault::new(format!("weight `{}` has shape {:?}, not two dimensions", weight.name, weight.shape())));
    };
    let len = window.as_ref().map_or(context.graph.len_of(input), |w| w.patch());
    check_size(shape.iter().product())?;
    if len != inputs {
        let name = &weight.name;
        return Err(Fault::new(format!("weight `{name}` takes {inputs} inputs, but the tensor has {len} elements per sample")));
    }
    if inputs == 0 || outputs == 0 {
        return Err(Fault::new(format!("weight `{}` is empty", weight.name)));
    }
    weight.check_finite()?;
    if let Some(window) = &window {
        context.spend_window(window, outputs)?;
    }
    context.spend(if weight.quant.is_some() { 4 } else { 1 } * weight.tensor.len())?;
    let values = in_f32(context, node, weight)?;
    let (bias_values, bias_quant) = match bias {
        None => (vec![0.0; outputs], None),
        Some(bias) => {
            bias.check_finite()?;
            (in_f32(context, node, bias)?, bias.quant.as_deref().cloned())
        }
    };
    let weight_quant = weight.quant.as_deref().cloned();
    let dense = Dense { inputs, outputs, weight: values, bias: bias_values, weight_quant, bias_quant, window };
    let item = context.emit(node, Op::Dense(dense), input, shape);
    if let (None, &Item::Data(value)) = (bias, &item) {
        context.bare.insert(value);
    }
    Ok(item)
}

pub(super) fn in_f32<'m>(context: &mut Context<'m>, node: &NodeView<'m>, constant: &Constant) -> Result<Vec<f32>, Fault> {
    let values = constant.tensor.to_f32();
    if values.iter().any(|v| !v.is_finite()) {
        return Err(Fault::new(format!("tensor `{}` has values beyond the range of float32", constant.name)));
    }
    if let Values::F64(exact) = &constant.tensor.values
        && exact.iter().zip(&values).any(|(&x, &y)| x != f64::from(y))
    {
        context.note(Code::DoubleRounded, node, format!("tensor `{}` was rounded from double to float32", constant.name));
    }
    Ok(values)
}
