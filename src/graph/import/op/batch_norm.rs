//! `BatchNormalization` at inference: `y = x·s + (β − μ·s)`, `s = γ/√(σ² + ε)`, one per channel
//! (axis 1), in f64.

use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::Item;
use super::window::Layout;
use crate::graph::op::{Affine, Op};

pub fn batch_norm<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    const EPSILON: f32 = 1e-5;
    let attributes = node.attributes();
    if attributes.int("training_mode", 0)? != 0 {
        return Err(Fault::new("training_mode = 1; export the model in evaluation mode (model.eval())"));
    }
    let epsilon = f64::from(attributes.float("epsilon", EPSILON)?);
    let input = context.data(node, 0)?;
    let shape = context.shape(input).to_vec();
    if attributes.int("spatial", 1)? == 0 && shape.len() > 1 {
        return Err(Fault::new("spatial = 0 is not supported"));
    }
    let layout = Layout::of(node);
    let axis = if layout == Layout::Last { shape.last() } else { shape.first() };
    let channels = *axis.ok_or_else(|| Fault::new("its input has no channel axis"))?;
    let mut parameters = Vec::with_capacity(4);
    for (index, role) in [(1, "scale"), (2, "bias"), (3, "mean"), (4, "variance")] {
        let constant = context.constant(node, index, role)?;
        if constant.tensor.len() != channels {
            let found = constant.tensor.len();
            return Err(Fault::new(format!("{role} `{}` has {found} values for {channels} channels", constant.name)));
        }
        parameters.push(constant.finite()?);
    }
    let len: usize = shape.iter().product();
    context.spend(2 * len)?;
    let (mut scales, mut shifts) = (Vec::with_capacity(channels), Vec::with_capacity(channels));
    let [gamma, beta, mean, variance] = &parameters[..] else {
        return Err(Fault::new("four parameters are needed"));
    };
    for channel in 0..channels {
        let factor = gamma[channel] / (variance[channel] + epsilon).sqrt();
        let offset = beta[channel] - mean[channel] * factor;
        if !factor.is_finite() || !offset.is_finite() {
            return Err(Fault::new(format!("channel {channel}: variance plus epsilon is not positive")));
        }
        scales.push(factor);
        shifts.push(offset);
    }
    let per_channel = (len / channels.max(1)).max(1);
    let channel = |e: usize| if layout == Layout::Last { e % channels } else { e / per_channel };
    let (scale, shift) = (0..len).map(|e| (scales[channel(e)], shifts[channel(e)])).unzip();
    Ok(context.emit(node, Op::Affine(Affine { scale, shift }), input, shape))
}
