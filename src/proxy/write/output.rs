//! Model inputs and outputs.

use super::build::QuantType;
use super::lower::Lower;
use super::part::{Base, Part, Stage, State, shape};
use crate::graph::ValueId;
use crate::proxy::error::Reason;
use crate::quant::interval::Span;

impl Lower<'_> {
    /// Registers a model input whose name is reserved; one that stays flat is flattened.
    pub(super) fn input(&mut self, value: ValueId, name: &str) {
        let (units, lead) = (self.spans[value].len(), self.leads[value].clone());
        let mut tensor = name.to_string();
        if lead.is_empty() && self.model.values[value].shape.len() != 1 {
            let flat = self.b.name(&format!("{name}_flat"));
            tensor = self.b.reshape(tensor, flat, &[1, units]);
        }
        let raw = Part::new(tensor, &lead, (0..units).collect(), false, true);
        self.raws.push(raw.clone());
        self.states[value] = Some(State::Parts(vec![raw]));
    }

    /// True for a tensor that no `Quant` has seen.
    pub(super) fn is_raw(&self, part: &Part) -> bool {
        self.raws.iter().any(|raw| raw.tensor == part.tensor)
    }

    /// A tensor on the positions `lead` for layers that read nothing; they multiply it by 0.
    pub(super) fn nothing(&mut self, lead: &[usize]) -> Result<Part, Reason> {
        let Some(mut raw) = self.raws.first().cloned() else { return Err(Reason::Structure("the model has no input".into())) };
        raw.elements.fill(super::part::NOWHERE);
        if raw.lead == lead {
            return Ok(raw);
        }
        if !raw.lead.is_empty() {
            let len = raw.shape().iter().product();
            let flat = self.b.name(&format!("{}_flat", raw.tensor));
            let tensor = self.b.reshape(raw.tensor, flat, &[1, len]);
            raw = Part::new(tensor, &[], vec![super::part::NOWHERE; len], false, true);
        }
        if lead.is_empty() {
            return Ok(raw);
        }
        let positions = lead.iter().product();
        let zeros = self.product(
            "nothing",
            &raw,
            None,
            &vec![Span::ZERO; raw.elements.len() * positions],
            &vec![Span::ZERO; positions],
            false,
        )?;
        let out = self.b.name("nothing_quant");
        let one_bit = QuantType { signed: false, narrow: false, bits: 1, frac: 0, round: false };
        let flat = self.b.quant(zeros, out, &[1, positions], one_bit);
        let out = self.b.name("nothing_there");
        let tensor = self.b.reshape(flat, out, &shape(lead, 1));
        Ok(Part::new(tensor, lead, vec![super::part::NOWHERE], false, false))
    }

    /// Makes `value` one tensor called `name`: constants filled in, order restored.
    pub(super) fn output(&mut self, value: ValueId, name: &str) {
        let len = self.spans[value].len();
        let mut parts = self.parts(value);
        let fits = self.shape_of(value, len)[1..] == self.model.values[value].shape[..];
        if !matches!(&parts[..], [p] if p.is_whole(len)) || (fits && parts[0].tensor != name) {
            let stage = self.selection(name, value, parts);
            let group = self.exact(value, (0..len).collect(), fits.then(|| name.to_string()));
            let written = match &stage.parts[..] {
                [p] if p.is_whole(len) => {
                    let lead = self.leads[value].clone();
                    self.copy(&Stage { base: Base::Copy, lead, ..stage.clone() }, Some(&[group]))
                }
                _ => self.linear(&stage, &[group]),
            };
            parts = self.or_fault(name, value, written);
        }
        if let (false, Some(part)) = (fits, parts.first()) {
            let shape = [&[1], &self.model.values[value].shape[..]].concat();
            self.b.reshape(part.tensor.clone(), name.to_string(), &shape);
        }
    }
}
