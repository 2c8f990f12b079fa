//! Worst-case ranges of every value of an exact model, by interval arithmetic on integers: what
//! formats and weights allow, whatever the data.
//!
//! `rules` has the intervals. [`bounds()`] is for evaluation, where what a layer computes is on one
//! grid; the proxy, whose elements have types of their own, walks by [`step`] itself.

mod alike;
mod bounds;
mod error;
mod grid;
mod rules;
mod span;
mod window;

use super::kif::Kif;
use super::model::{FixedModel, FixedOp, FixedQuantizer};
use crate::graph::Node;
use crate::ops::Move;
pub use alike::Alike;
pub use bounds::Bounds;
pub use error::{IntervalError, MAX_BITS, Unfit};
pub use rules::step;
pub use span::Span;

/// Bounds per value; `None` for float inputs and what merely reshapes them.
pub type AllBounds = Vec<Option<Bounds>>;

/// Bounds of all values.
///
/// # Errors
/// A node that reads floats, that needs more than [`MAX_BITS`], that is outside a table's limits or
/// does not fit its operands.
pub fn bounds(model: &FixedModel) -> Result<AllBounds, IntervalError> {
    let mut all: AllBounds = vec![None; model.values.len()];
    for node in 0..model.nodes.len() {
        extend(model, node, &mut all)?;
    }
    Ok(all)
}

/// The bounds of the output of node `node`, from those of its inputs in `all`.
///
/// # Errors
/// See [`bounds()`].
pub fn extend(model: &FixedModel, node: usize, all: &mut AllBounds) -> Result<(), IntervalError> {
    let node = &model.nodes[node];
    all[node.output] = of_node(model, node, all)?;
    Ok(())
}

fn of_node(model: &FixedModel, node: &Node<FixedOp>, all: &AllBounds) -> Result<Option<Bounds>, IntervalError> {
    let operands: Option<Vec<&Bounds>> = node.inputs.iter().map(|&v| all[v].as_ref()).collect();
    let wide = |bits| IntervalError::TooWide { node: node.name.clone(), bits };
    let bounds = if let Some(x) = operands {
        grids_fit(node, x[0])?;
        let spans: Vec<Vec<Span>> = x.iter().map(|b| b.iter().collect()).collect();
        let spans: Vec<&[Span]> = spans.iter().map(Vec::as_slice).collect();
        let result = step(&node.op, &spans, &model.shapes(&node.inputs), model.len_of(node.output));
        let result = result.map_err(|unfit| unfit.at(&node.name))?;
        grid::lifted(&node.op, &x, result).ok_or(wide(i128::BITS))?
    } else if let FixedOp::Quantize(q) = &node.op {
        everything(q)
    } else if matches!(node.op, FixedOp::Move(Move::Reshape)) {
        return Ok(None);
    } else {
        return Err(IntervalError::FloatInput { node: node.name.clone() });
    };
    let bits = bounds.max_bits();
    if bits > MAX_BITS { Err(wide(bits)) } else { Ok(Some(bounds)) }
}

/// Whether a function addresses its table exactly.
fn grids_fit(node: &Node<FixedOp>, x: &Bounds) -> Result<(), IntervalError> {
    let FixedOp::Elementwise(f) = node.op else { return Ok(()) };
    match f.max_input_frac() {
        Some(limit) if x.max_frac() > limit => {
            let what = format!("its input has {} fractional bits, {} takes {limit}", x.max_frac(), f.onnx());
            Err(IntervalError::Node { node: node.name.clone(), what })
        }
        Some(_) | None => Ok(()),
    }
}

/// What a quantizer may make of floats.
fn everything(q: &FixedQuantizer) -> Bounds {
    let of = |&k: &Kif| {
        let (lo, hi) = q.overflow.bounds(k);
        Span { lo, hi, frac: k.fractional }
    };
    q.formats.iter().map(of).collect()
}
