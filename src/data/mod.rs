//! Data files: npy and npz → [`Arrays`] → [`Dataset`] (samples for the graph inputs, targets) →
//! splits.

mod arrays;
mod dataset;
mod declared;
mod error;
mod file;
mod join;
mod kind;
pub mod limits;
pub mod locate;
mod npy;
pub mod order;
pub mod rng;
mod samples;
pub mod sha256;
mod split;
pub mod targets;

pub use arrays::{Array, Arrays, Stored};
pub use dataset::Dataset;
pub use declared::{Declared, declared};
pub use error::DataError;
pub use file::DataFile;
pub use join::join;
pub use kind::signature;
pub use limits::DataLimits;
pub use locate::InputShape;
pub use npy::Values;
pub use rng::Rng;
pub use samples::Samples;
pub use split::split;
pub use targets::{
    kinds::{OutputTargets, Taken, Targets},
    shape::{Asked, Ends, OutputShape},
};
