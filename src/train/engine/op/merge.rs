//! Two tensors, element by element. Of equal operands of a maximum or minimum the first one gets the gradient.

use crate::graph::Merge;
use crate::simd::{Has, Isa, Lane, Vectorized, dispatch};

/// `y = a ∘ b` on blocks that lie alike.
pub fn forward(isa: Isa, merge: Merge, a: &[f32], b: &[f32], y: &mut [f32]) {
    match merge {
        Merge::Add => map(isa, a, b, y, |a, b| a + b),
        Merge::Sub => map(isa, a, b, y, |a, b| a - b),
        Merge::Mul => map(isa, a, b, y, |a, b| a * b),
        Merge::Max => map(isa, a, b, y, |a, b| if a >= b { a } else { b }),
        Merge::Min => map(isa, a, b, y, |a, b| if a <= b { a } else { b }),
    }
}

/// Gradient of the first operand (`which` 0) or the second into `dx`, added to it with `add`.
#[allow(clippy::too_many_arguments)] // the buffers of one kernel call
pub fn backward(isa: Isa, merge: Merge, which: usize, a: &[f32], b: &[f32], dy: &[f32], dx: &mut [f32], add: bool) {
    match (merge, which) {
        (Merge::Add, _) | (Merge::Sub, 0) => chain(isa, a, b, dy, dx, add, |_, _| 1.0),
        (Merge::Sub, _) => chain(isa, a, b, dy, dx, add, |_, _| -1.0),
        (Merge::Mul, 0) => chain(isa, a, b, dy, dx, add, |_, b| b),
        (Merge::Mul, _) => chain(isa, a, b, dy, dx, add, |a, _| a),
        (Merge::Max, 0) => chain(isa, a, b, dy, dx, add, |a, b| if a >= b { 1.0 } else { 0.0 }),
        (Merge::Max, _) => chain(isa, a, b, dy, dx, add, |a, b| if a >= b { 0.0 } else { 1.0 }),
        (Merge::Min, 0) => chain(isa, a, b, dy, dx, add, |a, b| if a <= b { 1.0 } else { 0.0 }),
        (Merge::Min, _) => chain(isa, a, b, dy, dx, add, |a, b| if a <= b { 0.0 } else { 1.0 }),
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

fn map(isa: Isa, a: &[f32], b: &[f32], y: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    dispatch(isa, Map { a, b, y, f });
}

struct Chain<'a, F> {
    a: &'a [f32],
    b: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
    add: bool,
    f: F,
}

impl<F: Fn(f32, f32) -> f32> Vectorized for Chain<'_, F> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lane>(self, _: Has<L>) {
        for (((dx, &dy), &a), &b) in self.dx.iter_mut().zip(self.dy).zip(self.a).zip(self.b) {
            let before = if self.add { *dx } else { 0.0 };
            *dx = before + dy * (self.f)(a, b);
        }
    }
}

fn chain(isa: Isa, a: &[f32], b: &[f32], dy: &[f32], dx: &mut [f32], add: bool, f: impl Fn(f32, f32) -> f32) {
    dispatch(isa, Chain { a, b, dy, dx, add, f });
}
