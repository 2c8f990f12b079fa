//! Sums of products with constants: layers, scales and means.

use super::made::Made;
use super::sharing::{self, Column};
use super::tree::{Depth, Sum, Term, digits, sum};
use super::wires::Wires;
use crate::quant::interval::{Alike, Span};
use crate::quant::model::{AveragePool, FixedAffine, FixedDense, FixedTensor};
use crate::quant::rounding::Rounding;
use crate::quant::taps::Taps;
use std::collections::HashMap;

/// How a quantizer that alone reads a sum rounds an element, and to which grid: its half step is
/// part of the sum's constant, and its rounding then free.
pub type Fold = Option<(Rounding, i32)>;

/// What is added before the bits below `2^-to` are cut off, in units of `2^-frac`; `None` where
/// that does not round.
pub fn half_step(rounding: Rounding, frac: i32, to: i32) -> Option<i128> {
    let (half, step) = if frac > to { (1i128 << (frac - to - 1).min(100), 1i128 << (frac - to).min(101)) } else { (0, 1) };
    match rounding {
        Rounding::Floor => Some(0),
        Rounding::HalfUp => Some(half),
        Rounding::HalfDown => Some((half - 1).max(0)),
        Rounding::Ceil => Some(step - 1),
        Rounding::HalfEven => None,
    }
}

/// A sum being put together: products of elements with constants on their own grids.
#[derive(Default)]
struct Products {
    /// Odd constant, the element's span and depth, and the grid of the product.
    factors: Vec<(i64, Span, Depth, i32)>,
    constants: Vec<Span>,
}

impl Products {
    fn add(&mut self, weight: i64, frac: i32, span: Span, depth: Depth) {
        if weight == 0 || span.is_zero() {
            return;
        }
        if span.is_constant() {
            self.constants.extend(span.times(weight, frac));
            return;
        }
        let zeros = weight.trailing_zeros();
        self.factors.push((weight >> zeros, span, depth, span.frac + frac - zeros as i32));
    }

    /// The sum, and the fractional bits of its grid.
    fn sum(self, fold: Fold) -> (Sum, i32) {
        let constant = self.constants.iter().try_fold(Span::ZERO, |a, &b| a.plus(b)).unwrap_or(Span::ZERO);
        let grids = self.factors.iter().map(|f| f.3);
        let frac = grids.chain((!constant.is_zero()).then_some(constant.frac)).max().unwrap_or(0);
        let mut terms = Vec::with_capacity(2 * self.factors.len());
        for &(odd, span, depth, grid) in &self.factors {
            let Span { lo, hi, .. } = span;
            let of = |(shift, is_subtracted)| Term { lo, hi, shift: shift + (frac - grid) as u32, is_subtracted, depth };
            terms.extend(digits(odd).map(of));
        }
        let half = fold.and_then(|(rounding, to)| half_step(rounding, frac, to)).unwrap_or(0);
        (sum(&terms, constant.lifted(frac).map_or(0, |c| c.lo) + half), frac)
    }
}

/// A result of `width` channels. `one` is asked once for all positions that are alike; what is not
/// `wanted` takes nothing.
fn each(pattern: &[u32], width: usize, wanted: &[bool], folds: &[Fold], one: impl Fn(usize, usize, Fold) -> Sum) -> Made {
    let mut known: HashMap<(u32, usize, Fold), Sum> = HashMap::new();
    let at = |at: usize| {
        let (position, channel) = (at / width, at % width);
        let key = (pattern[position], channel, folds[at]);
        if wanted[at] { *known.entry(key).or_insert_with(|| one(position, channel, folds[at])) } else { Sum::default() }
    };
    Made::of((0..wanted.len()).map(at))
}

/// A layer with its `taps`. `wanted` says which elements are computed.
pub fn dense(d: &FixedDense, taps: &Taps, x: &Wires, wanted: &[bool], folds: &[Fold]) -> Made {
    let pattern = d.window.as_ref().map_or_else(|| vec![0], |w| Alike::new(w, &x.kinds()).pattern);
    each(&pattern, d.outputs, wanted, folds, |position, o, fold| {
        let element = taps.elements(position, o);
        let mut products = Products::default();
        for k in 0..taps.patch {
            let weight = d.weight.ints[k * d.outputs + o];
            if weight != 0
                && let Some(e) = element(k)
            {
                products.add(weight, d.weight.frac, x.bounds[e], x.depth[e]);
            }
        }
        products.constants.push(Span::constant(&d.bias, o));
        products.sum(fold).0
    })
}

/// The share of the adders of a layer that its outputs have in common; positions alike share alike.
pub fn common(d: &FixedDense, taps: &Taps, x: &Wires, wanted: &[bool]) -> f64 {
    let share = d.window.as_ref().map_or(d.outputs, |w| w.group_outputs(d.outputs)).max(1);
    // grid of what a weight multiplies, where that is no constant
    let grid = |k: usize, o: usize| {
        let mut under = (0..taps.positions).filter_map(|p| taps.element(p, k, o)).map(|e| x.bounds[e]);
        under.find(|span| !span.is_constant()).map(|span| span.frac)
    };
    let column = |o: usize| {
        let is_wanted = wanted.iter().skip(o).step_by(d.outputs).any(|&w| w);
        let weight = |k: usize| d.weight.ints[k * d.outputs + o];
        let entries = (0..taps.patch).filter(|&k| is_wanted && weight(k) != 0).filter_map(|k| Some((k, grid(k, o)?)));
        let of = |(k, frac)| digits(weight(k)).map(move |(shift, is_subtracted)| (k, shift as i32 - frac, is_subtracted));
        Column { group: o / share, digits: entries.flat_map(of).collect() }
    };
    sharing::share((0..d.outputs).map(column).collect(), taps.patch)
}

/// A scale and a shift.
pub fn affine(a: &FixedAffine, x: &Wires, wanted: &[bool], folds: &[Fold]) -> Made {
    let at = |e: usize| {
        let mut products = Products::default();
        products.add(a.scale.ints[e], a.scale.frac, x.bounds[e], x.depth[e]);
        products.constants.push(Span::constant(&a.shift, e));
        if wanted[e] { products.sum(folds[e]).0 } else { Sum::default() }
    };
    Made::of((0..wanted.len()).map(at))
}

/// Means: the sum once, then its product with the reciprocal.
pub fn mean(pool: &AveragePool, x: &Wires, wanted: &[bool], folds: &[Fold]) -> Made {
    let taps = Taps::pooling(&pool.window);
    let pattern = Alike::new(&pool.window, &x.kinds()).pattern;
    each(&pattern, pool.window.input[2], wanted, folds, |position, channel, fold| {
        let mut products = Products::default();
        taps.under(position, channel).for_each(|e| products.add(1, 0, x.bounds[e], x.depth[e]));
        let (total, frac) = products.sum(None);
        scaled(total, frac, &pool.reciprocal, fold)
    })
}

/// A sum on the grid `2^-frac` times a constant.
fn scaled(total: Sum, frac: i32, factor: &FixedTensor, fold: Fold) -> Sum {
    let Some(term) = total.term else { return total };
    let mut products = Products::default();
    let span = Span { lo: term.lo, hi: term.hi, frac: frac - term.shift as i32 };
    products.add(factor.ints.first().copied().unwrap_or(0), factor.frac, span, term.depth);
    let product = products.sum(fold).0;
    Sum { carries: total.carries + product.carries, ..product }
}
