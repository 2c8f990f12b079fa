//! Quantizers: elements grouped by format, written together with the layer in front.

use super::lower::Lower;
use super::offset::{mirrored, offset};
use super::part::{Base, Group, Part, Stage, shape};
use crate::graph::{Node, ValueId};
use crate::ops::Elementwise;
use crate::proxy::error::Reason;
use crate::proxy::form::Form;
use crate::quant::interval::Span;
use crate::quant::rounding::cast;
use crate::quant::{FixedOp, FixedQuantizer, Kif, Overflow, Rounding};
use std::collections::BTreeMap;
use std::rc::Rc;

impl<'a> Lower<'a> {
    /// Writes the quantizer `node` on `source`.
    pub(super) fn quantize(&mut self, node: &Node<FixedOp>, q: &FixedQuantizer, source: ValueId) -> Result<Vec<Part>, Reason> {
        if q.overflow == Overflow::Wrap {
            return Err(Reason::Wrap);
        }
        let value = node.output;
        let elements: Vec<usize> = (0..q.formats.len()).filter(|&e| self.live[value][e] && !q.formats[e].is_zero()).collect();
        let pending = self.pending(source);
        if elements.is_empty() {
            return Ok(Vec::new());
        }
        let mut stage = match pending {
            // spans of a stage are those of the value in front of the quantizer
            Some(stage) => Stage { value: source, ..stage },
            None => {
                let parts = self.parts(source);
                let raw = parts.iter().any(|p| self.is_raw(p));
                if raw {
                    self.check_raw(q)?;
                }
                let unchanged = !raw && q.offset.is_none() && !parts.iter().any(|p| p.bare);
                if unchanged && elements.iter().all(|&e| keeps(&self.spans[source][e], q, e)) {
                    return Ok(parts);
                }
                // the value in front of the quantizer has the same shape
                let lead = self.leads[source].clone();
                Stage {
                    base: Base::Copy,
                    lead,
                    offset: q.offset.clone().map(Rc::new),
                    ..self.selection(&node.name, source, parts)
                }
            }
        };
        self.check_table(&stage, q, &elements)?;
        let groups = self.groups(value, q, &elements);
        let matched = self.matched(&stage, &groups, &elements);
        let carries = self.carries_offset(&stage, &groups);
        let on_grid = !self.leads[source].is_empty();
        let by_pieces = on_grid || stage.parts.iter().any(|p| p.bare);
        let parts = match (stage.base, matched) {
            (Base::Copy, Some(groups)) if carries => self.copy(&stage, Some(&groups))?,
            (Base::Copy, None) if carries && by_pieces => self.pieces(&stage, &groups)?,
            (Base::Dense(_), _) if carries => self.linear(&stage, &groups)?,
            _ => {
                // the rounding cannot ride on this layer: exact first, then a selection per format
                if !stage.is_plain() {
                    stage.parts = self.materialise(&stage);
                }
                let select = Stage { offset: stage.offset, ..self.selection(&stage.node, source, stage.parts) };
                if on_grid { self.pieces(&select, &groups)? } else { self.linear(&select, &groups)? }
            }
        };
        self.joined(value, parts)
    }

    /// One group per format, in a fixed order.
    fn groups(&self, value: ValueId, q: &FixedQuantizer, elements: &[usize]) -> Vec<Group> {
        let mut by_format: BTreeMap<Kif, Vec<usize>> = BTreeMap::new();
        for &e in elements {
            by_format.entry(q.formats[e]).or_default().push(e);
        }
        let whole = by_format.len() == 1;
        by_format
            .into_iter()
            .map(|(kif, elements)| {
                // a signed Quant of one bit is {−1, +1} to qonnx and {−1, 0} to hls4ml: its
                // negative is unsigned
                let negate = kif.keep_negative && kif.bits() == 1;
                let rounding = if negate { mirrored(q.rounding) } else { q.rounding };
                let name = (whole && !negate).then(|| self.name_of_whole(value, &elements)).flatten();
                let narrow = q.overflow == Overflow::SatSym && kif.keep_negative;
                let kif = if negate { Kif { keep_negative: false, integer: kif.integer + 1, ..kif } } else { kif };
                Group { elements, kif, rounding, narrow, negate, name }
            })
            .collect()
    }

