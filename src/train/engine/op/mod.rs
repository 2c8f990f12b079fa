//! One file per differentiable operation: its formula, forward beside backward.

pub mod affine;
pub mod bias;
pub mod dense;
pub mod gather;
pub mod leaky_relu;
pub mod merge;
pub mod quantizer;
pub mod relu;
pub mod saturating;
pub mod sigmoid;
pub mod sign;
pub mod tanh;

use super::kernel::{Buffer, Has, Isa, Lane, Vectorized, dispatch};

/// An element-wise operation without trainable numbers, where it could not be fused into a dense layer.
#[derive(Clone)]
pub enum Unary {
    Relu,
    LeakyRelu { slope: f32 },
    Sigmoid,
    Tanh,
    Sign,
    Affine { scale: Buffer, shift: Buffer },
}

impl Unary {
    /// `y = op(x)` on whole padded rows.
    pub fn forward(&self, isa: Isa, x: &[f32], y: &mut [f32]) {
        match self {
            Unary::Relu => map(isa, x, y, relu::forward),
            Unary::LeakyRelu { slope } => map(isa, x, y, |v| leaky_relu::forward(v, *slope)),
            Unary::Sigmoid => map(isa, x, y, sigmoid::forward),
            Unary::Tanh => map(isa, x, y, tanh::forward),
            Unary::Sign => map(isa, x, y, sign::forward),
            Unary::Affine { scale, shift } => affine::forward(scale, shift, x, y),
        }
    }

    /// `dx = op'(x)·dy`, or `dx += …` with `add`. `y` is the result of the forward pass.
    pub fn backward(&self, isa: Isa, x: &[f32], y: &[f32], dy: &[f32], dx: &mut [f32], add: bool) {
        let keep = if add { 1.0 } else { 0.0 };
        match self {
            Unary::Relu => chain(isa, x, dy, dx, keep, relu::derivative),
            Unary::LeakyRelu { slope } => chain(isa, x, dy, dx, keep, |v| leaky_relu::derivative(v, *slope)),
            Unary::Sigmoid => chain(isa, y, dy, dx, keep, sigmoid::derivative),
            Unary::Tanh => chain(isa, y, dy, dx, keep, tanh::derivative),
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
