//! Spans of operations on two and more values.

use super::Span;
use crate::graph::{Merge, moves};
use crate::proxy::error::Reason;
use crate::quant::rounding::shl;

/// Element by element.
pub fn merge(merge: Merge, a: &[Span], b: &[Span], outputs: usize) -> Result<Vec<Span>, Reason> {
    if a.len() != b.len() || a.len() != outputs {
        return Err(Reason::Shape { what: "the second operand", found: b.len(), wanted: a.len() });
    }
    let one = |(&a, &b): (&Span, &Span)| merged(merge, a, b).ok_or(Reason::TooWide { what: "the result", bits: 127 });
    a.iter().zip(b).map(one).collect()
}

fn merged(merge: Merge, a: Span, b: Span) -> Option<Span> {
    match merge {
        Merge::Add => a.plus(b),
        Merge::Sub => a.plus(b.negated()),
        Merge::Mul => {
            let ends = [(a.lo, b.lo), (a.lo, b.hi), (a.hi, b.lo), (a.hi, b.hi)].map(|(x, y)| x.checked_mul(y));
            let [Some(p), Some(q), Some(r), Some(s)] = ends else { return None };
            Some(Span::new(p.min(q).min(r).min(s), p.max(q).max(r).max(s), a.frac.checked_add(b.frac)?))
        }
        Merge::Max | Merge::Min => {
            // a zero has no grid of its own
            let frac = match (a.is_zero(), b.is_zero()) {
                (true, _) => b.frac,
                (_, true) => a.frac,
                _ => a.frac.max(b.frac),
            };
            let at = |s: Span| Some((shl(s.lo, frac - s.frac)?, shl(s.hi, frac - s.frac)?));
            let ((a_lo, a_hi), (b_lo, b_hi)) = (at(a)?, at(b)?);
            Some(match merge {
                Merge::Max => Span::new(a_lo.max(b_lo), a_hi.max(b_hi), frac),
                _ => Span::new(a_lo.min(b_lo), a_hi.min(b_hi), frac),
            })
        }
    }
}

/// One after the other along an axis of the sample.
pub fn concat(operands: &[&[Span]], shapes: &[&[usize]], axis: usize, outputs: usize) -> Result<Vec<Span>, Reason> {
    if moves::concat_shape(shapes, axis).is_none() {
        return Err(Reason::Structure(format!("values of shapes {shapes:?} cannot be joined along axis {axis}")));
    }
    let joined: Vec<Span> = moves::concat(shapes, axis).into_iter().map(|(which, e)| operands[which][e]).collect();
    if joined.len() != outputs {
        return Err(Reason::Shape { what: "output", found: joined.len(), wanted: outputs });
    }
    Ok(joined)
}
