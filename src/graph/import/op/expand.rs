//! `Expand` and `Tile`: copies along axes.

use super::super::broadcast;
use super::super::context::{Context, MAX_EXPANDED, NodeView};
use super::super::fault::Fault;
use super::super::item::Item;
use super::select::{Picked, integers, selected};

pub fn expand<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let target = integers(context, node, 1, "shape")?.ok_or_else(|| Fault::new("its shape is missing"))?;
    let target: Option<Vec<usize>> = target.iter().map(|&d| usize::try_from(d).ok()).collect();
    let target = target.ok_or_else(|| Fault::new("its shape has negative sizes"))?;
    selected(context, node, node.output(), |from| {
        let fault = || Fault::new(format!("shape {from:?} does not expand to {target:?}"));
        let shape = broadcast::common(from, &target).ok_or_else(fault)?;
        sized(&shape)?;
        let source = broadcast::indices(from, &shape).ok_or_else(fault)?;
        let added = shape.len() - from.len();
        let axes = (0..shape.len()).map(|axis| axis.checked_sub(added)).collect();
        Ok(Picked { shape, axes, source })
    })
}

pub fn tile<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let repeats = integers(context, node, 1, "repeats")?.ok_or_else(|| Fault::new("its repeats are missing"))?;
    selected(context, node, node.output(), |from| {
        let repeats: Option<Vec<usize>> = repeats.iter().map(|&n| usize::try_from(n).ok()).collect();
        let repeats = repeats.filter(|r| r.len() == from.len());
        let repeats = repeats.ok_or_else(|| Fault::new(format!("its repeats are not one per axis of {from:?}")))?;
        let shape: Vec<usize> = from.iter().zip(&repeats).map(|(d, r)| d.saturating_mul(*r)).collect();
        sized(&shape)?;
        let mut picked = Picked::whole(from);
        for axis in 0..from.len() {
            let rows: Vec<usize> = (0..shape[axis]).map(|row| row % from[axis]).collect();
            let next = Picked::along(&picked.shape, axis, &rows);
            picked = picked.then(next);
        }
        Ok(picked)
    })
}

/// # Errors
/// More elements than an import may create.
fn sized(shape: &[usize]) -> Result<(), Fault> {
    let len = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    if len.is_some_and(|n| n <= MAX_EXPANDED) { Ok(()) } else { Err(Fault::new(format!("shape {shape:?} is too large"))) }
}
