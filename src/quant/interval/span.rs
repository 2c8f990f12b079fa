//! The interval of one element, on a grid.

use crate::ops::{Elementwise, Merge};
use crate::quant::kif::Kif;
use crate::quant::model::FixedTensor;
use crate::quant::rounding::shl;

/// All values `n·2^-frac` with `lo ≤ n ≤ hi`. What is computed from others is on the coarsest grid
/// that holds it: a constant without trailing zeros, a constant 0 with `frac` 0, so that it refines
/// no grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    pub lo: i128,
    pub hi: i128,
    pub frac: i32,
}

impl Span {
    pub const ZERO: Span = Span { lo: 0, hi: 0, frac: 0 };

    /// The span, with trailing zero bits of a constant removed.
    pub fn new(lo: i128, hi: i128, frac: i32) -> Span {
        if lo == 0 && hi == 0 {
            return Span::ZERO;
        }
        if lo == hi {
            let spare = lo.trailing_zeros() as i32;
            return Span { lo: lo >> spare, hi: hi >> spare, frac: frac - spare };
        }
        Span { lo, hi, frac }
    }

    pub fn is_constant(&self) -> bool {
        self.lo == self.hi
    }

    pub fn is_zero(&self) -> bool {
        self.lo == 0 && self.hi == 0
    }

    /// Everything a format can hold.
    pub fn of(format: Kif) -> Span {
        Span::new(format.min_int().into(), format.max_int().into(), format.fractional)
    }

    /// Element `e` of a constant tensor.
    pub fn constant(tensor: &FixedTensor, e: usize) -> Span {
        let v = tensor.ints.get(e).copied().unwrap_or(0).into();
        Span::new(v, v, tensor.frac)
    }

    /// The narrowest format of the span.
    pub fn kif(&self) -> Kif {
        Kif::covering(self.lo, self.hi, self.frac)
    }

    /// `−x`.
    pub fn negated(self) -> Span {
        Span { lo: -self.hi, hi: -self.lo, frac: self.frac }
    }

    /// `x·w·2^-frac`; `None` beyond 127 bits.
    pub fn times(self, w: i64, frac: i32) -> Option<Span> {
        if w == 0 {
            return Some(Span::ZERO);
        }
        // on the weight's own grid: that of its tensor may be far finer
        let spare = w.trailing_zeros();
        let (a, b) = (self.lo.checked_mul((w >> spare).into())?, self.hi.checked_mul((w >> spare).into())?);
        Some(Span::new(a.min(b), a.max(b), self.frac.checked_add(frac)?.checked_sub(spare as i32)?))
    }

    /// `x + y`; `None` beyond 127 bits.
    pub fn plus(self, other: Span) -> Option<Span> {
        self.merged(Merge::Add, other)
    }

    /// `x ∘ y`; `None` beyond 127 bits.
    pub fn merged(self, op: Merge, other: Span) -> Option<Span> {
        let (a, b, frac) = match op {
            Merge::Add | Merge::Sub | Merge::Max | Merge::Min => {
                let frac = self.common(other);
                (self.on(frac)?, other.on(frac)?, frac)
            }
            Merge::Mul => ((self.lo, self.hi), (other.lo, other.hi), self.frac.checked_add(other.frac)?),
        };
        let (lo, hi) = op.bounds(a, b)?;
        Some(Span::new(lo, hi, frac))
    }

    /// `f(x)`; `None` beyond 127 bits.
    pub fn through(self, f: Elementwise) -> Option<Span> {
        // what is never below 0 keeps its grid
        if matches!(f, Elementwise::LeakyRelu { .. }) && self.lo >= 0 {
            return Some(self);
        }
        // they rise
        Some(Span::new(f.exact(self.lo, self.frac)?, f.exact(self.hi, self.frac)?, f.output_frac(self.frac)))
    }

    /// Everything that either holds, on the finer grid; `None` beyond 127 bits.
    pub fn union(self, other: Span) -> Option<Span> {
        let frac = self.common(other);
        let ((a, b), (c, d)) = (self.on(frac)?, other.on(frac)?);
        Some(Span::new(a.min(c), b.max(d), frac))
    }

    /// The same values in steps of `2^-frac`, which are not coarser; `None` beyond 127 bits.
    pub fn lifted(self, frac: i32) -> Option<Span> {
        let (lo, hi) = self.on(frac)?;
        Some(Span { lo, hi, frac })
    }

    fn on(self, frac: i32) -> Option<(i128, i128)> {
        Some((shl(self.lo, frac - self.frac)?, shl(self.hi, frac - self.frac)?))
    }

    /// The finer grid; a zero has none of its own.
    fn common(self, other: Span) -> i32 {
        match (self.is_zero(), other.is_zero()) {
            (true, _) => other.frac,
            (false, true) => self.frac,
            (false, false) => self.frac.max(other.frac),
        }
    }
}
