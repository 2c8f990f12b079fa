//! The autodiff engine and the training loop. [`engine::Engine`] compiles a [`crate::quant::Model`]
//! into a plan and computes the gradients of `task loss + β·EBOPs + l1·Σf`; formulas:
//! docs/hgq-spec.md#a1 to #a4 and #b1-1, one file per operation in [`engine::op`].

pub mod engine;
pub mod error;
pub mod fit;
pub mod pareto;
pub mod polish;
pub mod sensitivity;

pub use crate::simd::Isa;
pub use engine::data::TrainSet;
pub use engine::ebops::Ebops;
pub use engine::head::{Head, LossKind};
pub use engine::loss::TaskLoss;
pub use engine::params::ParamKind;
pub use engine::state::EngineState;
pub use engine::{
    Engine, StepStats,
    options::{EngineOptions, LayerOptions},
};
pub use error::TrainError;
