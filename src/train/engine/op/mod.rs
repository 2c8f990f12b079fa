//! One file per differentiable operation: its formula, forward beside backward.

pub mod affine;
pub mod bias;
pub mod dense;
pub mod elementwise;
pub mod gather;
pub mod merge;
pub mod quantizer;
pub mod saturating;
pub mod sign;

use super::kernel::{Buffer, Has, Isa, Lane, Vectorized, dispatch};
use crate::ops::Elementwise;

/// An element-wise operation without trainable numbers, where it could not be fused into a dense layer.
#[derive(Clone)]
pub enum Unary {
    Elementwise(Elementwise),
    Sign,
    Affine { scale: Buffer, shift: Buffer },
}

impl Unary {
    /// `y = op(x)` on whole padded rows.
    pub fn forward(&self, isa: Isa, x: &[f32], y: &mut [f32]) {
        match self {
            Unary::Elementwise(f) => elementwise::forward(isa, *f, x, y),
            Unary::Sign => map(isa, x, y, sign::forward),
            Unary::Affine { scale, shift } => affine::forward(scale, shift, x, y),
        }
    }

    /// `dx = op'(x)·dy`, or `dx += …` with `add`. `y` is the result of the forward pass.
    pub fn backward(&self, isa: Isa, x: &[f32], y: &[f32], dy: &[f32], dx: &mut [f32], add: bool) {
        let keep = if add { 1.0 } else { 0.0 };
        match self {
            Unary::Elementwise(f) => elementwise::backward(isa, *f, (x, y), dy, dx, keep),
            Unary::Sign => chain(isa, x, dy, dx, keep, sign::derivative),
            Unary::Affine { scale, .. } => affine::backward(scale, dy, dx, add),
        }
    }
}

struct Map<'a, F> {
    x: &'a [f32],
    y: &'a mut [f32],
    f: F,
}

impl<F: Fn(f32) -> f32> Vectorized for Map<'_, F> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lane>(self, _: Has<L>) {
        for (y, &x) in self.y.iter_mut().zip(self.x) {
            *y = (self.f)(x);
        }
    }
}

fn map(isa: Isa, x: &[f32], y: &mut [f32], f: impl Fn(f32) -> f32) {
    dispatch(isa, Map { x, y, f });
}

struct Chain<'a, F> {
    v: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
    keep: f32,
    f: F,
}

impl<F: Fn(f32) -> f32> Vectorized for Chain<'_, F> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lane>(self, _: Has<L>) {
        for ((dx, &dy), &v) in self.dx.iter_mut().zip(self.dy).zip(self.v) {
            let before = if self.keep > 0.0 { *dx } else { 0.0 };
            *dx = before + dy * (self.f)(v);
        }
    }
}

fn chain(isa: Isa, v: &[f32], dy: &[f32], dx: &mut [f32], keep: f32, f: impl Fn(f32) -> f32) {
    dispatch(isa, Chain { v, dy, dx, keep, f });
}

/// `dx = f'(x, y)·dy`, for derivatives that need input and result.
fn chain_of_both((x, y): (&[f32], &[f32]), dy: &[f32], dx: &mut [f32], keep: f32, f: impl Fn(f32, f32) -> f32) {
    for ((dx, &dy), (&x, &y)) in dx.iter_mut().zip(dy).zip(x.iter().zip(y)) {
        let before = if keep > 0.0 { *dx } else { 0.0 };
        *dx = before + dy * f(x, y);
    }
}
