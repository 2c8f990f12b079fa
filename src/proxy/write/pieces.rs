//! Layers each of whose outputs depends on one part only: written part by part, nothing is added up
//! and no type is widened.

use super::lower::Lower;
use super::part::{Base, Group, Part, Stage};
use super::pool::restricted;
use crate::proxy::error::Reason;

impl<'a> Lower<'a> {
    /// A convolution whose outputs read one part each: depthwise ones as such, others where several
    /// parts would have to be added. `None` where that does not apply.
    pub(super) fn separate(&mut self, stage: &Stage<'a>, groups: &[Group]) -> Result<Option<Vec<Part>>, Reason> {
        let Base::Dense(d) = stage.base else { return Ok(None) };
        let Some(window) = &d.window else { return Ok(None) };
        let depthwise = window.is_depthwise() && d.outputs == window.input[2];
        if stage.parts.is_empty() || !(depthwise || stage.parts.len() > 1) {
            return Ok(None);
        }
        let mut owner = vec![None; d.outputs];
        for (at, part) in stage.parts.iter().enumerate() {
            let columns: Vec<usize> = (0..d.outputs).collect();
            for row in self.plain_weights(stage, part, &columns).chunks(d.outputs.max(1)) {
                for (owner, _) in owner.iter_mut().zip(row).filter(|(_, w)| !w.is_zero()) {
                    if owner.is_some_and(|o| o != at) {
                        return Ok(None);
                    }
                    *owner = Some(at);
                }
            }
        }
        let stem = self.model.values[stage.value].name.clone();
        let mut pieces = Vec::new();
        for group in groups {
            let mut of_part: Vec<Vec<usize>> = vec![Vec::new(); stage.parts.len()];
            let fallback = group.elements.iter().find_map(|&e| owner[e]).unwrap_or(0);
            group.elements.iter().for_each(|&e| of_part[owner[e].unwrap_or(fallback)].push(e));
            for (at, elements) in of_part.into_iter().enumerate().filter(|(_, e)| !e.is_empty()) {
                pieces.push((at, group, elements));
            }
        }
        let alone = pieces.len() == 1;
        let mut written = Vec::with_capacity(pieces.len());
        for (number, (at, group, elements)) in pieces.into_iter().enumerate() {
            let part = &stage.parts[at];
            let whole = depthwise && elements.len() == part.elements.len() && part.elements.iter().all(|e| elements.contains(e));
            // one channel is an ordinary convolution
            let real = whole && elements.len() > 1 && self.target.has_depthwise();
            let name = group.name.clone().filter(|_| alone && (!real || part.elements == group.elements));
            let elements = if real { part.elements.clone() } else { elements };
            let group = Group { name, ..restricted(group, elements) };
            let stem = if alone { stem.clone() } else { format!("{stem}_s{number}") };
            let mut weights = self.weights(stage, part, &group.elements, self.flips(stage, &group));
            if real {
                let n = group.elements.len();
                weights = (0..window.taps() * n).map(|k| weights[k * n + k % n]).collect();
            }
            let bias = self.bias(stage, &group)?;
            let base = self.product(&stem, part, Some(window), &weights, &bias, real)?;
            written.push(self.tail(&stem, stage, &group, base)?);
        }
        Ok(Some(written))
    }

    /// An element-wise stage whose groups cut across its parts: each intersection of a part and a
    /// group is a part of the result.
    pub(super) fn pieces(&mut self, stage: &Stage<'a>, groups: &[Group]) -> Result<Vec<Part>, Reason> {
        let mut written = Vec::new();
        for group in groups {
            let mut held = Vec::new();
            for part in &stage.parts {
                let elements: Vec<usize> = part.elements.iter().copied().filter(|e| group.elements.contains(e)).collect();
                if elements.is_empty() {
                    continue;
                }
                held.extend_from_slice(&elements);
                let all = elements.len() == part.elements.len();
                let alone = groups.len() == 1 && elements == group.elements;
                let group = Group { name: group.name.clone().filter(|_| alone), ..restricted(group, elements) };
                let one = Stage { parts: vec![part.clone()], ..stage.clone() };
                if all && matches!(stage.base, Base::Copy) && !part.is_flipped() && !group.negate {
                    written.extend(self.copy(&one, Some(&[group]))?);
                } else {
                    written.extend(self.linear(&self.as_selection(&one), &[group])?);
                }
            }
            let rest: Vec<usize> = group.elements.iter().copied().filter(|e| !held.contains(e)).collect();
            if !rest.is_empty() {
                let none = self.as_selection(&Stage { parts: Vec::new(), ..stage.clone() });
                written.extend(self.linear(&none, &[restricted(group, rest)])?);
            }
        }
        Ok(written)
    }

    /// The stage as a matrix of zeros and ones.
    fn as_selection(&self, stage: &Stage<'a>) -> Stage<'a> {
        let lead = super::part::lead_of(&self.leads[stage.source]);
        Stage { base: Base::Select, base_value: stage.source, lead, ..stage.clone() }
    }
}
