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

/// An element-wise operation without trainable numbers, where it could not be fused into a dense
/// layer.
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
    a: &'a [f32],
    b: &'a [f32],
    y: &'a mut [f32],
    f: F,
}

impl<F: Fn(f32, f32) -> f32> Vectorized for Map<'_, F> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lane>(self, _: Has<L>) {
        for ((y, &a), &b) in self.y.iter_mut().zip(self.a).zip(self.b) {
            *y = (self.f)(a, b);
        }
    }
}

/// `y = f(x)`.
fn map(isa: Isa, x: &[f32], y: &mut [f32], f: impl Fn(f32) -> f32) {
    map_both(isa, (x, x), y, |x, _| f(x));
}

/// `y = f(a, b)`.
fn map_both(isa: Isa, (a, b): (&[f32], &[f32]), y: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    dispatch(isa, Map { a, b, y, f });
}

struct Chain<'a, F> {
    a: &'a [f32],
    b: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
    keep: f32,
    f: F,
}

impl<F: Fn(f32, f32) -> f32> Vectorized for Chain<'_, F> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lane>(self, _: Has<L>) {
        for (((dx, &dy), &a), &b) in self.dx.iter_mut().zip(self.dy).zip(self.a).zip(self.b) {
            let before = if self.keep > 0.0 { *dx } else { 0.0 };
            *dx = before + dy * (self.f)(a, b);
        }
    }
}

/// `dx = f'(v)·dy`, on top of what is there where `keep` is 1.
fn chain(isa: Isa, v: &[f32], dy: &[f32], dx: &mut [f32], keep: f32, f: impl Fn(f32) -> f32) {
    chain_both(isa, (v, v), dy, dx, keep, |v, _| f(v));
}

/// [`chain`] for derivatives that need two values.
fn chain_both(isa: Isa, (a, b): (&[f32], &[f32]), dy: &[f32], dx: &mut [f32], keep: f32, f: impl Fn(f32, f32) -> f32) {
    dispatch(isa, Chain { a, b, dy, dx, keep, f });
}
