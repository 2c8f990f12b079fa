//! Another shape for the same elements, between grids and flat values.

use super::constant::{covering, quant_type};
use super::lower::Lower;
use super::part::{Part, Stage, State};
use super::select::MAX_ENTRIES;
use crate::graph::{Node, ValueId};
use crate::proxy::error::Reason;
use crate::quant::FixedOp;
use crate::quant::interval::Span;

impl<'a> Lower<'a> {
    pub(super) fn reshape(&mut self, node: &'a Node<FixedOp>, source: ValueId) -> Result<State<'a>, Reason> {
        let (from, to) = (self.leads[source].clone(), self.leads[node.output].clone());
        let units = self.spans[node.output].len();
        if from == to && self.spans[source].len() == units {
            return Ok(match self.pending(source) {
                Some(stage) => State::Pending(Stage { value: node.output, ..stage }),
                None => State::Parts(self.partial(source)),
            });
        }
        let parts = self.parts(source);
        if self.spans[source].len() == units {
            let moved = parts.into_iter().map(|p| self.placed(p, node.output, None)).collect::<Result<_, _>>()?;
            return Ok(State::Parts(moved));
        }
        let flat = parts.into_iter().map(|p| self.flattened(p, self.spans[source].len())).collect();
        if to.is_empty() {
            return Ok(State::Parts(flat));
        }
        self.on_grid(node, source, flat).map(State::Parts)
    }

    /// The part as a flat one of a value with `units` channels.
    fn flattened(&mut self, part: Part, units: usize) -> Part {
        if part.lead.is_empty() {
            return part;
        }
        let positions: usize = part.lead.iter().product();
        let elements: Vec<usize> = (0..positions).flat_map(|p| part.elements.iter().map(move |&c| p * units + c)).collect();
        let negated = (0..positions).flat_map(|_| part.negated.iter().copied()).collect();
        let out = self.b.name(&format!("{}_flat", part.tensor));
        let tensor = self.b.reshape(part.tensor, out, &[1, elements.len()]);
        Part { tensor, lead: Vec::new(), elements, negated, ..part }
    }

    /// Flat parts on the positions of the node's output: as they are where each holds whole
    /// channels in order, else sorted by a 0/1 matrix first.
    fn on_grid(&mut self, node: &'a Node<FixedOp>, source: ValueId, flat: Vec<Part>) -> Result<Vec<Part>, Reason> {
        let lead = self.leads[node.output].clone();
        let (units, positions) = (self.spans[node.output].len(), lead.iter().product::<usize>());
        let channels = |part: &Part| {
            let n = part.elements.len() / positions.max(1);
            let first = part.elements.get(..n).filter(|first| !first.is_empty())?.to_vec();
            let ordered = part.elements.iter().enumerate().all(|(at, &e)| e == at / n * units + first[at % n]);
            (n * positions == part.elements.len() && ordered && !part.is_flipped()).then_some(first)
        };
        let kept = self.live_units(node.output);
        if kept.is_empty() {
            return Ok(Vec::new());
        }
        let whole: Option<Vec<Vec<usize>>> = flat.iter().map(channels).collect();
        let held = |c: &usize| whole.as_ref().is_some_and(|parts| parts.iter().any(|p| p.contains(c)));
        let parts = if kept.iter().all(held) {
            flat
        } else {
            let elements: Vec<usize> = (0..positions).flat_map(|p| kept.iter().map(move |c| p * units + c)).collect();
            let rows: usize = flat.iter().map(|p| p.elements.len()).sum();
            if rows.saturating_mul(elements.len()) > MAX_ENTRIES {
                return Err(Reason::Selection { from: rows, to: elements.len(), limit: MAX_ENTRIES });
            }
            vec![self.sorted(node, source, flat, elements)?]
        };
        parts
            .into_iter()
            .map(|part| {
                let elements = channels(&part).unwrap_or_default();
                let negated = vec![false; elements.len()];
                let out = self.b.name(&format!("{}_grid", part.tensor));
                let tensor = self.b.reshape(part.tensor.clone(), out, &super::part::shape(&lead, elements.len()));
                Ok(Part { tensor, lead: lead.clone(), elements, negated, ..part })
            })
            .collect()
    }

    /// Flat parts of the node's output in one tensor, in the order of `elements`: a 0/1 matrix for
    /// each part, and their sum.
    fn sorted(
        &mut self,
        node: &'a Node<FixedOp>,
        source: ValueId,
        flat: Vec<Part>,
        elements: Vec<usize>,
    ) -> Result<Part, Reason> {
        let units = self.spans[node.output].len();
        let stem = self.model.values[node.output].name.clone();
        let shape = [1, elements.len()];
        let kif = covering(elements.iter().map(|&e| &self.spans[node.output][e % units]));
        let exact = quant_type("a sorted element", kif, false)?;
        // what no part holds is constant
        let spans = &self.spans[source];
        let mut bias = vec![Span::ZERO; elements.len()];
        for (bias, &e) in bias.iter_mut().zip(&elements).filter(|(_, e)| !flat.iter().any(|p| p.elements.contains(e))) {
            // a unit of a grid is one at all positions; what nobody reads may be anything
            let span = spans[e % spans.len()];
            *bias = if span.is_constant() { span } else { Span::ZERO };
        }
        let parts = if flat.is_empty() { vec![self.nothing(&[])?] } else { flat };
        let mut sum: Option<String> = None;
        for (at, part) in parts.iter().enumerate() {
            let one = |e: usize| {
                let row = part.elements.iter().position(|&p| p == e)?;
                Some((row, Span::new(if part.negated[row] { -1 } else { 1 }, if part.negated[row] { -1 } else { 1 }, 0)))
            };
            let mut weights = vec![Span::ZERO; part.elements.len() * elements.len()];
            for (column, (row, w)) in elements.iter().enumerate().filter_map(|(column, &e)| Some((column, one(e)?))) {
                weights[row * elements.len() + column] = w;
            }
            let bias = if at == 0 { bias.clone() } else { vec![Span::ZERO; elements.len()] };
            let product = self.product(&format!("{stem}_s{at}"), part, None, &weights, &bias, false)?;
            let out = self.b.name(&format!("{stem}_sorted"));
            let term = self.b.quant(product, out, &shape, exact);
            sum = Some(match sum {
                None => term,
                Some(before) => {
                    let out = self.b.name(&format!("{stem}_sum"));
                    let added = self.b.node("Add", vec![before, term], out, &shape, Vec::new());
                    let out = self.b.name(&format!("{stem}_joined"));
                    self.b.quant(added, out, &shape, exact)
                }
            });
        }
        let tensor = sum.ok_or_else(|| Reason::Structure("nothing was written".into()))?;
        Ok(Part::new(tensor, &[], elements, false, kif.keep_negative))
    }
}
