//! Which values keep their positions in the proxy.
//!
//! A value near a window (convolution, pooling) is a *grid*: its tensors are
//! `[1, positions.., channels]` and what the lowering calls its units are the channels of the last
//! axis. Everything else is flat, its units are its elements.

use super::selection;
use crate::graph::ValueId;
use crate::ops::Move;
use crate::quant::interval::Span;
use crate::quant::{FixedModel, FixedOp};

/// Per value: true for a grid.
pub fn grids(model: &FixedModel) -> Vec<bool> {
    let mut parent: Vec<ValueId> = (0..model.values.len()).collect();
    let mut forced = vec![false; model.values.len()];
    let shape = |v: ValueId| model.values[v].shape.clone();
    for node in &model.nodes {
        let around = node.inputs.iter().copied().chain([node.output]);
        match &node.op {
            FixedOp::MaxPool(_) | FixedOp::AveragePool(_) => around.for_each(|v| forced[v] = true),
            FixedOp::Dense(d) if d.window.is_some() => around.for_each(|v| forced[v] = true),
            FixedOp::Dense(_) | FixedOp::Move(Move::Reshape) => {}
            FixedOp::Move(Move::Select { source })
                if selection::of(source, &shape(node.inputs[0]), &shape(node.output)).is_none() => {}
            FixedOp::Quantize(_)
            | FixedOp::Affine(_)
            | FixedOp::Elementwise(_)
            | FixedOp::Merge(_)
            | FixedOp::Move(Move::Concat { .. } | Move::Pad { .. } | Move::Permute { .. } | Move::Select { .. }) => {
                for v in around {
                    let (a, b) = (root(&parent, v), root(&parent, node.output));
                    parent[a] = b;
                }
            }
        }
    }
    for v in 0..forced.len() {
        if forced[v] && model.values[v].shape.len() > 1 {
            forced[root(&parent, v)] = true;
        }
    }
    (0..forced.len()).map(|v| forced[root(&parent, v)] && model.values[v].shape.len() > 1).collect()
}

fn root(parent: &[ValueId], mut v: ValueId) -> ValueId {
    while parent[v] != v {
        v = parent[v];
    }
    v
}

/// The positions of a value's tensors: all axes but the last of a grid, none of a flat value.
pub fn leads(model: &FixedModel, grids: &[bool]) -> Vec<Vec<usize>> {
    let lead = |(v, &grid): (&crate::graph::Value, &bool)| match v.shape.split_last() {
        Some((_, lead)) if grid => lead.to_vec(),
        _ => Vec::new(),
    };
    model.values.iter().zip(grids).map(lead).collect()
}

/// Units of a value whose positions are `lead`.
pub fn units(len: usize, lead: &[usize]) -> usize {
    len / lead.iter().product::<usize>().max(1)
}

/// One span per unit: what it holds at any position. `None` where a common grid needs more than 127
/// bits.
pub fn unit_spans(spans: &[Span], units: usize) -> Option<Vec<Span>> {
    let mut pixels = spans.chunks(units.max(1));
    let mut all = pixels.next().unwrap_or(&[]).to_vec();
    for pixel in pixels {
        for (a, &b) in all.iter_mut().zip(pixel) {
            // a zero has no grid: it is held by any
            *a = if *a == b { *a } else { a.union(b)? };
        }
    }
    Some(all)
}

/// One flag per unit: true where any position is.
pub fn unit_flags(flags: &[bool], units: usize) -> Vec<bool> {
    let mut all = vec![false; units];
    for pixel in flags.chunks(units.max(1)) {
        all.iter_mut().zip(pixel).for_each(|(a, &b)| *a |= b);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Node, Window};

    #[test]
    fn what_touches_a_window_is_a_grid() {
        let mut m = FixedModel { name: "m".into(), values: vec![], nodes: vec![], inputs: vec![], outputs: vec![] };
        let ids: Vec<_> =
            [vec![2, 2, 3], vec![2, 2, 3], vec![1, 1, 3], vec![3], vec![3, 1]].into_iter().map(|s| m.add_value("v", s)).collect();
        let pool = Window { stride: [2, 2], kernel: [2, 2], groups: 3, ..Window::pointwise(2, 2, 3) };
        for (n, op) in [
            FixedOp::Elementwise(crate::ops::Elementwise::Relu),
            FixedOp::MaxPool(pool),
            FixedOp::Move(Move::Reshape),
            FixedOp::Move(Move::Reshape),
        ]
        .into_iter()
        .enumerate()
        {
            m.nodes.push(Node { name: String::new(), op, inputs: vec![ids[n]], output: ids[n + 1] });
        }
        let grids = grids(&m);
        assert_eq!(grids, [true, true, true, false, false]);
        assert_eq!(leads(&m, &grids), [vec![2, 2], vec![2, 2], vec![1, 1], vec![], vec![]]);
    }

    #[test]
    fn a_unit_holds_what_its_positions_hold() {
        let of = |lo, hi, frac| Span::new(lo, hi, frac);
        let spans = [of(0, 3, 1), Span::ZERO, of(-1, 1, 2), of(5, 5, 0)];
        assert_eq!(unit_spans(&spans, 2), Some(vec![of(-1, 6, 2), of(0, 5, 0)]));
        assert_eq!(unit_flags(&[false, true, false, false], 2), [false, true]);
    }
}
