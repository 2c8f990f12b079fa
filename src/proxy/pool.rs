//! Largest-value pooling and explicit padding.
//!
//! Pooling takes the largest of formats that stay as they are. hls4ml pads it with the pattern `100…0`: the least value of a signed
//! type, a large one of an unsigned type, which is padded with zeros in front instead. Its reader refuses one-dimensional pooling,
//! which is written as two-dimensional (contract, section f).

use super::build::ints;
use super::error::Reason;
use super::linear::Group;
use super::lower::Lower;
use super::part::{Base, Part, Stage, State, shape};
use crate::graph::{Node, ValueId, Window, moves};
use crate::quant::FixedOp;

impl<'a> Lower<'a> {
    pub(super) fn max_pool(&mut self, node: &'a Node<FixedOp>, source: ValueId, window: &'a Window) -> Result<State<'a>, Reason> {
        // everything a stage does is monotone, so the pool may come last: it sees the quantised values
        if let Some(mut stage) = self.pending(source) {
            stage.pools.push(window);
            return Ok(State::Pending(Stage { value: node.output, ..stage }));
        }
        let mut written = Vec::new();
        for (at, part) in self.parts(source).into_iter().enumerate() {
            let part = self.plain(&node.name, source, part)?;
            let stem = format!("{}_p{at}", self.model.values[node.output].name);
            let negative = part.elements.iter().any(|&e| self.spans[source][e].lo < 0);
            let pooled = self.pool(&stem, part, window, negative)?;
            written.push(self.placed(pooled, node.output, None)?);
        }
        Ok(State::Parts(written))
    }

    /// One `MaxPool`; the result has two axes of positions. `negative`: some value may be.
    pub(super) fn pool(&mut self, stem: &str, part: Part, window: &Window, negative: bool) -> Result<Part, Reason> {
        let [height, width] = [window.input[0], window.input[1]];
        let mut tensor = self.shaped(&part, &[height, width])?;
        let mut pads = window.pads;
        let n = part.elements.len();
        if window.is_padded() && !(part.signed && negative) {
            let [top, left, bottom, right] = std::mem::take(&mut pads);
            tensor = self.zeros_around(stem, tensor, &[height, width], n, &[top, left], &[bottom, right]);
        }
        let attributes = vec![ints("kernel_shape", &window.kernel), ints("strides", &window.stride), ints("pads", &pads)];
        let out = self.b.name(&format!("{stem}_pool"));
        let lead = window.output().to_vec();
        let tensor = self.b.node("MaxPool", vec![tensor], out, &shape(&lead, n), attributes);
        Ok(Part { tensor, lead, ..part })
    }

    fn zeros_around(
        &mut self,
        stem: &str,
        tensor: String,
        lead: &[usize],
        units: usize,
        before: &[usize],
        after: &[usize],
    ) -> String {
        let around = [&[0], before, &[0, 0], after, &[0]].concat();
        let pads = self.b.integers(&format!("{stem}_pads"), &around);
        let out = self.b.name(&format!("{stem}_padded"));
        let padded: Vec<usize> = lead.iter().zip(before).zip(after).map(|((l, b), a)| l + b + a).collect();
        self.b.node("Pad", vec![tensor, pads], out, &shape(&padded, units), Vec::new())
    }

    /// The part on the positions of `value`, called `name` if that is given.
    pub(super) fn placed(&mut self, part: Part, value: ValueId, name: Option<String>) -> Result<Part, Reason> {
        let lead = self.leads[value].clone();
        if part.lead == lead && name.is_none() {
            return Ok(part);
        }
        let (found, wanted) = (part.lead.iter().product::<usize>(), lead.iter().product::<usize>());
        if found != wanted {
            return Err(Reason::Shape { what: "positions", found, wanted });
        }
        let out = name.unwrap_or_else(|| self.b.name(&format!("{}_placed", part.tensor)));
        let tensor = self.b.reshape(part.tensor.clone(), out, &shape(&lead, part.elements.len()));
        Ok(Part { tensor, lead, ..part })
    }

    /// The part holding `x`, not `−x`, behind a `Quant`.
    pub(super) fn plain(&mut self, node: &str, value: ValueId, part: Part) -> Result<Part, Reason> {
        if !part.bare && !part.is_flipped() {
            return Ok(part);
        }
        let group = self.exact(value, part.elements.clone(), None);
        let stage = self.selection(node, value, vec![part.clone()]);
        let written = if part.is_flipped() {
            self.linear(&stage, &[group])?
        } else {
            self.copy(&Stage { base: Base::Copy, lead: part.lead.clone(), ..stage }, Some(&[group]))?
        };
        written.into_iter().next().ok_or_else(|| Reason::Structure("nothing was written".into()))
    }

    pub(super) fn pad(
        &mut self,
        node: &'a Node<FixedOp>,
        source: ValueId,
        before: &[usize],
        after: &[usize],
    ) -> Result<Vec<Part>, Reason> {
        let lead = self.leads[source].clone();
        if lead.is_empty() {
            // only numbers change: what is added is constant
            let mut to = vec![super::part::NOWHERE; self.spans[source].len()];
            let map = moves::pad(&self.model.values[source].shape, before, after);
            map.into_iter().enumerate().for_each(|(at, from)| from.into_iter().for_each(|e| to[e] = at));
            return Ok(self.parts(source).into_iter().map(|p| renumbered(p, |e| to[e])).collect());
        }
        let axes = lead.len();
        if axes > 2 {
            return Err(Reason::Structure("pads more than two axes of positions".into()));
        }
        let mut written = Vec::new();
        for (at, part) in self.parts(source).into_iter().enumerate() {
            let part = self.plain(&node.name, source, part)?;
            let stem = format!("{}_p{at}", self.model.values[node.output].name);
            let mut part = renumbered(part, |e| e + before[axes]);
            if before[..axes].iter().chain(&after[..axes]).any(|&p| p != 0) {
                part.tensor = self.zeros_around(&stem, part.tensor, &lead, part.elements.len(), &before[..axes], &after[..axes]);
                part.lead = self.leads[node.output].clone();
            }
            written.push(part);
        }
        Ok(written)
    }
}

/// The part with other unit numbers.
pub fn renumbered(mut part: Part, to: impl Fn(usize) -> usize) -> Part {
    part.elements.iter_mut().filter(|e| **e != super::part::NOWHERE).for_each(|e| *e = to(*e));
    part
}

/// The group restricted to some of its units.
pub fn restricted(group: &Group, elements: Vec<usize>) -> Group {
    Group { elements, name: None, ..group.clone() }
}
