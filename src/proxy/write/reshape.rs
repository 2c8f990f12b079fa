//! Another shape for the same elements, between grids and flat values.

use super::lower::Lower;
use super::part::{Part, Stage, State};
use crate::graph::{Node, ValueId};
use crate::proxy::error::Reason;
use crate::quant::FixedOp;

impl<'a> Lower<'a> {
    pub(super) fn reshape(&mut self, node: &'a Node<FixedOp>, source: ValueId) -> Result<State<'a>, Reason> {
        let (from, to) = (self.leads[source].clone(), self.leads[node.output].clone());
        let units = self.spans[node.output].len();
        if from == to && self.spans[source].len() == units {
            return Ok(match self.pending(source) {
                Some(stage) => State::Pending(Stage { value: node.output, ..stage }),
                None => State::Parts(self.parts(source)),
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
        let parts = if flat.iter().all(|p| channels(p).is_some()) {
            flat
        } else {
            let kept = self.live_units(node.output);
            let elements: Vec<usize> = (0..positions).flat_map(|p| kept.iter().map(move |c| p * units + c)).collect();
            if elements.is_empty() {
                return Ok(Vec::new());
            }
            let flat_source = Stage { lead: Vec::new(), ..self.selection(&node.name, source, flat) };
            if !self.leads[source].is_empty() {
                return Err(Reason::Structure("reshapes positions and channels of a grid into others".into()));
            }
            let group = self.exact(source, elements, None);
            self.linear(&flat_source, &[group])?
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
}
