//! Leaky Relu: `y = x` for `x > 0`, else `slope·x`; the derivative at 0 is the slope.

#[inline(always)]
pub fn forward(x: f32, slope: f32) -> f32 {
    if x > 0.0 { x } else { slope * x }
}

/// Derivative at input `x`.
#[inline(always)]
pub fn derivative(x: f32, slope: f32) -> f32 {
    if x > 0.0 { 1.0 } else { slope }
}
