//! `Conv` in one and two dimensions, with the channels first (ONNX) or last
//! (`qonnx.custom_op.channels_last`).

use super::super::broadcast;
use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::{Constant, Item};
use super::dense::in_f32;
use super::window::{Attributes, Layout, spatial_rank};
use crate::graph::op::{Dense, Op};

pub fn conv<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let layout = Layout::of(node);
    let input = context.data(node, 0)?;
    let rank = spatial_rank(context.shape(input))?;
    let weight = context.constant(node, 1, "weight (input 1)")?;
    let bias = context.optional(node, 2, "bias (input 2)")?;
    if weight.shape().len() != rank + 2 {
        return Err(Fault::new(format!("weight `{}` has shape {:?}; {} axes are needed", weight.name, weight.shape(), rank + 2)));
    }
    let (outputs, per_group, kernel) = match (layout, weight.shape()) {
        (Layout::First, [o, i, kernel @ ..]) => (*o, *i, kernel.to_vec()),
        (Layout::Last, [o, kernel @ .., i]) => (*o, *i, kernel.to_vec()),
        _ => return Err(Fault::new(format!("weight `{}` has shape {:?}", weight.name, weight.shape()))),
    };
    let attributes = Attributes::read(node, rank, Some(&kernel))?;
    if attributes.kernel() != kernel {
        return Err(Fault::new(format!("kernel_shape {:?} is not that of the weight {:?}", attributes.kernel(), weight.shape())));
    }
    let groups = usize::try_from(node.attributes().int("group", 1)?).unwrap_or(0);
    let shape = layout.last(context.shape(input));
    let channels = shape.last().copied().unwrap_or(0);
    if groups == 0 || per_group.checked_mul(groups) != Some(channels) || outputs == 0 || !outputs.is_multiple_of(groups) {
        return Err(Fault::new(format!(
            "{groups} group(s) of {per_group} channels and {outputs} outputs do not fit an input of {channels} channels"
        )));
    }
    let window = attributes.window(&shape, groups)?;
    context.spend_window(&window, outputs)?;
    weight.check_finite()?;
    context.spend(if weight.quant.is_some() { 6 } else { 2 } * weight.tensor.len())?;
    let mut weight = as_matrix(&weight, layout, outputs, per_group, kernel.iter().product());
    let mut values = in_f32(context, node, &weight)?;
    if attributes.dilated() != kernel {
        context.spend(window.patch().saturating_mul(outputs).saturating_mul(if weight.quant.is_some() { 6 } else { 2 }))?;
        (weight, values) = dilated(&weight, &values, &attributes, per_group, outputs)?;
    }
    let (bias_values, bias_quant) = match bias {
        None => (vec![0.0; outputs], None),
        Some(bias) => {
            let source = broadcast::onto_sample(bias.shape(), &[outputs])?;
            let bias = bias.gather(vec![outputs], &source);
            bias.check_finite()?;
            (in_f32(context, node, &bias)?, bias.quant.as_deref().cloned())
        }
    };
    let output = window.shape(rank, outputs);
    let layer = Dense {
        inputs: window.patch(),
        outputs,
        weight: values,
        bias: bias_values,
        weight_quant: weight.quant.as_deref().cloned(),
        bias_quant,
        window: Some(window),
    };
    let last = context.channels_last(node, input, layout)?;
    context.emit_last(node, Op::Dense(layer), vec![last], output, layout)
}

/// The matrix with zeros between the taps.
fn dilated(
    weight: &Constant,
    values: &[f32],
    attributes: &Attributes,
    per_group: usize,
    outputs: usize,
) -> Result<(Constant, Vec<f32>), Fault> {
    if weight.quant.as_ref().is_some_and(|q| q.bipolar) {
        return Err(Fault::new("its weights of one bit have no zero for the gaps of a dilation"));
    }
    let (kernel, large) = (attributes.kernel(), attributes.dilated());
    let row = per_group * outputs;
    // the tap of the kernel at a place of the large one
    let tap = |mut place: usize| {
        let (mut tap, mut stride) = (0, 1);
        for axis in (0..kernel.len()).rev() {
            let at = place % large[axis];
            place /= large[axis];
            if !at.is_multiple_of(attributes.dilation[axis]) {
                return None;
            }
            tap += at / attributes.dilation[axis] * stride;
            stride *= kernel[axis];
        }
        Some(tap)
    };
    let taps: usize = large.iter().product();
    let source: Vec<Option<usize>> =
        (0..taps).flat_map(|place| (0..row).map(move |e| (place, e))).map(|(place, e)| tap(place).map(|t| t * row + e)).collect();
    let filled: Vec<usize> = source.iter().map(|s| s.unwrap_or(0)).collect();
    let values = source.iter().map(|s| s.map_or(0.0, |e| values[e])).collect();
    Ok((weight.gather(vec![taps * per_group, outputs], &filled), values))
}

/// `(O, I, taps)` or `(O, taps, I)` → `[tap, I][O]`.
fn as_matrix(weight: &Constant, layout: Layout, outputs: usize, per_group: usize, taps: usize) -> Constant {
    let at = |o: usize, tap: usize, i: usize| match layout {
        Layout::First => (o * per_group + i) * taps + tap,
        Layout::Last => (o * taps + tap) * per_group + i,
    };
    let rows = (0..taps).flat_map(|tap| (0..per_group).map(move |i| (tap, i)));
    let source: Vec<usize> = rows.flat_map(|(tap, i)| (0..outputs).map(move |o| at(o, tap, i))).collect();
    weight.gather(vec![taps * per_group, outputs], &source)
}
