//! Values of one bit for backends without them: hls4ml 1.3.0 writes an `ac_fixed` of one bit
//! (Quartus, Catapult) two bits wide, with a step of half the size, and half a step is then a
//! value.
//!
//! Two bits hold 0 to 3 steps. What would saturate at 1 does so after 2 is added, and has it taken
//! away again.

use super::build::QuantType;
use super::lower::Lower;
use super::part::{Group, Stage, shape};
use crate::proxy::error::Reason;
use crate::quant::Kif;
use crate::quant::interval::Span;
use crate::quant::rounding::shl;

impl Lower<'_> {
    /// The quantizer of `group`, of type `q`, after a stage; the result is called `out`.
    pub(super) fn cast(
        &mut self,
        stem: &str,
        stage: &Stage,
        group: &Group,
        q: QuantType,
        tensor: String,
        out: String,
    ) -> Result<String, Reason> {
        let n = group.elements.len();
        let whole = shape(&stage.lead, n);
        if q.bits != 1 || self.target.backend.has_one_bit() {
            return Ok(self.b.quant(tensor, out, &whole, q));
        }
        let two = QuantType { bits: 2, ..q };
        let spans = &self.spans[stage.value];
        let clips = |&e: &usize| {
            let span = if group.negate { spans[e].negated() } else { spans[e] };
            shl(1, span.frac - q.frac).is_none_or(|step| span.hi > step)
        };
        if !group.elements.iter().any(clips) {
            return Ok(self.b.quant(tensor, out, &whole, two));
        }
        let first = self.b.name(&format!("{stem}_two"));
        let tensor = self.b.quant(tensor, first, &whole, two);
        let kif = Kif::new(false, 2 - q.frac, q.frac);
        let up = Span::new(2, 2, q.frac);
        let tensor = self.moved(&format!("{stem}_up"), tensor, &stage.lead, n, up, kif)?;
        let down = self.shift(&format!("{stem}_down"), tensor, &stage.lead, &vec![up.negated(); n])?;
        Ok(self.b.quant(down, out, &whole, QuantType { round: false, ..two }))
    }
}
