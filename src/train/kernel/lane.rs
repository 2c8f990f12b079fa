//! One vector of floats as the kernels see it, and its portable implementation.

/// A register of `N` floats. `N` divides [`super::LANES`].
pub trait Lane: Copy {
    const N: usize;
    /// Rows of a register tile: accumulators that fit the register file.
    const ROWS: usize;
    /// # Safety
    /// `p` must be valid for reads of `N` floats and the processor must have the instruction set.
    unsafe fn load(p: *const f32) -> Self;
    /// # Safety
    /// `p` must be valid for writes of `N` floats and the processor must have the instruction set.
    unsafe fn store(self, p: *mut f32);
    /// # Safety
    /// The processor must have the instruction set; so for all methods below.
    unsafe fn splat(x: f32) -> Self;
    /// `self·b + c`, fused where the hardware has it.
    /// # Safety
    /// See [`Lane::splat`].
    unsafe fn fma(self, b: Self, c: Self) -> Self;
    /// # Safety
    /// See [`Lane::splat`].
    unsafe fn add(self, b: Self) -> Self;
    /// # Safety
    /// See [`Lane::splat`].
    unsafe fn sub(self, b: Self) -> Self;
    /// # Safety
    /// See [`Lane::splat`].
    unsafe fn mul(self, b: Self) -> Self;
    /// # Safety
    /// See [`Lane::splat`].
    unsafe fn min(self, b: Self) -> Self;
    /// # Safety
    /// See [`Lane::splat`].
    unsafe fn max(self, b: Self) -> Self;
    /// # Safety
    /// See [`Lane::splat`].
    unsafe fn floor(self) -> Self;
    /// Nearest integer, ties to even.
    /// # Safety
    /// See [`Lane::splat`].
    unsafe fn rint(self) -> Self;
    /// `yes` where `self > b`, else `no`.
    /// # Safety
    /// See [`Lane::splat`].
    unsafe fn if_gt(self, b: Self, yes: Self, no: Self) -> Self;
    /// `yes` where `self ≥ b`, else `no`.
    /// # Safety
    /// See [`Lane::splat`].
    unsafe fn if_ge(self, b: Self, yes: Self, no: Self) -> Self;
}

/// Eight floats in plain Rust: the scalar twin, and what other processors run.
#[derive(Clone, Copy)]
pub struct Portable([f32; 8]);

impl Portable {
    #[inline(always)]
    fn zip(self, b: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Portable(std::array::from_fn(|n| f(self.0[n], b.0[n])))
    }

    #[inline(always)]
    fn choose(self, b: Self, yes: Self, no: Self, f: impl Fn(f32, f32) -> bool) -> Self {
        Portable(std::array::from_fn(|n| if f(self.0[n], b.0[n]) { yes.0[n] } else { no.0[n] }))
    }
}

impl Lane for Portable {
    const N: usize = 8;
    const ROWS: usize = 4;
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller vouches for 8 readable floats.
        Portable(unsafe { p.cast::<[f32; 8]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller vouches for 8 writable floats.
        unsafe { p.cast::<[f32; 8]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Portable([x; 8])
    }
    #[inline(always)]
    unsafe fn fma(self, b: Self, c: Self) -> Self {
        Portable(std::array::from_fn(|n| self.0[n] * b.0[n] + c.0[n]))
    }
    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        self.zip(b, |x, y| x + y)
    }
    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        self.zip(b, |x, y| x - y)
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
