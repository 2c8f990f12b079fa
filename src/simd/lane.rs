//! A vector of numbers as the kernels see it, and its portable implementation.

use std::ops::{Add, Mul};

/// A register of `N` numbers.
pub trait Register<T>: Copy {
    const N: usize;
    /// # Safety
    /// `p` must be valid for reads of `N` numbers and the processor must have the instruction set.
    unsafe fn load(p: *const T) -> Self;
    /// # Safety
    /// `p` must be valid for writes of `N` numbers and the processor must have the instruction set.
    unsafe fn store(self, p: *mut T);
    /// # Safety
    /// The processor must have the instruction set; so for all methods below.
    unsafe fn splat(x: T) -> Self;
    /// # Safety
    /// See [`Register::splat`].
    unsafe fn add(self, b: Self) -> Self;
    /// # Safety
    /// See [`Register::splat`].
    unsafe fn mul(self, b: Self) -> Self;
    /// # Safety
    /// See [`Register::splat`].
    unsafe fn min(self, b: Self) -> Self;
    /// # Safety
    /// See [`Register::splat`].
    unsafe fn max(self, b: Self) -> Self;
}

/// A register of floats, with all that the kernels of training need. `N` divides [`super::LANES`].
pub trait Lane: Register<f32> {
    /// The same register as doubles, for sums that floats do not hold.
    type Double: Register<f64>;
    /// Rows of a register tile: accumulators that fit the register file.
    const ROWS: usize;
    /// `self·b + c`, fused where the hardware has it.
    /// # Safety
    /// See [`Register::splat`]; so for all methods below.
    unsafe fn fma(self, b: Self, c: Self) -> Self;
    /// # Safety
    /// See [`Register::splat`].
    unsafe fn sub(self, b: Self) -> Self;
    /// # Safety
    /// See [`Register::splat`].
    unsafe fn floor(self) -> Self;
    /// Nearest integer, ties to even.
    /// # Safety
    /// See [`Register::splat`].
    unsafe fn rint(self) -> Self;
    /// `yes` where `self > b`, else `no`.
    /// # Safety
    /// See [`Register::splat`].
    unsafe fn if_gt(self, b: Self, yes: Self, no: Self) -> Self;
    /// `yes` where `self ≥ b`, else `no`.
    /// # Safety
    /// See [`Register::splat`].
    unsafe fn if_ge(self, b: Self, yes: Self, no: Self) -> Self;
}

/// A line's worth of numbers in plain Rust: the scalar twin, and what other processors run.
#[derive(Clone, Copy)]
pub struct Portable<T = f32, const N: usize = 8>([T; N]);

impl<T: Copy, const N: usize> Portable<T, N> {
    #[inline(always)]
    fn zip(self, b: Self, f: impl Fn(T, T) -> T) -> Self {
        Portable(std::array::from_fn(|n| f(self.0[n], b.0[n])))
    }

    #[inline(always)]
    fn choose(self, b: Self, yes: Self, no: Self, f: impl Fn(T, T) -> bool) -> Self {
        Portable(std::array::from_fn(|n| if f(self.0[n], b.0[n]) { yes.0[n] } else { no.0[n] }))
    }
}

impl<T, const COUNT: usize> Register<T> for Portable<T, COUNT>
where
    T: Copy + PartialOrd + Add<Output = T> + Mul<Output = T>,
{
    const N: usize = COUNT;
    #[inline(always)]
    unsafe fn load(p: *const T) -> Self {
        // SAFETY: the caller vouches for `N` readable numbers.
        Portable(unsafe { p.cast::<[T; COUNT]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut T) {
        // SAFETY: the caller vouches for `N` writable numbers.
        unsafe { p.cast::<[T; COUNT]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn splat(x: T) -> Self {
        Portable([x; COUNT])
    }
    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        self.zip(b, |x, y| x + y)
    }
    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        self.zip(b, |x, y| x * y)
    }
    #[inline(always)]
    unsafe fn min(self, b: Self) -> Self {
        self.zip(b, |x, y| if x < y { x } else { y })
    }
    #[inline(always)]
    unsafe fn max(self, b: Self) -> Self {
        self.zip(b, |x, y| if x > y { x } else { y })
    }
}

impl Lane for Portable {
    type Double = Portable<f64, 4>;
    const ROWS: usize = 4;
    #[inline(always)]
    unsafe fn fma(self, b: Self, c: Self) -> Self {
        Portable(std::array::from_fn(|n| self.0[n] * b.0[n] + c.0[n]))
    }
    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        self.zip(b, |x, y| x - y)
    }
    #[inline(always)]
    unsafe fn floor(self) -> Self {
        self.zip(self, |x, _| x.floor())
    }
    #[inline(always)]
    unsafe fn rint(self) -> Self {
        self.zip(self, |x, _| x.round_ties_even())
    }
    #[inline(always)]
    unsafe fn if_gt(self, b: Self, yes: Self, no: Self) -> Self {
        self.choose(b, yes, no, |x, y| x > y)
    }
    #[inline(always)]
    unsafe fn if_ge(self, b: Self, yes: Self, no: Self) -> Self {
        self.choose(b, yes, no, |x, y| x >= y)
    }
}
