//! How many samples are evaluated at a time.

/// Samples per block: eight registers of floats ([`crate::simd::weighted_sum`]), and a few hundred
/// values stay in the second-level cache.
pub const BLOCK: usize = 128;

/// Numbers that one value of a block may take: with larger ones, blocks of images would not fit the
/// memory.
const BLOCK_NUMBERS: usize = 1 << 24;

/// Samples per block where the largest value has `elements`: what is computed for fewer than a
/// quarter of [`BLOCK`] is not padded to it.
pub fn width(samples: usize, elements: usize) -> usize {
    let most = if samples > BLOCK / 4 { BLOCK } else { samples.max(1) };
    most.min(BLOCK_NUMBERS / elements).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::LANES;

    #[test]
    fn blocks_fit_the_samples_and_the_memory() {
        assert_eq!([width(0, 10), width(2, 10), width(33, 10), width(1000, 10)], [1, 2, BLOCK, BLOCK]);
        for elements in [1 << 18, 1 << 20, 1 << 21, 5_000_000, 1 << 25] {
            let width = width(1000, elements);
            assert!(width == 1 || width * elements <= BLOCK_NUMBERS, "{elements}: {width}");
        }
        assert_eq!(width(1000, 1 << 19), 2 * LANES);
    }
}
