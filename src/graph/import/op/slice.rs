//! `Slice` and `Split`: parts of a tensor along its axes.

use super::super::axes::normalised;
use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::Item;
use super::select::{Picked, integers, selected};

pub fn slice<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let part = |index: usize, what: &str| integers(context, node, index, what);
    let missing = |what: &str| Fault::new(format!("its {what} are missing"));
    let starts = part(1, "starts")?.ok_or_else(|| missing("starts"))?;
    let ends = part(2, "ends")?.ok_or_else(|| missing("ends"))?;
    let axes = part(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = part(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] || steps.contains(&0) {
        return Err(Fault::new("its starts, ends, axes and steps are not as many, or a step is 0"));
    }
    selected(context, node, node.output(), |shape| {
        let mut picked = Picked::whole(shape);
        for (((&start, &end), &axis), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
            let axis = normalised(axis, shape.len())?;
            let rows = range(start, end, step, picked.shape[axis]);
            let next = Picked::along(&picked.shape, axis, &rows);
            picked = picked.then(next);
        }
        Ok(picked)
    })
}

/// The rows of `start..end` by `step`, as NumPy counts them.
fn range(start: i64, end: i64, step: i64, size: usize) -> Vec<usize> {
    if size == 0 {
        return Vec::new();
    }
    let size = size as i64;
    let wrapped = |v: i64| if v < 0 { v.saturating_add(size) } else { v };
    let (low, high) = if step > 0 { (0, size) } else { (-1, size - 1) };
    let (mut at, end) = (wrapped(start).clamp(low.max(0), high), wrapped(end).clamp(low, high));
    let mut rows = Vec::new();
    while (step > 0 && at < end) || (step < 0 && at > end) {
        rows.push(at as usize);
        at = at.saturating_add(step);
    }
    rows
}

/// One result per part.
pub fn split<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let outputs = &node.proto.output;
    let axis = node.attributes().int("axis", 0)?;
    let sizes = integers(context, node, 1, "split")?;
    let mut items = Vec::with_capacity(outputs.len());
    for (at, name) in outputs.iter().enumerate() {
        let part = selected(context, node, name, |shape| {
            let axis = normalised(axis, shape.len())?;
            let sizes = match &sizes {
                Some(sizes) => sizes.iter().map(|&n| usize::try_from(n).unwrap_or(usize::MAX)).collect(),
                None => even(shape[axis], outputs.len()),
            };
            let total = sizes.iter().try_fold(0usize, |sum, &n| sum.checked_add(n));
            if sizes.len() != outputs.len() || total != Some(shape[axis]) {
                return Err(Fault::new(format!("parts of {sizes:?} do not make up the {} along axis {axis}", shape[axis])));
            }
            let first: usize = sizes[..at].iter().sum();
            Ok(Picked::along(shape, axis, &(first..first + sizes[at]).collect::<Vec<_>>()))
        })?;
        items.push(part);
    }
    Ok(Item::Several(items))
}

/// Equal parts, the last one smaller where it does not divide.
fn even(size: usize, parts: usize) -> Vec<usize> {
    let each = size.div_ceil(parts.max(1));
    (0..parts).map(|at| each.min(size.saturating_sub(at * each))).collect()
}

#[cfg(test)]
mod tests {
    use super::{even, range};

    #[test]
    fn ranges_are_those_of_numpy() {
        assert_eq!((range(1, 5, 2, 10), range(-3, i64::MAX, 1, 4)), (vec![1, 3], vec![1, 2, 3]));
        assert_eq!((range(-1, i64::MIN, -1, 3), range(5, 1, 1, 9)), (vec![2, 1, 0], vec![]));
        assert_eq!((range(20, 0, -4, 10), range(0, -1, 1, 3)), (vec![9, 5, 1], vec![0, 1]));
        assert_eq!((range(0, 5, 1, 0), range(-1, i64::MIN, -1, 0)), (vec![], vec![]));
        assert_eq!((even(7, 3), even(6, 2)), (vec![3, 3, 1], vec![3, 3]));
    }
}
