//! Worst-case integer range and grid of every element of every value of a [`FixedModel`]: how wide
//! an exact `Quant` must be, and which elements are constant. The ranges of all elements of a large
//! image net do not fit into memory: they are shown value by value, and gone after the last reader.

use super::layout;
use crate::graph::ValueId;
use crate::proxy::error::{Fault, MAX_BITS, Reason};
use crate::quant::interval::{Span, Unfit, step};
use crate::quant::{FixedDense, FixedModel, FixedOp, Kif};

/// What is left of the spans of all elements.
pub struct Units {
    /// Per value, one span per unit of [`layout`].
    pub spans: Vec<Vec<Span>>,
    /// Per value and element: it has one value only.
    pub constant: Vec<Vec<bool>>,
}

/// Shows the spans of all elements of every value, those of the operands beside them; `node` is
/// `None` for graph inputs, which hold every value of `port`.
///
/// # Errors
/// Every node one of whose elements needs more than [`MAX_BITS`] bits, and every node whose operand
/// has the wrong length.
fn each(
    model: &FixedModel,
    port: Kif,
    mut see: impl FnMut(Option<usize>, ValueId, &[&[Span]], &[Span]),
) -> Result<(), Vec<Fault>> {
    let mut all: Vec<Vec<Span>> = vec![Vec::new(); model.values.len()];
    let mut faults = Vec::new();
    let last = model.last_readers();
    for &input in &model.inputs {
        all[input] = vec![Span::of(port); model.len_of(input)];
        see(None, input, &[], &all[input]);
    }
    for (index, node) in model.nodes.iter().enumerate() {
        let operands: Vec<&[Span]> = node.inputs.iter().map(|&v| &all[v][..]).collect();
        let result = step(&node.op, &operands, &model.shapes(&node.inputs), model.len_of(node.output));
        let narrow = result.map_err(Reason::from).and_then(|spans| {
            let bits = spans.iter().map(|s| s.kif().bits()).max().unwrap_or(0);
            if bits > MAX_BITS { Err(Reason::TooWide { what: "the result", bits }) } else { Ok(spans) }
        });
        let spans = narrow.unwrap_or_else(|reason| {
            faults.push(Fault { node: node.name.clone(), reason });
            vec![Span::ZERO; model.len_of(node.output)]
        });
        see(Some(index), node.output, &operands, &spans);
        all[node.output] = spans;
        model.read_last(&last, index).for_each(|v| all[v] = Vec::new());
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// Folds constants into the dense layers that read them (see [`super::pass::constant`]).
///
/// # Errors
/// As [`units`].
pub fn fold_constants(model: &mut FixedModel, port: Kif) -> Result<(), Vec<Fault>> {
    let mut folded: Vec<(usize, FixedDense)> = Vec::new();
    each(model, port, |node, _, operands, _| {
        if let (Some(index), Some(x)) = (node, operands.first())
            && let FixedOp::Dense(dense) = &model.nodes[index].op
        {
            folded.extend(super::pass::constant::folded(dense, x).map(|dense| (index, dense)));
        }
    })?;
    for (index, dense) in folded {
        model.nodes[index].op = FixedOp::Dense(dense);
    }
    Ok(())
}

/// The spans of all values per unit.
///
/// # Errors
/// Every node one of whose elements needs more than [`MAX_BITS`] bits, every node whose operand has
/// the wrong length, and every node with a channel whose positions need more than 127 bits on one
/// grid.
pub fn units(model: &FixedModel, port: Kif) -> Result<Units, Vec<Fault>> {
    let leads = layout::leads(model, &layout::grids(model));
    let none = || vec![Vec::new(); model.values.len()];
    let mut units = Units { spans: none(), constant: vec![Vec::new(); model.values.len()] };
    let mut faults = Vec::new();
    each(model, port, |node, value, _, spans| {
        let count = layout::units(spans.len(), &leads[value]);
        units.spans[value] = layout::unit_spans(spans, count).unwrap_or_else(|| {
            let node = node.map_or(String::new(), |n| model.nodes[n].name.clone());
            faults.push(Fault { node, reason: Reason::TooWide { what: "a channel", bits: 127 } });
            vec![Span::ZERO; count]
        });
        units.constant[value] = spans.iter().map(Span::is_constant).collect();
    })?;
    if faults.is_empty() { Ok(units) } else { Err(faults) }
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
