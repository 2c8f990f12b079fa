//! Data files: npy and npz → [`Arrays`] → [`Dataset`] (samples for the graph inputs, targets) → splits.

mod arrays;
mod dataset;
mod declared;
mod error;
mod npy;
pub mod order;
pub mod rng;
mod split;
pub mod targets;

pub use arrays::{Array, Arrays, DataLimits};
pub use dataset::{Dataset, InputShape};
pub use declared::{Declared, declared, signature};
pub use error::DataError;
pub use npy::Values;
pub use rng::Rng;
pub use split::split;
pub use targets::{OutputShape, OutputTargets, Targets};
