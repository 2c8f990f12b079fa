//! Binary activation: `−1` where `x < 0`, else `0` (an affine after it makes it `±s`).
//! Straight-through as for `sign(x)`, which is `2·y + 1`: the derivative is ½ where `|x| ≤ 1`, else
//! 0.

#[inline(always)]
pub fn forward(x: f32) -> f32 {
    if x < 0.0 { -1.0 } else { 0.0 }
}

/// Derivative at input `x`.
#[inline(always)]
pub fn derivative(x: f32) -> f32 {
    if x.abs() <= 1.0 { 0.5 } else { 0.0 }
}
