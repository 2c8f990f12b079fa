//! A sum of shifted numbers as a tree of adders, and what it takes of an FPGA: the carry positions
//! that need a LUT (docs/hardware.md#adders).
//!
//! A product with a constant is a sum as well: one term per digit of its canonical signed form.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The numbers `± n·2^shift` on the grid of the sum, `lo ≤ n ≤ hi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    pub lo: i128,
    pub hi: i128,
    pub shift: u32,
    pub is_subtracted: bool,
    pub depth: Depth,
}

/// Adders on the longest way to a wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Depth {
    /// From the inputs of the model.
    pub total: u32,
    /// From the registers in front.
    pub stage: u32,
}

impl Depth {
    /// That of both.
    pub fn max(self, other: Depth) -> Depth {
        Depth { total: self.total.max(other.total), stage: self.stage.max(other.stage) }
    }

    /// Behind `adders` more.
    pub fn behind(self, adders: u32) -> Depth {
        Depth { total: self.total + adders, stage: self.stage + adders }
    }
}

/// A sum, and what it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    pub carries: u64,
    /// `None` where there is nothing to add.
    pub term: Option<Term>,
}

impl Sum {
    pub fn depth(&self) -> Depth {
        self.term.map_or_else(Depth::default, |t| t.depth)
    }
}

/// Digits of the canonical signed form of `constant`, from the lowest: their shifts, and whether
/// they are −1. No two neighbours are both digits.
pub fn digits(constant: i64) -> impl Iterator<Item = (u32, bool)> {
    let (mut rest, mut shift) = (i128::from(constant), 0);
    std::iter::from_fn(move || {
        if rest == 0 {
            return None;
        }
        let zeros = rest.trailing_zeros();
        (rest, shift) = (rest >> zeros, shift + zeros);
        let is_negative = rest & 3 == 3;
        rest -= if is_negative { -1 } else { 1 };
        Some((shift, is_negative))
    })
}

/// Bits of a two's complement number that holds `lo` and `hi`.
fn signed_width(lo: i128, hi: i128) -> u32 {
    let bits = |v: i128| i128::BITS + 1 - (if v < 0 { !v } else { v }).leading_zeros();
    bits(lo).max(bits(hi))
}

/// Bits of a number from `lo` to `hi` on its wires: no sign where none is below 0.
pub fn width(lo: i128, hi: i128) -> u32 {
    signed_width(lo, hi) - u32::from(lo >= 0)
}

/// `n << by`, at the end of the numbers where that is beyond 127 bits.
fn shifted(n: i128, by: u32) -> i128 {
    let limit = if n < 0 { i128::MIN / 4 } else { i128::MAX / 4 };
    if by < n.abs().leading_zeros().saturating_sub(3) {
        n << by
    } else if n == 0 {
        0
    } else {
        limit
    }
}

/// `x ± y`, with its carry positions. Below the higher of the two operands nothing is added; what
/// is subtracted is carried through all its positions.
fn added(x: Term, y: Term, subtract: bool) -> (Term, u64) {
    let base = x.shift.min(y.shift);
    let (a, b) = (x.shift - base, y.shift - base);
    let (lo, hi) = if subtract { (-y.hi, -y.lo) } else { (y.lo, y.hi) };
    let top = (width(x.lo, x.hi) + a).max(width(y.lo, y.hi) + b);
    let low = if subtract { b } else { a.max(b) };
    let sum = Term {
        lo: shifted(x.lo, a) + shifted(lo, b),
        hi: shifted(x.hi, a) + shifted(hi, b),
        shift: base,
        is_subtracted: false,
        depth: x.depth.max(y.depth).behind(1),
    };
    (sum, u64::from(top.saturating_sub(low)))
}

/// Two terms of a sum in one. Of two that are subtracted the sum is subtracted.
fn joined(x: Term, y: Term) -> (Term, u64) {
    match (x.is_subtracted, y.is_subtracted) {
        (false, true) => added(x, y, true),
        (true, false) => added(y, x, true),
        (negative, _) => {
            let (sum, carries) = added(x, y, false);
            (Term { is_subtracted: negative, ..sum }, carries)
        }
    }
}