    /// The groups in the order of the parts, when every part is exactly one group.
    fn matched(&self, stage: &Stage, groups: &[Group], elements: &[usize]) -> Option<Vec<Group>> {
        let held: usize = stage.parts.iter().map(|p| p.elements.len()).sum();
        if held != elements.len() {
            return None;
        }
        let format_of = |e: usize| groups.iter().position(|g| g.elements.contains(&e));
        stage
            .parts
            .iter()
            .map(|part| {
                let at = format_of(*part.elements.first()?)?;
                let group = &groups[at];
                let same = part.elements.iter().all(|&e| format_of(e) == Some(at));
                let name = group.name.clone().filter(|_| stage.parts.len() == 1 && part.is_whole(elements.len()));
                (same && !group.negate).then(|| Group { elements: part.elements.clone(), name, ..group.clone() })
            })
            .collect()
    }

    /// True when the rounding constant may be added in front of the stage's activation (or there is
    /// none).
    fn carries_offset(&self, stage: &Stage, groups: &[Group]) -> bool {
        // the largest of −x is not minus the largest of x
        let negates = groups.iter().any(|g| g.negate);
        (stage.activation.is_none_or(|a| a.commutes_with_rounding() && !negates)
            || groups.iter().all(|g| !g.negate && self.offset_of(stage, g).is_zero()))
            && (stage.pools.is_empty() || !negates)
    }

    /// On the raw input only roundings that do not need the grid of the input.
    fn check_raw(&self, q: &FixedQuantizer) -> Result<(), Reason> {
        match q.rounding {
            Rounding::Ceil => Err(Reason::RoundingOfInput("ceil")),
            Rounding::HalfDown => Err(Reason::RoundingOfInput("half-down")),
            _ => Ok(()),
        }
    }

    fn check_table(&self, stage: &Stage, q: &FixedQuantizer, elements: &[usize]) -> Result<(), Reason> {
        let Some(Elementwise::Table(table)) = stage.activation else { return Ok(()) };
        let rounds = elements.iter().any(|&e| self.spans[stage.value][e].frac > q.formats[e].fractional);
        if rounds && !matches!(q.rounding, Rounding::Floor | Rounding::HalfUp) {
            return Err(Reason::TableRounding { function: table.onnx() });
        }
        Ok(())
    }

    /// In the form [`Form::Concat`] the parts become one tensor.
    pub(super) fn joined(&mut self, value: ValueId, parts: Vec<Part>) -> Result<Vec<Part>, Reason> {
        if self.form != Form::Concat || parts.len() < 2 {
            return Ok(parts);
        }
        let stem = format!("{}_concat", self.model.values[value].name);
        let joined = parts.into_iter().reduce(|a, b| {
            let elements = [a.elements, b.elements].concat();
            let negated = [a.negated, b.negated].concat();
            let out = self.b.name(&stem);
            let axis = vec![super::build::int("axis", a.lead.len() as i64 + 1)];
            let tensor = self.b.node("Concat", vec![a.tensor, b.tensor], out, &shape(&a.lead, elements.len()), axis);
            Part { tensor, elements, negated, signed: a.signed || b.signed, bare: a.bare || b.bare, lead: a.lead }
        });
        Ok(joined.into_iter().collect())
    }
}

/// True when the quantizer changes no value of `span`.
fn keeps(span: &Span, q: &FixedQuantizer, e: usize) -> bool {
    let format = q.formats[e];
    let at = |v| cast(v, span.frac, format, q.rounding, q.overflow);
    let rounds = !offset(Rounding::HalfUp, span.frac, format.fractional).is_zero();
    let (lo, hi) = q.overflow.bounds(format);
    let inside = |v: i128| {
        let drop = span.frac - format.fractional;
        crate::quant::rounding::shl(v, -drop).is_some_and(|u| u >= lo && u <= hi && u == at(v))
    };
    !rounds && inside(span.lo) && inside(span.hi)
}
