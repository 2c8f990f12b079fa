//! What a model is for: what its targets mean, what is minimised, and what it is judged by.

pub(crate) mod ends;
pub mod logits;
pub mod metric;
pub mod objective;
