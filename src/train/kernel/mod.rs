//! Vector kernels of the training step, with [`crate::simd`] the only `unsafe` code of the crate. Every kernel is written once over
//! [`Lane`]; [`Portable`] is its scalar twin.

mod backward;
mod elementwise;
mod forward;
mod moves;
mod taps;
mod tile;

pub use crate::simd::{Buffer, Isa, LANES, Lane, Portable, Vectorized, dispatch};
pub use backward::{DenseInputGrad, DenseWeightGrad, InputGrad, QuantizerBackward, QuantizerSums};
pub use elementwise::{Adam, WeightRow};
pub use forward::{DenseForward, Quantize, QuantizeInto, QuantizerForward};
pub use moves::{MoveBackward, MoveForward, Moves};
pub use taps::{PoolBackward, PoolForward, Taps, TapsBackward, TapsForward};

/// Rows that go forward and backward through all layers together: their activations stay in L2.
pub const BLOCK_ROWS: usize = 128;

/// `n` rounded up to whole [`LANES`]: every row of a buffer is padded to a multiple of them.
pub fn pad(n: usize) -> usize {
    n.next_multiple_of(LANES)
}
