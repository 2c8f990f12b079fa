//! How good a candidate is: made exact, run, measured, compared with the source.

pub mod difference;
pub mod judged;
pub mod measured;
pub mod score;
pub mod seen;
