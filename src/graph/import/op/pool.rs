//! `MaxPool`, `AveragePool`, their global forms, and `ReduceMean` over all positions.

use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::Item;
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

/// The window of a reduction over axes of positions alone, the channels being the first axis in a
/// file with convolutions and the last one elsewhere; with it the layout and the input.
pub fn over_positions<'m>(
    context: &Context<'m>,
    node: &NodeView<'m>,
    axes: &[usize],
) -> Result<Option<(Layout, ValueId, Window)>, Fault> {
    let input = context.data(node, 0)?;
    let shape = context.shape(input);
    let rank = shape.len();
    if !(2..=3).contains(&rank) || axes.is_empty() {
        return Ok(None);
    }
    let first = context.spatial && !axes.contains(&0);
    let layout = match (first, axes.contains(&(rank - 1))) {
        (true, _) => Layout::First,
        (false, false) => Layout::Last,
        // all axes but the channels' in front
        (false, true) if axes.iter().copied().eq(1..rank) => Layout::First,
        (false, true) => return Ok(None),
    };
    let last = layout.last(shape);
    let reduced = |at: usize| axes.contains(&if layout == Layout::First { at + 1 } else { at });
    let kernel: Vec<usize> = (0..rank - 1).map(|at| if reduced(at) { last[at] } else { 1 }).collect();
    let ones = vec![1; rank - 1];
    let window = Window::over(&last, &kernel, &ones, &vec![0; 2 * (rank - 1)], last[rank - 1]);
    Ok(window.map(|window| (layout, input, window)))
}

/// The result of a reduction under a window, without the axes that have gone unless they are kept.
pub fn reduced<'m>(
    context: &mut Context<'m>,
    node: &NodeView<'m>,
    (layout, input, window): (Layout, ValueId, Window),
    op: Op,
    output: Vec<usize>,
) -> Result<Item, Fault> {
    if node.attributes().int("keepdims", 1)? != 0 {
        return emit(context, node, layout, input, window, op);
    }
    let view = NodeView { proto: node.proto, name: format!("{}_mean", node.name) };
    let Item::Data(value) = emit(context, &view, layout, input, window, op)? else {
        return Err(Fault::new("its result is not a tensor"));
    };
    let mut name = context.graph.values[value].name.clone();
    name.push_str("_kept");
    context.graph.values[value].name = name;
    Ok(context.emit(node, Op::Move(Move::Reshape), value, output))
}

/// The input and the window of a pooling node.
fn window<'m>(context: &Context<'m>, node: &NodeView<'m>) -> Result<(ValueId, Window), Fault> {
    let input = context.data(node, 0)?;
    let shape = Layout::of(node).last(context.shape(input));
    let rank = spatial_rank(&shape)?;
    let attributes = Attributes::read(node, rank, None)?;
    if attributes.dilated() != attributes.kernel() {
        return Err(Fault::new("hls4ml has no pooling with gaps; use dilations = 1"));
    }
    let mut window = attributes.window(&shape, shape[rank])?;
    if window.sees_padding_only() {
        return Err(Fault::new("its padding is as wide as its kernel: an output would see padding only"));
    }
    if node.attributes().int("ceil_mode", 0)? != 0 {
        for axis in 0..2 {
            let padded = window.input[axis] + window.pads[axis] + window.pads[axis + 2];
            let over = (padded - window.kernel[axis]) % window.stride[axis];
            // the window after the last one, unless it would begin behind the input
            let begin = padded - window.kernel[axis] - over + window.stride[axis];
            if over == 0 || begin >= window.input[axis] + window.pads[axis] {
                continue;
            }
            if node.proto.op_type() != "MaxPool" {
                return Err(Fault::new("ceil_mode = 1 adds an incomplete window whose divisor is another one; pad the input"));
            }
            window.pads[axis + 2] += window.stride[axis] - over;
        }
        if window.sees_padding_only() {
            return Err(Fault::new("ceil_mode = 1 adds a window that sees padding only; use ceil_mode = 0"));
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
