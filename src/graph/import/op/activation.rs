//! Element-wise functions: `Relu`, `LeakyRelu`, `PRelu`, `ThresholdedRelu`, `Elu`, `Selu`, and
//! those that hls4ml has as tables.

use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::Item;
use crate::graph::op::Op;
use crate::ops::table::SELU;
use crate::ops::{Elementwise, Table};

/// The operator's default in ONNX.
const LEAKY_ALPHA: f32 = 0.01;
const OTHER_ALPHA: f32 = 1.0;
/// Exporters write Selu's constants with the digits of an f32.
const SELU_TOLERANCE: f64 = 1e-6;

fn elementwise<'m>(context: &mut Context<'m>, node: &NodeView<'m>, f: Elementwise) -> Result<Item, Fault> {
    let input = context.data(node, 0)?;
    let shape = context.shape(input).to_vec();
    Ok(context.emit(node, Op::Elementwise(f), input, shape))
}

fn alpha(node: &NodeView<'_>, default: f32) -> Result<f32, Fault> {
    let alpha = node.attributes().float("alpha", default)?;
    if alpha.is_finite() { Ok(alpha) } else { Err(Fault::new("attribute `alpha` is not finite")) }
}

pub fn relu<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    elementwise(context, node, Elementwise::Relu)
}

pub fn leaky_relu<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let slope = alpha(node, LEAKY_ALPHA)?;
    elementwise(context, node, Elementwise::LeakyRelu { slope })
}

/// A slope per channel is supported where all are the same.
pub fn prelu<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let slope = context.constant(node, 1, "slope (input 1)")?;
    let values = slope.finite()?;
    let slope = match values.split_first() {
        Some((&first, rest)) if rest.iter().all(|&v| v == first) && (first as f32).is_finite() => first as f32,
        _ => return Err(Fault::new(format!("slope `{}` differs between channels; use one slope (LeakyRelu)", slope.name))),
    };
    elementwise(context, node, Elementwise::LeakyRelu { slope })
}

pub fn thresholded_relu<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let alpha = alpha(node, OTHER_ALPHA)?;
    elementwise(context, node, Elementwise::ThresholdedRelu { alpha })
}

pub fn elu<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let alpha = alpha(node, OTHER_ALPHA)?;
    elementwise(context, node, Elementwise::Elu { alpha })
}

/// hls4ml has the constants of the paper, which are ONNX's defaults.
pub fn selu<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    for (name, usual) in [("gamma", SELU.0), ("alpha", SELU.1)] {
        let found = node.attributes().float(name, usual as f32)?;
        if (f64::from(found) - usual).abs() > SELU_TOLERANCE {
            return Err(Fault::new(format!(
                "attribute `{name}` is {found}; hls4ml's Selu has {usual}: take Elu, or its constants"
            )));
        }
    }
    elementwise(context, node, Elementwise::Selu)
}

/// A function that hls4ml has as a table.
pub fn table<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let op = node.proto.op_type();
    let table = Table::named(op).ok_or_else(|| Fault::new(format!("`{op}` has no table")))?;
    elementwise(context, node, Elementwise::Table(table))
}
