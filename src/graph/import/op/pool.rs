//! `MaxPool`, `AveragePool`, their global forms, and `ReduceMean` over all positions.

use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::Item;
use super::super::unsupported;
use super::window::{Attributes, Layout, spatial_rank};
use crate::graph::dag::ValueId;
use crate::graph::op::Op;
use crate::graph::window::Window;
use crate::ops::Move;

pub fn max_pool<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let (input, window) = window(context, node)?;
    emit(context, node, Layout::of(node), input, window.clone(), Op::MaxPool(window))
}

pub fn average_pool<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let (input, window) = window(context, node)?;
    let counts_padding = node.attributes().int("count_include_pad", 0)? != 0;
    if window.is_padded() && !counts_padding {
        return Err(Fault::new(
            "with padding that does not count (count_include_pad = 0) the divisor differs between positions; use count_include_pad = 1 or no padding",
        ));
    }
    let divisor = window.taps();
    emit(context, node, Layout::of(node), input, window.clone(), Op::AveragePool { window, divisor })
}

pub fn global_average<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    mean(context, node, Layout::of(node))
}

/// The average of all positions.
fn mean<'m>(context: &mut Context<'m>, node: &NodeView<'m>, layout: Layout) -> Result<Item, Fault> {
    let (input, window) = whole(context, node, layout)?;
    let divisor = window.taps();
    emit(context, node, layout, input, window.clone(), Op::AveragePool { window, divisor })
}

pub fn global_max<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let layout = Layout::of(node);
    let (input, window) = whole(context, node, layout)?;
    emit(context, node, layout, input, window.clone(), Op::MaxPool(window))
}

/// `ReduceMean` over all axes but the batch and either the first or the last: the channels.
pub fn reduce_mean<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let input = context.data(node, 0)?;
    let rank = context.shape(input).len() as i64 + 1;
    let axes = match context.optional(node, 1, "axes (input 1)")? {
        Some(axes) => axes.tensor.to_i64(),
        None => node.attributes().ints("axes")?.map(<[i64]>::to_vec),
    };
    let mut axes: Vec<i64> = axes.unwrap_or_default().into_iter().map(|a| if a < 0 { a + rank } else { a }).collect();
    axes.sort_unstable();
    let layout = match &axes[..] {
        _ if rank < 3 => None,
        axes if axes.iter().copied().eq(2..rank) => Some(Layout::First),
        axes if axes.iter().copied().eq(1..rank - 1) => Some(Layout::Last),
        _ => None,
    };
    let layout = layout.ok_or_else(|| Fault::new(unsupported::NORMALISATION))?;
    if node.attributes().int("keepdims", 1)? != 0 {
        return mean(context, node, layout);
    }
    let channels = layout.last(context.shape(input)).last().copied().unwrap_or(1);
    let view = NodeView { proto: node.proto, name: format!("{}_mean", node.name) };
    let Item::Data(mean) = mean(context, &view, layout)? else { return Err(Fault::new("its mean is not a tensor")) };
    let mut name = context.graph.values[mean].name.clone();
    name.push_str("_kept");
    context.graph.values[mean].name = name;
    Ok(context.emit(node, Op::Move(Move::Reshape), mean, vec![channels]))
}

/// The input and the window of a pooling node.
fn window<'m>(context: &Context<'m>, node: &NodeView<'m>) -> Result<(ValueId, Window), Fault> {
    let input = context.data(node, 0)?;
    let shape = Layout::of(node).last(context.shape(input));
    let rank = spatial_rank(&shape)?;
    let attributes = Attributes::read(node, rank, None)?;
    let window = attributes.window(&shape, shape[rank])?;
    if window.sees_padding_only() {
        return Err(Fault::new("its padding is as wide as its kernel: an output would see padding only"));
    }
    if node.attributes().int("ceil_mode", 0)? != 0 {
        let whole = |axis: usize| {
            let padded = window.input[axis] + window.pads[axis] + window.pads[axis + 2];
            (padded - window.kernel[axis]).is_multiple_of(window.stride[axis])
        };
        if !whole(0) || !whole(1) {
            return Err(Fault::new("ceil_mode = 1 adds an incomplete window at the end; use ceil_mode = 0 or pad the input"));
        }
    }
    Ok((input, window))
}

/// A window that covers the whole input.
fn whole<'m>(context: &Context<'m>, node: &NodeView<'m>, layout: Layout) -> Result<(ValueId, Window), Fault> {
    let input = context.data(node, 0)?;
    let shape = layout.last(context.shape(input));
    let rank = spatial_rank(&shape)?;
    let (height, width) = if rank == 1 { (1, shape[0]) } else { (shape[0], shape[1]) };
    let channels = shape[rank];
    Ok((
        input,
        Window { input: [height, width, channels], kernel: [height, width], stride: [1, 1], pads: [0; 4], groups: channels },
    ))
}

fn emit<'m>(
    context: &mut Context<'m>,
    node: &NodeView<'m>,
    layout: Layout,
    input: ValueId,
    window: Window,
    op: Op,
) -> Result<Item, Fault> {
    let output = window.shape(spatial_rank(context.shape(input))?, window.input[2]);
    context.spend_window(&window, window.input[2])?;
    let last = context.channels_last(node, input, layout)?;
    context.emit_last(node, op, vec![last], output, layout)
}
