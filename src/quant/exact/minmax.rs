//! Ranges of values over samples.

use crate::simd::{Has, Isa, LANES, Lane, Number, Vectorized, dispatch, widen};

/// Smallest and largest value of each element.
#[derive(Clone, Debug, PartialEq)]
pub struct MinMax {
    pub min: Vec<f64>,
    pub max: Vec<f64>,
}

impl MinMax {
    pub fn empty(n: usize) -> MinMax {
        MinMax { min: vec![f64::INFINITY; n], max: vec![f64::NEG_INFINITY; n] }
    }

    /// Of rows of `len` values; dispatched to the instructions of the machine.
    pub fn of_rows<T: Number>(rows: &[T], len: usize) -> MinMax {
        let (mut min, mut max) = (vec![T::of(f64::INFINITY); len], vec![T::of(f64::NEG_INFINITY); len]);
        dispatch(Isa::detect(), OfRows { rows, min: &mut min, max: &mut max });
        let double = |v: Vec<T>| v.into_iter().map(T::to_f64).collect();
        MinMax { min: double(min), max: double(max) }
    }

    pub fn merge(&mut self, other: &MinMax) {
        for (a, b) in self.min.iter_mut().zip(&other.min) {
            *a = a.min(*b);
        }
        for (a, b) in self.max.iter_mut().zip(&other.max) {
            *a = a.max(*b);
        }
    }
}

/// A range under way, in the numbers of the samples.
pub(super) struct Widening<T> {
    least: Vec<T>,
    most: Vec<T>,
}

impl<T: Number> Widening<T> {
    pub(super) fn new(n: usize) -> Self {
        Widening { least: vec![T::of(f64::INFINITY); n], most: vec![T::of(f64::NEG_INFINITY); n] }
    }

    /// Widens by the first `n` values of each of `columns`, which are `stride` long.
    pub(super) fn take(&mut self, isa: Isa, columns: &[T], stride: usize, n: usize) {
        dispatch(isa, Take { to: self, columns, stride, n });
    }

    pub(super) fn range(&self) -> MinMax {
        let double = |v: &[T]| v.iter().map(|v| v.to_f64()).collect();
        MinMax { min: double(&self.least), max: double(&self.most) }
    }
}

struct Take<'a, T> {
    to: &'a mut Widening<T>,
    columns: &'a [T],
    stride: usize,
    n: usize,
}

impl<T: Number> Vectorized for Take<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lane>(self, has: Has<L>) {
        let ranges = self.to.least.iter_mut().zip(&mut self.to.most);
        for ((least, most), column) in ranges.zip(self.columns.chunks_exact(self.stride)) {
            // several side by side, so that most samples need not be compared with each other
            let (mut lo, mut hi) = ([*least; LANES], [*most; LANES]);
            widen(has, &mut lo, &mut hi, &column[..self.n]);
            for (lo, hi) in lo.into_iter().zip(hi) {
                *least = if lo < *least { lo } else { *least };
                *most = if hi > *most { hi } else { *most };
            }
        }
    }
}

struct OfRows<'a, T> {
    rows: &'a [T],
    min: &'a mut [T],
    max: &'a mut [T],
}

impl<T: Number> Vectorized for OfRows<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lane>(self, _: Has<L>) {
        for row in self.rows.chunks_exact(self.min.len().max(1)) {
            for ((min, max), &v) in self.min.iter_mut().zip(&mut *self.max).zip(row) {
                *min = if v < *min { v } else { *min };
                *max = if v > *max { v } else { *max };
            }
        }
    }
}