/// The sum of `terms` and `constant` (on the grid of shift 0). The two narrowest are added first,
/// the constant last.
pub fn sum(terms: &[Term], constant: i128) -> Sum {
    let mut all = terms.to_vec();
    // by width and shift, then in the order in which they came
    let key = |t: &Term, number: usize| Reverse((signed_width(t.lo, t.hi) + t.shift, t.shift, number));
    let mut open: BinaryHeap<_> = all.iter().enumerate().map(|(number, t)| key(t, number)).collect();
    let mut carries = 0;
    let last = loop {
        let (Some(Reverse((.., first))), second) = (open.pop(), open.pop()) else { return Sum::default() };
        let Some(Reverse((.., second))) = second else { break first };
        let (term, cost) = joined(all[first], all[second]);
        carries += cost;
        open.push(key(&term, all.len()));
        all.push(term);
    };
    let tree = all[last];
    if constant == 0 && !tree.is_subtracted {
        return Sum { carries, term: Some(tree) };
    }
    let shift = if constant == 0 { tree.shift } else { constant.trailing_zeros().min(tree.shift) };
    let c = Term { lo: constant >> shift, hi: constant >> shift, shift, is_subtracted: false, depth: Depth::default() };
    let (total, cost) = if tree.is_subtracted { added(c, tree, true) } else { added(tree, c, false) };
    Sum { carries: carries + cost, term: Some(total) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(lo: i128, hi: i128, shift: u32, is_subtracted: bool) -> Term {
        Term { lo, hi, shift, is_subtracted, depth: Depth::default() }
    }

    #[test]
    fn digits_give_the_constant_and_never_stand_side_by_side() {
        for constant in (-300..300).chain([i64::MAX, i64::MIN, 34429]) {
            let found: Vec<(u32, bool)> = digits(constant).collect();
            let value: i128 = found.iter().map(|&(shift, negative)| if negative { -(1i128 << shift) } else { 1 << shift }).sum();
            assert_eq!(value, constant.into());
            assert!(found.windows(2).all(|d| d[1].0 > d[0].0 + 1), "{constant}: {found:?}");
        }
    }

    #[test]
    fn widths_are_those_of_the_wires() {
        let widths = [(0, 7), (0, 8), (-8, 7), (-9, 0), (0, 0), (3, 3)].map(|(lo, hi)| width(lo, hi));
        assert_eq!(widths, [3, 4, 4, 5, 0, 2]);
    }

    #[test]
    fn an_adder_pays_where_both_operands_are() {
        // 3 bits and 3 bits side by side; two higher, of which two positions are free; subtracted,
        // which carries through all of its own
        let (x, y) = (term(0, 7, 0, false), term(0, 7, 2, false));
        assert_eq!((added(x, x, false).1, added(x, y, false).1, added(y, x, true).1, added(x, y, true).1), (3, 3, 5, 3));
        let sum = added(x, y, false).0;
        assert_eq!((sum.lo, sum.hi, sum.shift, sum.depth.total), (0, 35, 0, 1));
    }

    #[test]
    fn narrow_terms_are_added_first_and_the_constant_last() {
        // 1 + 1 → 2 bits, with 8 bits: 8 positions, not 8 twice
        let terms = [term(0, 255, 0, false), term(0, 1, 0, false), term(0, 1, 0, false)];
        let found = sum(&terms, 0);
        assert_eq!((found.carries, found.depth().total), (9, 2));
        let found = sum(&terms, -6);
        // it goes through all nine positions of the sum
        assert_eq!((found.carries, found.depth().total), (9 + 9, 3));
        assert_eq!(found.term.map(|t| (t.lo, t.hi)), Some((-6, 251)));
        let negative = sum(&[term(0, 3, 1, true)], 0);
        assert_eq!((negative.carries, negative.term.map(|t| (t.lo, t.hi, t.shift))), (2, Some((-3, 0, 1))));
        assert_eq!(sum(&[], 5), Sum::default());
    }
}
