//! The exact model without its dead channels: what the proxy computes, as a model that can be counted and evaluated.

use super::interval::spans;
use super::layout;
use super::pass::{constant, live};
use crate::proxy::port;
use crate::quant::{FixedModel, FixedOp, Kif};

/// The same function with constants folded into biases, weights of unread elements set to 0 and their formats to 0 bits. A model
/// that interval analysis refuses comes back as it is: emitting it gives the error.
pub fn prune(model: &FixedModel) -> FixedModel {
    let mut out = model.clone();
    let (port, _) = port::needed(&out, 0.0);
    let Ok(ranges) = spans(&out, port) else { return out };
    constant::fold(&mut out, &ranges);
    let leads = layout::leads(&out, &layout::grids(&out));
    // constant outputs keep what computes them
    let read = live::read_by(&out, |_, _| false);
    for node in &mut out.nodes {
        let len = read[node.output].len();
        match &mut node.op {
            FixedOp::Dense(d) => {
                let read = layout::unit_flags(&read[node.output], d.outputs);
                for row in d.weight.ints.chunks_mut(d.outputs.max(1)) {
                    for (w, &read) in row.iter_mut().zip(&read) {
                        if !read {
                            *w = 0;
                        }
                    }
                }
                for (b, &read) in d.bias.ints.iter_mut().zip(&read) {
                    if !read {
                        *b = 0;
                    }
                }
            }
            FixedOp::Quantize(q) => {
                // a channel keeps one format at all its positions
                let read = layout::unit_flags(&read[node.output], layout::units(len, &leads[node.output]));
                for (f, &read) in q.formats.iter_mut().zip(read.iter().cycle()) {
                    if !read {
                        *f = Kif::ZERO;
                    }
                }
            }
            _ => {}
        }
    }
    out
}
