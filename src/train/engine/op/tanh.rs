//! Tanh in plain floats: the quantizer behind it decides the table the hardware gets.

#[inline(always)]
pub fn forward(x: f32) -> f32 {
    x.tanh()
}

/// Derivative from the result: `1 − y²`.
#[inline(always)]
pub fn derivative(y: f32) -> f32 {
    1.0 - y * y
}
