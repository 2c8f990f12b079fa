//! Largest-value pooling and explicit padding.
//!
//! Pooling takes the largest of formats that stay as they are. hls4ml pads it with the pattern
//! `100…0`: the least value of a signed type, a large one of an unsigned type, which is padded with
//! zeros in front instead. Its reader refuses one-dimensional pooling, which is written as
//! two-dimensional (docs/hls4ml-contract.md#f-layers). In io_stream it pads nothing: signed values
//! are lifted to 0 and more, padded with zeros and let down after the pool; and its windows stand
//! side by side: others are in [`super::taps`].

use super::build::ints;
use super::constant::{covering, quant_type};
use super::lower::Lower;
use super::part::{Base, Group, Part, Stage, State, only, shape};
use crate::graph::{Node, ValueId, Window};
use crate::ops::movement;
use crate::proxy::error::Reason;
use crate::proxy::target::{Io, strides_in_stream};
use crate::quant::interval::Span;
use crate::quant::{FixedOp, Kif};

impl<'a> Lower<'a> {
    pub(super) fn max_pool(&mut self, node: &'a Node<FixedOp>, source: ValueId, window: &'a Window) -> Result<State<'a>, Reason> {
        // everything a stage does is monotone, so the pool may come last: it sees the quantised
        // values
        if let Some(mut stage) = self.pending(source) {
            stage.pools.push(window);
            return Ok(State::Pending(Stage { value: node.output, ..stage }));
        }
        let mut written = Vec::new();
        for (at, part) in self.parts(source).into_iter().enumerate() {
            let part = self.plain(&node.name, source, part)?;
            let stem = format!("{}_p{at}", self.model.values[node.output].name);
            let kif = covering(part.elements.iter().map(|&e| &self.spans[source][e]));
            let pooled = self.pool(&stem, part, window, kif)?;
            written.push(self.placed(pooled, node.output, None)?);
        }
        Ok(State::Parts(written))
    }

    /// One `MaxPool`; the result has two axes of positions. `kif` holds every value.
    pub(super) fn pool(&mut self, stem: &str, part: Part, window: &Window, kif: Kif) -> Result<Part, Reason> {
        let [height, width] = [window.input[0], window.input[1]];
        let mut tensor = self.shaped(&part, &[height, width])?;
        let mut pads = window.pads;
        let (n, lead) = (part.elements.len(), window.output().to_vec());
        let negative = part.signed && kif.keep_negative;
        let lifted = (window.is_padded() && negative && self.target.io == Io::Stream).then(|| Span::new(1, 1, -kif.integer));
        let raised = Kif { keep_negative: false, integer: kif.integer + 1, ..kif };
        if let Some(lift) = lifted {
            tensor = self.moved(&format!("{stem}_lifted"), tensor, &[height, width], n, lift, raised)?;
        }
        if window.is_padded() && (lifted.is_some() || !negative) {
            let [top, left, bottom, right] = std::mem::take(&mut pads);
            tensor = self.zeros_around(stem, tensor, &[height, width], n, &[top, left], &[bottom, right]);
        }
        let strides = match self.target.io {
            Io::Parallel => window.stride,
            Io::Stream => strides_in_stream(window),
        };
        if self.target.io == Io::Stream && strides != window.kernel {
            let padded = [0, 1].map(|axis| window.input[axis] + window.pads[axis] + window.pads[axis + 2]);
            let held = if lifted.is_some() { raised } else { kif };
            let whole = Part { tensor, lead: padded.to_vec(), ..part.clone() };
            tensor = self.largest_by_taps(stem, whole, window, held)?.tensor;
        } else {
            let attributes = vec![ints("kernel_shape", &window.kernel), ints("strides", &strides), ints("pads", &pads)];
            let out = self.b.name(&format!("{stem}_pool"));
            tensor = self.b.node("MaxPool", vec![tensor], out, &shape(&lead, n), attributes);
        }
        if let Some(lift) = lifted {
            tensor = self.moved(&format!("{stem}_lowered"), tensor, &lead, n, lift.negated(), kif)?;
        }
        Ok(Part { tensor, lead, ..part })
    }

    /// `by` added to every value of a tensor, which then fits `kif`.
    pub(super) fn moved(
        &mut self,
        stem: &str,
        tensor: String,
        lead: &[usize],
        units: usize,
        by: Span,
        kif: Kif,
    ) -> Result<String, Reason> {
        let tensor = self.shift(stem, tensor, lead, &vec![by; units])?;
        let out = self.b.name(&format!("{stem}_quant"));
        Ok(self.b.quant(tensor, out, &shape(lead, units), quant_type("the lifted value", kif, false)?))
    }

    pub(super) fn zeros_around(
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
        let out = name.unwrap_or_else(|| self.b.name(&format!("{}_placed", part.tensor)));
        let tensor = self.reshaped(&part, &lead, out)?;
        Ok(Part { tensor, lead, ..part })
    }

    /// The part holding `x`, not `−x`, after a `Quant`.
    pub(super) fn plain(&mut self, node: &str, value: ValueId, part: Part) -> Result<Part, Reason> {
        if !part.bare && !part.is_flipped() {
            return Ok(part);
        }
        let elements = part.elements.clone();
        if part.is_flipped() {
            return self.selected(node, value, vec![part], elements);
        }
        let group = self.exact(value, elements, None);
        let stage = self.selection(node, value, vec![part.clone()]);
        only(self.copy(&Stage { base: Base::Copy, lead: part.lead, ..stage }, Some(&[group]))?)
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
            let map = movement::pad(&self.model.values[source].shape, before, after);
            map.into_iter().enumerate().for_each(|(at, from)| from.into_iter().for_each(|e| to[e] = at));
            return Ok(self.parts(source).into_iter().map(|p| renumbered(p, |e| to[e])).collect());
        }
        let axes = lead.len();
        if axes > 2 {
            return Err(Reason::Structure("pads more than two axes of positions".into()));
        }
        let mut written = Vec::new();
        for (at, part) in self.complete(&node.name, source)?.into_iter().enumerate() {
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
