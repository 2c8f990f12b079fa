//! Polishing: a discrete search on the exact model behind gradient training. Formats stay; single weights and biases move by a bit where
//! that lowers the task loss on the training data within a budget of EBOPs. What is tried is evaluated exactly and only where it
//! changes something ([`crate::quant::exact::variants`]).
//!
//! Per round all [`moves`] are tried; the best eighth of those that help is taken together; if the loss did not fall, a quarter of it, down
//! to one. When nothing helps any more, the model grows a little beyond its budget and shrinks back into it, as long as it comes
//! back better.

mod layer;
mod moves;
mod objective;
mod search;

use super::{LayerOptions, TaskLoss, TrainSet};
use crate::quant::exact::variants::{Change, Parameter};
use crate::quant::interval::AllBounds;
use crate::quant::model::{FixedModel, Model, QOp, fractional_bits};
use objective::Objective;
use search::Search;
use std::sync::atomic::{AtomicBool, Ordering};

/// Rounds at most; the gain of later ones was below that of other seeds.
const ROUNDS: usize = 12;
/// Rounds of a cycle of growing and shrinking.
const CYCLE_ROUNDS: usize = 4;
/// Such cycles at most.
const CYCLES: usize = 10;
/// How far a model grows beyond its budget.
const GROWTH: f64 = 1.08;
/// A cycle must lower the loss by this share of it to be worth another.
const CYCLE_GAIN: f64 = 1e-3;

/// What is minimised, on what.
pub struct Polishing<'a> {
    pub set: &'a TrainSet<'a>,
    /// Training rows, in an order that a share of them may be taken from.
    pub rows: &'a [u32],
    /// Values per sample of each input.
    pub input_widths: &'a [usize],
    pub loss: &'a TaskLoss,
    /// Exact EBOPs of the model, and the most that it may have.
    pub ebops: f64,
    pub budget: f64,
    /// Layers that keep their weights or their widths: a move may change both, so they stay as they are.
    pub layers: &'a [LayerOptions],
}

/// The model after polishing; `fixed`: the model made exact, `bounds`: its. `None` where there is nothing to gain, or the model is too
/// large for it.
pub fn polish(model: &Model, fixed: &FixedModel, bounds: &AllBounds, how: &Polishing, cancel: &AtomicBool) -> Option<Model> {
    let layers = layer::layers(model, fixed, bounds, how.layers);
    let samples = layer::affordable(fixed, &layers, how.rows.len())?;
    // an even share of the rows
    let rows: Vec<usize> = (0..samples).map(|n| how.rows[n * how.rows.len() / samples] as usize).collect();
    let inputs = columns_of_inputs(how, &rows);
    let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let mut search = Search::new(fixed, &layers, &inputs, samples, Objective::new(how.loss, how.set, &rows));
    let canceled = || cancel.load(Ordering::Relaxed);
    let budget = (how.budget - how.ebops).max(0.0);
    let rounds = |search: &mut Search, most: usize| (0..most).all(|_| !canceled() && search.improve(budget));
    rounds(&mut search, ROUNDS);
    for _ in 0..CYCLES {
        let best = search.state();
        let before = search.loss();
        let grown = search.grow(budget + (GROWTH - 1.0) * how.budget);
        let back = grown && search.shrink(budget);
        if back {
            rounds(&mut search, CYCLE_ROUNDS);
        }
        if !back || search.loss() > before * (1.0 - CYCLE_GAIN) {
            search.restore(best);
            break;
        }
    }
    let changes = search.changes();
    (!changes.is_empty() && !canceled()).then(|| with_changes(model, &changes))
}

/// The rows of each graph input.
fn columns_of_inputs(how: &Polishing, rows: &[usize]) -> Vec<Vec<f32>> {
    let width: usize = how.input_widths.iter().sum();
    let mut first = 0;
    how.input_widths
        .iter()
        .map(|&len| {
            let part = rows.iter().flat_map(|&r| how.set.x[r * width + first..r * width + first + len].iter().copied()).collect();
            first += len;
            part
        })
        .collect()
}

/// The latent model with these values, on the coarsest grids that hold them.
fn with_changes(model: &Model, changes: &[Change]) -> Model {
    let mut model = model.clone();
    for &Change { node, what, value } in changes {
        let d = match &mut model.nodes[node].op {
            QOp::Dense(d) => d,
            QOp::SaturatingDense(s) => {
                match what {
                    Parameter::Bias(o) => {
                        s.layer.bias[o] = value as f32;
                        s.bias.hold(o, value);
                    }
                    Parameter::Weight(e) => {
                        s.layer.weight[e] = value as f32;
                        s.weight.hold(e, value);
                    }
                }
                continue;
            }
            _ => continue,
        };
        d.declared = None;
        match what {
            Parameter::Bias(o) => d.bias[o] = value as f32,
            Parameter::Weight(e) => {
                d.weight[e] = value as f32;
                if value != 0.0 && d.weight_groups.is_elementwise() {
                    d.weight_f[d.weight_groups.of(e)] = fractional_bits(value) as f32;
                }
            }
        }
    }
    model
}
