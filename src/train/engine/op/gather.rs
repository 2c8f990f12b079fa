//! Movement of elements: patches of a convolution, other layouts, concatenation, padding. Each
//! element of the result is an element of an input or 0; backward, each input gets the sum of the
//! gradients of its copies.

use super::super::kernel::{Isa, MoveBackward, MoveForward, Moves, dispatch};
use super::super::slot::Slot;

/// Which floats go where, per sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Gather {
    /// Of each input.
    moves: Vec<Moves>,
}

impl Gather {
    /// `sources`: for each element of the result, in order, the input and the element of it; `None`
    /// for a 0. `None` when a sample is too large for the table.
    pub fn new(inputs: &[Slot], y: Slot, sources: impl Iterator<Item = Option<(usize, usize)>>) -> Option<Gather> {
        let mut pairs: Vec<Vec<(usize, usize)>> = vec![Vec::new(); inputs.len()];
        for (e, source) in sources.enumerate() {
            if let Some((which, from)) = source {
                pairs[which].push((inputs[which].offset(from), y.offset(e)));
            }
        }
        let moves = pairs.into_iter().map(|p| Moves::new(p.into_iter())).collect::<Option<_>>()?;
        Some(Gather { moves })
    }

    /// Copies input number `which` into the result, `samples` samples. Floats of the result that
    /// nothing reaches are left alone.
    pub fn forward(
        &self,
        isa: Isa,
        which: usize,
        samples: usize,
        (from, from_stride): (&[f32], usize),
        (to, to_stride): (&mut [f32], usize),
    ) {
        dispatch(isa, MoveForward { moves: &self.moves[which], samples, from, from_stride, to, to_stride });
    }

    /// Adds the gradient of the result to that of input number `which`.
    pub fn backward(
        &self,
        isa: Isa,
        which: usize,
        samples: usize,
        (from, from_stride): (&mut [f32], usize),
        (to, to_stride): (&[f32], usize),
    ) {
        dispatch(isa, MoveBackward { moves: &self.moves[which], samples, from, from_stride, to, to_stride });
    }
}
