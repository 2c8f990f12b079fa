//! Vector kernels of the training step, with [`crate::simd`] the only `unsafe` code of the crate.
//! Every kernel is written once over [`Lane`]; [`Portable`] is its scalar twin.

mod backward;
mod elementwise;
mod forward;
mod moves;
mod taps;
mod tile;

pub use crate::simd::{Buffer, Has, Isa, LANES, Lane, Portable, Vectorized, dispatch};
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

/// Whether `len` numbers hold `rows` rows of `stride`; a product beyond `usize` does not fit
/// either.
fn holds(len: usize, rows: usize, stride: usize) -> bool {
    rows.checked_mul(stride).is_some_and(|needed| needed <= len)
}

#[cfg(test)]
mod tests {
    use super::holds;

    #[test]
    fn a_product_that_wraps_does_not_fit() {
        assert!(holds(12, 3, 4) && holds(12, 0, usize::MAX) && holds(0, 0, 0));
        assert!(!holds(11, 3, 4) && !holds(usize::MAX, 1 << 60, 16) && !holds(0, usize::MAX, 2));
    }
}
