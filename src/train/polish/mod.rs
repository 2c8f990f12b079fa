//! Polishing (docs/recipe.md#polish): a discrete search on the exact model after the training.
//! Formats stay; single weights and biases move by a bit where that lowers the task loss on the
//! training data within a budget of EBOPs. What is tried is evaluated exactly and only where it
//! changes something ([`crate::quant::exact::variants`]).
//!
//! Per round all [`moves`] are tried on a few samples and the promising ones on all; the best
//! eighth of those that help is taken together; if the loss did not fall, a quarter of it, down to
//! one. A model above its budget comes down to it in small steps with rounds in between. When
//! nothing helps any more, it may_exceed a little beyond its budget and shrinks back into it, as
//! long as it comes back better.

mod layer;
mod moves;
mod objective;
mod search;
mod view;

use super::{LayerOptions, TaskLoss, TrainSet};
use crate::quant::exact::variants::state::{Change, Parameter};
use crate::quant::interval::AllBounds;
use crate::quant::model::{FixedModel, Model, QOp, fractional_bits};
use objective::Objective;
use search::Search;
use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use view::View;

/// Rounds at most; the gain of later ones was below that of other seeds.
const ROUNDS: usize = 12;
/// Rounds of a cycle of growing and shrinking.
const CYCLE_ROUNDS: usize = 4;
/// Such cycles at most.
const CYCLES: usize = 30;
/// How far a model may_exceed beyond its budget.
const GROWTH: f64 = 1.08;
/// Share of the EBOPs that goes at once where a model comes down to its budget …
const STEP_DOWN: f64 = 0.04;
/// … but at least so many: a bit of one product. Shares of what is left alone would take ever
/// smaller steps without an end …
const MIN_STEP: f64 = 1.0;
/// … and rounds after each such step.
const STEP_ROUNDS: usize = 3;
/// Cycles without a gain after which it ends.
const IDLE_CYCLES: usize = 3;
/// Moves are first tried on a share of the samples …
const FEW: usize = 8;
/// … of at least so many.
const MIN_FEW: usize = 128;
/// A cycle must lower the loss by this share of it to be worth another.
const CYCLE_GAIN: f64 = 1e-3;

/// What is minimised, on what.
pub struct Polishing<'a> {
    pub set: &'a TrainSet<'a>,
    /// Training rows, in an order that a share of them may be taken from.
    pub rows: &'a [u32],
    /// Of the training before it.
    pub epochs: usize,
    /// Values per sample of each input.
    pub input_widths: &'a [usize],
    pub loss: &'a TaskLoss,
    /// Layers that keep their weights or their widths: a move may change both, so they stay as they
    /// are.
    pub layers: &'a [LayerOptions],
    /// See [`super::EngineOptions::output_exponents`].
    pub output_exponents: &'a [i32],
    /// The exact model whose outputs the loss is of, where it is not of those that are emitted.
    pub trained: &'a dyn Fn(&FixedModel) -> Cow<'_, FixedModel>,
}

/// How large one model is and may be.
#[derive(Clone, Copy)]
pub struct EbopsBudget {
    /// Exact EBOPs of the model, and the most that it may have.
    pub ebops: f64,
    pub budget: f64,
    /// Whether the model may grow beyond its budget on the way.
    pub may_exceed: bool,
}

/// The model after polishing; `fixed`: the model made exact, `bounds`: its. `None` where there is
/// nothing to gain, or the model is too large for it.
pub fn polish(
    model: &Model,
    fixed: &FixedModel,
    bounds: &AllBounds,
    how: &Polishing,
    room: EbopsBudget,
    cancel: &AtomicBool,
) -> Option<Model> {
    let layers = layer::layers(model, fixed, bounds, how.layers);
    let samples = layer::affordable(fixed, &layers, how.rows.len(), how.epochs as f64 * how.rows.len() as f64)?;
    let on = |samples: usize| {
        // an even share of the rows
        let rows: Vec<usize> = (0..samples).map(|n| how.rows[n * how.rows.len() / samples] as usize).collect();
        View::new(fixed, &columns_of_inputs(how, &rows), samples, Objective::new(how.loss, how.set, &rows, how.output_exponents))
    };
    let few = (samples / FEW).max(MIN_FEW).min(samples);
    let mut search = Search::new(&layers, on(samples), on(few));
    let goes_on = || !cancel.load(Ordering::Relaxed);
    // EBOPs against those of the start, as the search counts; there is no model of less than none
    let budget = room.budget.max(0.0) - room.ebops;
    descend(&mut search, budget, room.ebops, &goes_on);
    let limit = if room.may_exceed { budget } else { search.ebops().min(budget) };
    rounds(&mut search, ROUNDS, limit, &goes_on);
    if room.may_exceed {
        cycles(&mut search, budget, room.budget, &goes_on);
    }
    let changes = search.changes();
    (!changes.is_empty() && goes_on()).then(|| with_changes(model, &changes))
}

/// Up to `most` rounds within `budget`.
fn rounds(search: &mut Search, most: usize, budget: f64, goes_on: &dyn Fn() -> bool) {
    for _ in 0..most {
        if !goes_on() || !search.improve(budget) {
            break;
        }
    }
}

/// Down to `budget` in steps: what is left makes up for what went before more goes. `start`: EBOPs
/// at the start of the search. It ends after the first step that leaves the model as large as it
/// was, or larger than the step asked for.
fn descend(search: &mut Search, budget: f64, start: f64, goes_on: &dyn Fn() -> bool) {
    while search.ebops() > budget && goes_on() {
        let before = search.ebops();
        let step = next_step(start + before) - start;
        if !search.shrink(step.max(budget)) || search.ebops() >= before {
            break;
        }
        rounds(search, STEP_ROUNDS, step.max(budget), goes_on);
    }
}

/// EBOPs that a model of `whole` comes down to in one step.
fn next_step(whole: f64) -> f64 {
    (whole - (STEP_DOWN * whole).max(MIN_STEP)).max(0.0)
}

/// Grows beyond `budget`, which is `whole` in all, and shrinks back, to the best state found.
fn cycles(search: &mut Search, budget: f64, whole: f64, goes_on: &dyn Fn() -> bool) {
    let mut best = (search.state(), search.loss());
    let mut idle = 0;
    for _ in 0..CYCLES {
        if idle == IDLE_CYCLES || !goes_on() || !search.grow(budget + (GROWTH - 1.0) * whole) || !search.shrink(budget) {
            break;
        }
        rounds(search, CYCLE_ROUNDS, budget, goes_on);
        if search.loss() < best.1 * (1.0 - CYCLE_GAIN) {
            (best, idle) = ((search.state(), search.loss()), 0);
        } else {
            idle += 1;
        }
    }
    search.restore(&best.0);
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
        let op = &mut model.nodes[node].op;
        if let QOp::SaturatingDense(s) = op {
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
        let QOp::Dense(d) = op else { continue };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_down_reach_nothing_in_a_bounded_number() {
        for whole in [1e9, 25.0, 3.0, 0.5, 1e-9] {
            let mut left: f64 = whole;
            // 4 % at a time down to 25, then one by one
            let most = (whole.max(25.0) / 25.0).ln() / (1.0 / (1.0 - STEP_DOWN)).ln() + 27.0;
            let mut steps = 0;
            while left > 0.0 {
                let next = next_step(left);
                assert!(next < left, "{left}");
                (left, steps) = (next, steps + 1);
                assert!(f64::from(steps) <= most, "{steps} steps from {whole}");
            }
        }
        assert_eq!((next_step(1000.0), next_step(10.0)), (960.0, 9.0));
    }
}
