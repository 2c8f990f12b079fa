//! `Pad` with zeros.

use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::Item;
use super::dense;
use super::window::Layout;
use crate::graph::op::Op;
use crate::ops::Move;

pub fn pad<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let attributes = node.attributes();
    let mode = attributes.string("mode", "constant")?;
    if mode != "constant" {
        return Err(Fault::new(format!("mode `{mode}` is not supported; pad with zeros")));
    }
    let value = match context.optional(node, 2, "constant value (input 2)")? {
        Some(constant) => constant.tensor.to_f64().first().copied().unwrap_or(0.0),
        None => attributes.float("value", 0.0)?.into(),
    };
    if value != 0.0 {
        return Err(Fault::new(format!("it pads with {value}; hls4ml pads with zeros only")));
    }
    if node.input(3).is_some() {
        return Err(Fault::new("its input `axes` is not supported; give the padding of all axes"));
    }
    let pads = match context.optional(node, 1, "pads (input 1)")? {
        Some(constant) => constant.tensor.to_i64().ok_or_else(|| Fault::new("its pads are not integers"))?,
        None => attributes.ints("pads")?.ok_or_else(|| Fault::new("its pads are missing"))?.to_vec(),
    };
    let input = context.data(node, 0)?;
    let shape = context.shape(input).to_vec();
    let rank = shape.len() + 1;
    if pads.len() != 2 * rank {
        return Err(Fault::new(format!("{} pads for {rank} axes", pads.len())));
    }
    let numbers: Option<Vec<usize>> = pads.iter().map(|&p| usize::try_from(p).ok()).collect();
    let Some(numbers) = numbers else { return Err(Fault::new(format!("pads {pads:?} are negative; cropping is not supported"))) };
    if numbers[0] != 0 || numbers[rank] != 0 {
        return Err(Fault::new("it pads the batch axis"));
    }
    let layout = if context.spatial { Layout::First } else { Layout::Last };
    let (before, after) = (layout.last(&numbers[1..rank]), layout.last(&numbers[rank + 1..]));
    let sum = |((s, b), a): ((&usize, &usize), &usize)| s.saturating_add(*b).saturating_add(*a);
    let output: Vec<usize> = layout.last(&shape).iter().zip(&before).zip(&after).map(sum).collect();
    dense::check_size(output.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).unwrap_or(usize::MAX))?;
    let last = context.channels_last(node, input, layout)?;
    context.emit_last(node, Op::Move(Move::Pad { before, after }), vec![last], output, layout)
}
