//! Worst-case integer range and grid of every element of every value of a [`FixedModel`]: how wide
//! an exact `Quant` must be, and which elements are constant.

use crate::proxy::error::{Fault, MAX_BITS, Reason};
use crate::quant::interval::{Span, Unfit, step};
use crate::quant::{FixedModel, Kif};

/// Spans of all values, per element. The graph inputs hold every value of `port`.
///
/// # Errors
/// Every node one of whose elements needs more than [`MAX_BITS`] bits, and every node whose operand
/// has the wrong length.
pub fn spans(model: &FixedModel, port: Kif) -> Result<Vec<Vec<Span>>, Vec<Fault>> {
    let mut all: Vec<Vec<Span>> = model.values.iter().map(|v| vec![Span::ZERO; v.len()]).collect();
    let mut faults = Vec::new();
    for &input in &model.inputs {
        all[input].fill(Span::of(port));
    }
    for node in &model.nodes {
        let operands: Vec<&[Span]> = node.inputs.iter().map(|&v| &all[v][..]).collect();
        let result = step(&node.op, &operands, &model.shapes(&node.inputs), model.len_of(node.output));
        let narrow = result.map_err(Reason::from).and_then(|spans| {
            let bits = spans.iter().map(|s| s.kif().bits()).max().unwrap_or(0);
            if bits > MAX_BITS { Err(Reason::TooWide { what: "the result", bits }) } else { Ok(spans) }
        });
        match narrow {
            Ok(spans) => all[node.output] = spans,
            Err(reason) => faults.push(Fault { node: node.name.clone(), reason }),
        }
    }
    if faults.is_empty() { Ok(all) } else { Err(faults) }
}

impl From<Unfit> for Reason {
    fn from(unfit: Unfit) -> Reason {
        match unfit {
            Unfit::Wide => Reason::TooWide { what: "the result", bits: 127 },
            Unfit::Shape { what, found, wanted } => Reason::Shape { what, found, wanted },
            Unfit::Structure(what) => Reason::Structure(what),
        }
    }
}
