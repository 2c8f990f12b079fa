//! Where a bias without widths of its own gets its grid (docs/hgq-spec.md#a1-4): from the quantizer
//! after its layer.

use super::model::{Model, QOp, Quantizer};

/// The quantizer that the bias of layer `node` takes its bits from: the next one after it, through
/// activations that keep the grid.
pub fn quantizer(model: &Model, node: usize) -> Option<&Quantizer> {
    let mut value = model.nodes[node].output;
    loop {
        let consumers = model.consumers(value);
        let next = &model.nodes[*consumers.first()?];
        if let QOp::Quantizer(q) = &next.op {
            return Some(q);
        }
        if consumers.len() != 1 || !next.op.keeps_channels() {
            return None;
        }
        value = next.output;
    }
}

/// Fractional bits of a bias per channel: the maximum over all other axes of its quantizer's.
pub fn grid(q: &Quantizer, outputs: usize) -> Vec<i32> {
    let f = q.rounded_f();
    let mut grid = vec![i32::MIN; outputs];
    for e in 0..q.groups.elements() {
        let channel = &mut grid[e % outputs.max(1)];
        *channel = (*channel).max(f[q.groups.of(e)]);
    }
    grid
}
