//! Frozen element-wise scale and shift: `y = x·scale + shift`, `dx = scale·dy`.

/// `scale` and `shift` are one padded row; `x` and `y` whole padded rows.
pub fn forward(scale: &[f32], shift: &[f32], x: &[f32], y: &mut [f32]) {
    let stride = scale.len().max(1);
    for (y, x) in y.chunks_exact_mut(stride).zip(x.chunks_exact(stride)) {
        for (((y, &x), &s), &t) in y.iter_mut().zip(x).zip(scale).zip(shift) {
            *y = x * s + t;
        }
    }
}

/// Gradient to the input; added to `dx` with `add`.
pub fn backward(scale: &[f32], dy: &[f32], dx: &mut [f32], add: bool) {
    let stride = scale.len().max(1);
    for (dx, dy) in dx.chunks_exact_mut(stride).zip(dy.chunks_exact(stride)) {
        for ((dx, &dy), &s) in dx.iter_mut().zip(dy).zip(scale) {
            *dx = if add { *dx } else { 0.0 } + dy * s;
        }
    }
}
