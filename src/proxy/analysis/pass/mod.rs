//! Rewrites of the exact model before it is lowered; the outputs stay bit-identical.

pub mod average;
pub mod constant;
pub mod live;
pub mod positions;
