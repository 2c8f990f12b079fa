//! Relu: `y = max(x, 0)`, `relu'(0) = 0` (docs/hgq-spec.md#a1-3).

#[inline(always)]
pub fn forward(x: f32) -> f32 {
    if x > 0.0 { x } else { 0.0 }
}

/// Derivative at input `x`.
#[inline(always)]
pub fn derivative(x: f32) -> f32 {
    if x > 0.0 { 1.0 } else { 0.0 }
}
