//! A value as hardware has it: what its elements hold, and how deep they lie.

use super::tree::{Depth, Term, width};
use crate::quant::interval::{Bounds, Span};

/// One value.
#[derive(Clone, Copy)]
pub struct Wires<'a> {
    pub bounds: &'a Bounds,
    /// Per element.
    pub depth: &'a [Depth],
}

impl Wires<'_> {
    /// Per element what tells it from others.
    pub fn kinds(&self) -> Vec<(u32, Depth)> {
        self.bounds.numbers().iter().copied().zip(self.depth.iter().copied()).collect()
    }

    /// Element `e` in a sum on the grid `2^-frac`, which is not coarser than its own.
    pub fn term(&self, e: usize, frac: i32, is_subtracted: bool) -> Term {
        let Span { lo, hi, frac: own } = self.bounds[e];
        Term { lo, hi, shift: (frac - own).max(0) as u32, is_subtracted, depth: self.depth[e] }
    }
}

/// Wires of what holds `span`.
pub fn bits(span: Span) -> u32 {
    width(span.lo, span.hi)
}
