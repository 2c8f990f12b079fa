//! `Gather` with constant indices.

use super::super::axes::normalised;
use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::Item;
use super::select::{Picked, selected};

pub fn gather<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let Item::Const(indices) = context.item(node, 1)? else {
        return Err(Fault::new("its index (input 1) depends on the data; only constant ones are supported"));
    };
    let values = indices.tensor.to_i64().ok_or_else(|| Fault::new("its indices are not integers"))?;
    context.spend(values.len())?;
    let axis = node.attributes().int("axis", 0)?;
    selected(context, node, node.output(), |shape| {
        let axis = normalised(axis, shape.len())?;
        let size = shape[axis];
        let at = |&v: &i64| usize::try_from(if v < 0 { v.saturating_add(size as i64) } else { v }).ok().filter(|&v| v < size);
        let rows: Option<Vec<usize>> = values.iter().map(at).collect();
        let rows = rows.ok_or_else(|| Fault::new(format!("an index is outside of 0..{size}")))?;
        let outer: usize = shape.iter().product::<usize>() / size.max(1);
        if outer.saturating_mul(rows.len()) > super::super::MAX_EXPANDED {
            return Err(Fault::new("its result is too large"));
        }
        let mut picked = Picked::along(shape, axis, &rows);
        // the axis becomes those of the indices
        picked.shape.splice(axis..=axis, indices.shape().iter().copied());
        picked.axes.splice(axis..=axis, indices.shape().iter().map(|_| None));
        if indices.shape().len() == 1 {
            picked.axes[axis] = Some(axis);
        }
        Ok(picked)
    })
}
