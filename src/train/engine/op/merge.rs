//! Two tensors, element by element: the functions of [`Merge`] as loops, one for each, so that the
//! compiler vectorises them.

use super::{chain_both, map_both};
use crate::ops::Merge;
use crate::simd::Isa;

/// `y = a ∘ b` on blocks that lie alike.
pub fn forward(isa: Isa, merge: Merge, a: &[f32], b: &[f32], y: &mut [f32]) {
    match merge {
        Merge::Add => map_both(isa, (a, b), y, |a, b| Merge::Add.apply(a, b)),
        Merge::Sub => map_both(isa, (a, b), y, |a, b| Merge::Sub.apply(a, b)),
        Merge::Mul => map_both(isa, (a, b), y, |a, b| Merge::Mul.apply(a, b)),
        Merge::Max => map_both(isa, (a, b), y, |a, b| Merge::Max.apply(a, b)),
        Merge::Min => map_both(isa, (a, b), y, |a, b| Merge::Min.apply(a, b)),
    }
}

/// Gradient of the first operand (`which` 0) or the second into `dx`, on top of what is there where
/// `keep` is 1.
pub fn backward(isa: Isa, merge: Merge, which: usize, (a, b): (&[f32], &[f32]), dy: &[f32], dx: &mut [f32], keep: f32) {
    match merge {
        Merge::Add => chain_both(isa, (a, b), dy, dx, keep, |a, b| Merge::Add.derivatives(a, b)[which]),
        Merge::Sub => chain_both(isa, (a, b), dy, dx, keep, |a, b| Merge::Sub.derivatives(a, b)[which]),
        Merge::Mul => chain_both(isa, (a, b), dy, dx, keep, |a, b| Merge::Mul.derivatives(a, b)[which]),
        Merge::Max => chain_both(isa, (a, b), dy, dx, keep, |a, b| Merge::Max.derivatives(a, b)[which]),
        Merge::Min => chain_both(isa, (a, b), dy, dx, keep, |a, b| Merge::Min.derivatives(a, b)[which]),
    }
}
