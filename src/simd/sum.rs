//! The inner loops of exact evaluation: sums and ranges of columns, in the numbers that hold them
//! without rounding.

use super::{Has, LANES, Lane, Plain, Register};
use std::ops::{Add, AddAssign, Mul, Sub};

/// Registers that are summed in at a time: fewer would wait for the adder, each for its own last
/// sum.
const SUMS: usize = 8;

/// Numbers that exact values are kept in.
pub trait Number: Plain + PartialOrd + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + AddAssign {
    /// A register of them.
    type Of<L: Lane>: Register<Self>;
    /// `1.5·2^p` for p bits after the leading one: added and taken away again, it leaves no bits
    /// after the point of what is below `2^(p−1)`.
    const SHIFT: Self;
    /// Rounded if it has to be.
    fn of(v: f64) -> Self;
    fn to_f64(self) -> f64;
}

impl Number for f32 {
    type Of<L: Lane> = L;
    const SHIFT: f32 = 1.5 * (1u32 << 23) as f32;
    #[inline(always)]
    fn of(v: f64) -> f32 {
        v as f32
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self.into()
    }
}

impl Number for f64 {
    type Of<L: Lane> = L::Double;
    const SHIFT: f64 = 1.5 * (1u64 << 52) as f64;
    #[inline(always)]
    fn of(v: f64) -> f64 {
        v
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
}

/// `to = bias + Σ weight·x`, sample by sample and in the order of the terms. Nothing is fused: all
/// instruction sets give the same bits even where sums are rounded.
#[inline(always)]
pub fn weighted_sum<'a, L: Lane, T: Number + 'a>(
    _: Has<L>,
    bias: T,
    terms: impl Iterator<Item = (T, &'a [T])> + Clone,
    to: &mut [T],
) {
    let tile = SUMS * T::Of::<L>::N;
    let (whole, rest) = to.split_at_mut(to.len() / tile * tile);
    let first = whole.len();
    for (n, to) in whole.chunks_exact_mut(tile).enumerate() {
        // SAFETY: the processor has the instruction set (`Has`); all slices are `tile` long.
        unsafe {
            // explicitly: the compiler alone keeps them in memory where much is going on around
            // them
            let mut sums = [T::Of::<L>::splat(bias); SUMS];
            for (w, x) in terms.clone() {
                let (w, x) = (T::Of::<L>::splat(w), x[n * tile..][..tile].as_ptr());
                for (j, sum) in sums.iter_mut().enumerate() {
                    *sum = sum.add(w.mul(T::Of::<L>::load(x.add(j * T::Of::<L>::N))));
                }
            }
            for (j, sum) in sums.into_iter().enumerate() {
                sum.store(to[j * T::Of::<L>::N..][..T::Of::<L>::N].as_mut_ptr());
            }
        }
    }
    if !rest.is_empty() {
        rest.fill(bias);
        for (w, x) in terms {
            rest.iter_mut().zip(&x[first..]).for_each(|(a, &v)| *a += w * v);
        }
    }
}

/// A column on some samples; on the first ones without `rows`.
#[inline(always)]
pub fn gather(from: &[f64], rows: Option<&[u32]>, to: &mut [f64]) {
    match rows {
        None => to.copy_from_slice(&from[..to.len()]),
        Some(rows) => to.iter_mut().zip(rows).for_each(|(to, &r)| *to = from[r as usize]),
    }
}

/// Widens the ranges `(least, most)`, one per sample of a register, by `x`.
#[inline(always)]
pub fn widen<L: Lane, T: Number>(_: Has<L>, least: &mut [T; LANES], most: &mut [T; LANES], x: &[T]) {
    let (whole, rest) = x.as_chunks::<LANES>();
    let n = T::Of::<L>::N;
    for at in (0..LANES).step_by(n) {
        // SAFETY: as above; `n` divides `LANES`.
        unsafe {
            let (mut lo, mut hi) = (T::Of::<L>::load(least[at..][..n].as_ptr()), T::Of::<L>::load(most[at..][..n].as_ptr()));
            for values in whole {
                let v = T::Of::<L>::load(values[at..][..n].as_ptr());
                (lo, hi) = (lo.min(v), hi.max(v));
            }
            lo.store(least[at..][..n].as_mut_ptr());
            hi.store(most[at..][..n].as_mut_ptr());
        }
    }
    for ((lo, hi), &v) in least.iter_mut().zip(most).zip(rest) {
        *lo = if v < *lo { v } else { *lo };
        *hi = if v > *hi { v } else { *hi };
    }
}
