//! [`Register`] and [`Lane`] for AVX-512 and AVX2+FMA.

use super::{Lane, Register};
use std::arch::x86_64::*;

macro_rules! register {
    ($register:ty, $of:ty, $n:expr, $load:ident, $store:ident, $splat:ident, $add:ident, $mul:ident, $min:ident, $max:ident) => {
        // SAFETY of every body: the caller of a method vouches for the instruction set, and for the
        // pointers.
        impl Register<$of> for $register {
            const N: usize = $n;
            #[inline(always)]
            unsafe fn load(p: *const $of) -> Self {
                unsafe { $load(p) }
            }
            #[inline(always)]
            unsafe fn store(self, p: *mut $of) {
                unsafe { $store(p, self) }
            }
            #[inline(always)]
            unsafe fn splat(x: $of) -> Self {
                unsafe { $splat(x) }
            }
            #[inline(always)]
            unsafe fn add(self, b: Self) -> Self {
                unsafe { $add(self, b) }
            }
            #[inline(always)]
            unsafe fn mul(self, b: Self) -> Self {
                unsafe { $mul(self, b) }
            }
            #[inline(always)]
            unsafe fn min(self, b: Self) -> Self {
                unsafe { $min(self, b) }
            }
            #[inline(always)]
            unsafe fn max(self, b: Self) -> Self {
                unsafe { $max(self, b) }
            }
        }
    };
}

macro_rules! lane {
    ($register:ty, $double:ty, $rows:expr, $fma:ident, $sub:ident, $floor:expr, $rint:expr, $gt:expr, $ge:expr) => {
        // SAFETY of every body: as above.
        impl Lane for $register {
            type Double = $double;
            const ROWS: usize = $rows;
            #[inline(always)]
            unsafe fn fma(self, b: Self, c: Self) -> Self {
                unsafe { $fma(self, b, c) }
            }
            #[inline(always)]
            unsafe fn sub(self, b: Self) -> Self {
                unsafe { $sub(self, b) }
            }
            #[inline(always)]
            unsafe fn floor(self) -> Self {
                unsafe { $floor(self) }
            }
            #[inline(always)]
            unsafe fn rint(self) -> Self {
                unsafe { $rint(self) }
            }
            #[inline(always)]
            unsafe fn if_gt(self, b: Self, yes: Self, no: Self) -> Self {
                unsafe { $gt(self, b, yes, no) }
            }
            #[inline(always)]
            unsafe fn if_ge(self, b: Self, yes: Self, no: Self) -> Self {
                unsafe { $ge(self, b, yes, no) }
            }
        }
    };
}

register!(
    __m512,
    f32,
    16,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_set1_ps,
    _mm512_add_ps,
    _mm512_mul_ps,
    _mm512_min_ps,
    _mm512_max_ps
);
register!(
    __m512d,
    f64,
    8,
    _mm512_loadu_pd,
    _mm512_storeu_pd,
    _mm512_set1_pd,
    _mm512_add_pd,
    _mm512_mul_pd,
    _mm512_min_pd,
    _mm512_max_pd
);
register!(
    __m256,
    f32,
    8,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_set1_ps,
    _mm256_add_ps,
    _mm256_mul_ps,
    _mm256_min_ps,
    _mm256_max_ps
);
register!(
    __m256d,
    f64,
    4,
    _mm256_loadu_pd,
    _mm256_storeu_pd,
    _mm256_set1_pd,
    _mm256_add_pd,
    _mm256_mul_pd,
    _mm256_min_pd,
    _mm256_max_pd
);

// 8 × 2 accumulators of the 32 registers; 4 × 2 of the 16.
lane!(
    __m512,
    __m512d,
    8,
    _mm512_fmadd_ps,
    _mm512_sub_ps,
    |v| _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(v),
    |v| _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(v),
    |a, b, yes, no| _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b), no, yes),
    |a, b, yes, no| _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GE_OQ>(a, b), no, yes)
);
lane!(
    __m256,
    __m256d,
    4,
    _mm256_fmadd_ps,
    _mm256_sub_ps,
    |v| _mm256_floor_ps(v),
    |v| _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(v),
    |a, b, yes, no| _mm256_blendv_ps(no, yes, _mm256_cmp_ps::<_CMP_GT_OQ>(a, b)),
    |a, b, yes, no| _mm256_blendv_ps(no, yes, _mm256_cmp_ps::<_CMP_GE_OQ>(a, b))
);
