//! Loops over parameters, left to the compiler's vectoriser: Adam, and the quantization of weights
//! with their bit counts.

use super::{Has, Lane, Vectorized};

/// Adam in TensorFlow's form on one run of parameters: `p −= c·m/(√v + ε)`,
/// `c = lr·√(1−β2^t)/(1−β1^t)`, then clipped to `bounds`.
pub struct Adam<'a> {
    pub p: &'a mut [f32],
    pub m: &'a mut [f32],
    pub v: &'a mut [f32],
    pub g: &'a [f32],
    pub rate: f32,
    pub beta1: f32,
    pub beta2: f32,
    pub epsilon: f32,
    pub bounds: (f32, f32),
}

impl Vectorized for Adam<'_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lane>(self, _: Has<L>) {
        let (b1, b2, (lo, hi)) = (1.0 - self.beta1, 1.0 - self.beta2, self.bounds);
        for (((p, m), v), &g) in self.p.iter_mut().zip(self.m).zip(self.v).zip(self.g) {
            *m += b1 * (g - *m);
            *v += b2 * (g * g - *v);
            let q = *p - self.rate * *m / (v.sqrt() + self.epsilon);
            *p = q.max(lo).min(hi);
        }
    }
}

/// One row of weights, one width per weight: quantized half up, with its surrogate and enclosed
/// bits (docs/hgq-spec.md#a2-1, #a2-2). All slices have the same length; returns
/// `(Σ bits, Σ enclosed)`.
pub struct WeightRow<'a> {
    pub w: &'a [f32],
    pub f: &'a [f32],
    pub wq: &'a mut [f32],
    /// Surrogate bits `relu(⌊log2|wq|⌋ + 1 + rhe(f))`, 0 for `wq = 0`.
    pub bits: &'a mut [f32],
}

impl Vectorized for WeightRow<'_> {
    type Out = (f32, f32);
    #[inline(always)]
    fn run<L: Lane>(self, _: Has<L>) -> (f32, f32) {
        let (mut bits, mut enclosed) = (0i32, 0i32);
        for (((&w, &f), wq), b) in self.w.iter().zip(self.f).zip(self.wq).zip(self.bits) {
            let f = f.round_ties_even();
            // |f| ≤ 126 is a promise of the parameters' bounds; `as` would saturate anyway
            let exponent = (f as i32) << 23;
            let v = w * f32::from_bits(((127 << 23) + exponent) as u32);
            let floor = v.floor();
            let q = (floor + if v - floor >= 0.5 { 1.0 } else { 0.0 }) * f32::from_bits(((127 << 23) - exponent) as u32);
            *wq = q;
            let pattern = q.to_bits() as i32 & 0x7fff_ffff;
            let live = if pattern != 0 { -1i32 } else { 0 };
            let width = ((pattern >> 23) - 126 + f as i32).max(0) & live;
            *b = width as f32;
            bits += width;
            // the mantissa with its hidden one: 24 bits less the trailing zeros
            let mantissa = (pattern & 0x7f_ffff) | 0x80_0000;
            let lowest = ((mantissa & -mantissa) as f32).to_bits() as i32 >> 23;
            enclosed += (24 - (lowest - 127)) & live;
        }
        (bits as f32, enclosed as f32)
    }
}
