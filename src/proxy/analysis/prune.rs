//! The exact model without its dead channels: what the proxy computes, as a model that can be
//! counted and evaluated.

use super::layout;
use super::pass::live;
use super::spans::fold_constants;
use crate::proxy::port;
use crate::quant::{FixedModel, FixedOp, Kif};

/// The same function with constants folded into biases, weights of unread elements set to 0 and
/// their formats to 0 bits. A model that interval analysis refuses comes back as it is: emitting it
/// gives the error.
pub fn prune(model: &FixedModel) -> FixedModel {
    let mut out = model.clone();
    let (port, _) = port::needed(&out, 0.0);
    if fold_constants(&mut out, port).is_err() {
        return out;
    }
    let leads = layout::leads(&out, &layout::grids(&out));
    // constant outputs keep what computes them
    let read = live::read_by(&out, |_, _| false);
    for node in &mut out.nodes {
        let len = read[node.output].len();
        if let FixedOp::Dense(d) = &mut node.op {
            let read = layout::unit_flags(&read[node.output], d.outputs);
            for row in d.weight.ints.chunks_mut(d.outputs.max(1)).chain([&mut d.bias.ints[..]]) {
                row.iter_mut().zip(&read).filter(|(_, read)| !**read).for_each(|(w, _)| *w = 0);
            }
        } else if let FixedOp::Quantize(q) = &mut node.op {
            // a channel keeps one format at all its positions
            let read = layout::unit_flags(&read[node.output], layout::units(len, &leads[node.output]));
            q.formats.iter_mut().zip(read.iter().cycle()).filter(|(_, read)| !**read).for_each(|(f, _)| *f = Kif::ZERO);
        }
    }
    out
}
