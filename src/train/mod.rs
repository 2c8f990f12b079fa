//! The autodiff engine and the training loop. [`engine::Engine`] compiles a [`crate::quant::Model`] into a plan and computes the
//! gradients of `task loss + β·EBOPs + l1·Σf`; formulas: spec A1–A4 and B1.1, one file per operation in [`op`].

pub mod controller;
pub mod data;
pub mod ebops;
pub mod engine;
pub mod error;
pub mod fit;
pub mod kernel;
pub mod loss;
pub mod op;
pub mod params;
pub mod pareto;
pub mod polish;
pub mod schedule;
pub mod sensitivity;
pub mod state;

mod bits;
mod check;
mod compile;
mod constants;
mod plan;
mod shard;
mod sources;
mod topology;
mod workers;

pub use crate::simd::Isa;
pub use data::TrainSet;
pub use ebops::Ebops;
pub use engine::{Engine, EngineOptions, LayerOptions, StepStats};
pub use error::TrainError;
pub use loss::{Head, LossKind, TaskLoss};
pub use params::ParamKind;
pub use state::EngineState;
