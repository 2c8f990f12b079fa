//! Element-wise stages, part by part: no matrix.

use super::constant::{covering, quant_type};
use super::linear::sum;
use super::lower::Lower;
use super::part::{Group, Part, Stage};
use crate::proxy::error::Reason;
use crate::quant::interval::Span;

impl<'a> Lower<'a> {
    /// Writes a stage of [`Base::Copy`]. `groups` has one entry per part with the part's elements;
    /// without it every part gets an exact wide `Quant`.
    pub(super) fn copy(&mut self, stage: &Stage<'a>, groups: Option<&[Group]>) -> Result<Vec<Part>, Reason> {
        let stem = self.model.values[stage.value].name.clone();
        let stage = self.unflipped(stage)?;
        let mut written = Vec::with_capacity(stage.parts.len());
        for (at, part) in stage.parts.iter().enumerate() {
            let group = match groups.and_then(|g| g.get(at)) {
                Some(group) => group.clone(),
                None => self.exact(stage.value, part.elements.clone(), self.name_of_whole(stage.value, &part.elements)),
            };
            let stem = if stage.parts.len() == 1 { stem.clone() } else { format!("{stem}_g{at}") };
            let mut tensor = part.tensor.clone();
            let half = self.offset_of(&stage, &group);
            let add = part.elements.iter().map(|&e| sum(stage.shift(e), half)).collect::<Result<Vec<_>, _>>()?;
            let adds = !add.iter().all(Span::is_zero);
            if part.bare && (stage.affine.is_some() || adds) {
                // hls4ml crashes on a constant directly after a merge
                let kif = covering(part.elements.iter().map(|&e| &self.spans[stage.source][e]));
                let out = self.b.name(&format!("{stem}_exact"));
                tensor = self.b.quant(tensor, out, &part.shape(), quant_type("the merge", kif, false)?);
            }
            if stage.affine.is_some() {
                tensor = self.affine(&stem, &stage, &group, tensor, &part.negated)?;
            } else if adds {
                tensor = self.shift(&format!("{stem}_half"), tensor, &part.lead, &add)?;
            }
            written.push(self.close(&stem, &stage, &group, tensor)?);
        }
        Ok(written)
    }

    /// The stage with parts that hold `x`, not `−x`, unless its affine can change the sign.
    fn unflipped(&mut self, stage: &Stage<'a>) -> Result<Stage<'a>, Reason> {
        if stage.affine.is_some() || !stage.parts.iter().any(Part::is_flipped) {
            return Ok(stage.clone());
        }
        let mut parts = Vec::with_capacity(stage.parts.len());
        for part in &stage.parts {
            if !part.is_flipped() {
                parts.push(part.clone());
                continue;
            }
            parts.push(self.selected(&stage.node, stage.source, vec![part.clone()], part.elements.clone())?);
        }
        Ok(Stage { parts, ..stage.clone() })
    }
}
