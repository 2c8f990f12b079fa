//! How many samples are evaluated at a time.

/// Samples per block: eight registers of floats ([`crate::simd::weighted_sum`]), and a few hundred
/// values stay in the second-level cache.
pub const BLOCK: usize = 128;
