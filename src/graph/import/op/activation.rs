//! Element-wise functions: `Relu`, `LeakyRelu`, `PRelu`, `ThresholdedRelu`, `Elu`, `Selu`, and
//! those that hls4ml has as tables.

use super::super::broadcast;
use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::Item;
use super::arithmetic::negative;
use crate::diagnostic::Code;
use crate::graph::dag::ValueId;
use crate::graph::op::{Affine, Op};
use crate::ops::table::{GELU_SLOPE, SELU};
use crate::ops::{Elementwise, Merge, Table};

/// The operator's default in ONNX.
const LEAKY_ALPHA: f32 = 0.01;
const OTHER_ALPHA: f32 = 1.0;
/// Exporters write Selu's constants with the digits of an f32.
const SELU_TOLERANCE: f64 = 1e-6;

fn elementwise<'m>(context: &mut Context<'m>, node: &NodeView<'m>, f: Elementwise) -> Result<Item, Fault> {
    let input = context.data(node, 0)?;
    let shape = context.shape(input).to_vec();
    elementwise_of(context, node, f, input, shape)
}

/// The function of `input`, whose sample has `shape`. A slope that hls4ml does not have is made of
/// two Relus.
pub(super) fn elementwise_of<'m>(
    context: &mut Context<'m>,
    node: &NodeView<'m>,
    f: Elementwise,
    input: ValueId,
    shape: Vec<usize>,
) -> Result<Item, Fault> {
    if let Elementwise::LeakyRelu { slope } = f
        && slope <= 0.0
    {
        let slopes = vec![f64::from(slope); shape.iter().product()];
        return two_slopes(context, node, input, shape, slopes);
    }
    Ok(context.emit(node, Op::Elementwise(f), input, shape))
}

/// `Relu(x) − slope·Relu(−x)` with a slope per element.
fn two_slopes<'m>(
    context: &mut Context<'m>,
    node: &NodeView<'m>,
    input: ValueId,
    shape: Vec<usize>,
    slopes: Vec<f64>,
) -> Result<Item, Fault> {
    let name = |what: &str| format!("{}_{what}", node.name);
    context.spend(2 * slopes.len())?;
    let relu = || Op::Elementwise(Elementwise::Relu);
    let above = context.step(&name("above"), relu(), vec![input], shape.clone());
    let minus = negative(context, &shape)?;
    let minus = context.step(&name("minus"), minus, vec![input], shape.clone());
    let below = context.step(&name("below"), relu(), vec![minus], shape.clone());
    let shift = vec![0.0; slopes.len()];
    let scale = slopes.into_iter().map(|s| -s).collect();
    let scaled = context.step(&name("scaled"), Op::Affine(Affine { scale, shift }), vec![below], shape.clone());
    Ok(context.emit_many(node, Op::Merge(Merge::Add), vec![above, scaled], shape))
}

/// `2·σ(k·x) − 1`, the nearest that a sigmoid comes to the error function: GELU's with it is
/// [`GELU_SLOPE`]'s.
pub fn erf<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let input = context.data(node, 0)?;
    let shape = context.shape(input).to_vec();
    let len = shape.iter().product();
    context.spend(4 * len)?;
    context.note(Code::Approximated, node, "Erf (GELU) is computed by a sigmoid: GELU differs by up to 0.021");
    let affine = |scale: f64, shift: f64| Op::Affine(Affine { scale: vec![scale; len], shift: vec![shift; len] });
    let slope = f64::from(GELU_SLOPE) * std::f64::consts::SQRT_2;
    let scaled = context.step(&format!("{}_scaled", node.name), affine(slope, 0.0), vec![input], shape.clone());
    let table = Op::Elementwise(Elementwise::Table(Table::Sigmoid));
    let sigmoid = context.step(&format!("{}_sigmoid", node.name), table, vec![scaled], shape.clone());
    Ok(context.emit(node, affine(2.0, -1.0), sigmoid, shape))
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

pub fn prelu<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let slope = context.constant(node, 1, "slope (input 1)")?;
    let values = slope.finite()?;
    match values.split_first() {
        Some((&first, rest)) if rest.iter().all(|&v| v == first) => {
            elementwise(context, node, Elementwise::LeakyRelu { slope: first as f32 })
        }
        _ => {
            let input = context.data(node, 0)?;
            let shape = context.shape(input).to_vec();
            let slopes = broadcast::onto_sample(slope.shape(), &shape)?.into_iter().map(|e| values[e]).collect();
            two_slopes(context, node, input, shape, slopes)
        }
    }
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
