//! What the targets share: a bound on single allocations, and the small run that checkpoints belong to.

pub mod allocation;
pub mod training;
