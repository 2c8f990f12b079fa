//! The training run: one descending trunk with branches that anneal at the wanted budgets, or one β
//! schedule.
//!
//! Trunk: the EBOPs target falls from the start to 0.65 × the smallest budget, the learning rate
//! from `lr` to `lr/5`. Branch for budget `b`: from the last trunk snapshot of at least `1.15·b`,
//! target just below `b`, fresh moments, rates held then annealed by a cosine. Every snapshot is
//! scored exactly and competes for the front.
//!
//! [`stages`] says what follows what, [`run`] trains, [`checkpoint`] writes all of a run's state
//! down: a run that goes on from a checkpoint ends as the unstopped one.

mod checkpoint;
pub mod controller;
pub mod options;
mod run;
pub mod schedule;
mod stages;

pub use options::{Epoch, FitError, FitOptions, Fitted, Goal, Observer};

use super::TrainSet;
use crate::quant::Model;
use run::Run;
use std::sync::atomic::AtomicBool;

/// Trains `model` on the given rows of `set`; `resume`: a checkpoint of the same run to go on from.
/// One that does not fit is ignored.
///
/// # Errors
/// See [`FitError`].
pub fn fit(
    model: &Model,
    set: &TrainSet,
    rows: &[u32],
    options: &FitOptions,
    observer: &mut dyn Observer,
    resume: Option<&[u8]>,
    cancel: &AtomicBool,
) -> Result<Fitted, FitError> {
    let mut run = Run::new(model, set, rows, options, observer, cancel)?;
    match resume.and_then(checkpoint::State::decoded) {
        Some(state) if run.resume(&state).is_ok() => {}
        _ => run.start()?,
    }
    run.all_stages()?;
    run.fitted()
}
