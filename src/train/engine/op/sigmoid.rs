//! Sigmoid in plain floats: the quantizer behind it decides the table the hardware gets.

#[inline(always)]
pub fn forward(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Derivative from the result: `y(1 − y)`.
#[inline(always)]
pub fn derivative(y: f32) -> f32 {
    y * (1.0 - y)
}
