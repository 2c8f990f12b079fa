//! What a training run steers to: batch, steps, EBOPs targets.

use crate::convert::config::JobConfig;
use crate::convert::config::training::BetaSchedule;
use crate::convert::evaluation::score::Judge;
use crate::train::fit::options::Goal;
use crate::train::fit::schedule::{Beta, Ramp};

/// Budgets around a wanted one, as its multiples: a front around the target, and a larger model to
/// polish down to it.
const TARGET_BUDGETS: [f64; 4] = [1.6, 1.0, 0.63, 0.4];

/// Ratio of neighbouring budgets in the search for the smallest model of a metric …
const METRIC_RATIO: f64 = 0.85;

/// … and how many there are: down to about a hundredth of the start.
const METRIC_BUDGETS: usize = 30;

/// A metric this many allowed drops, and this many standard errors, below the one wanted is out of
/// reach.
const HOPELESS_DROPS: f64 = 6.0;

const HOPELESS_ERRORS: f64 = 10.0;

/// Optimizer steps below which a job with a target trains for that target alone: widths move about
/// a bit in 100 steps.
const STEPS_FOR_A_FRONT: usize = 2500;

/// Without a target: budgets from this share of the starting EBOPs …
const WIDEST_BUDGET: f64 = 1.0;

/// … down to this one …
const NARROWEST_BUDGET: f64 = 0.02;

/// … in this many steps of equal ratio.
const BUDGETS: usize = 8;

/// … of at least this many EBOPs, so that budgets of a nearly empty model still mean something.
const SMALLEST_START: f64 = 100.0;

/// Steps per epoch when no batch size is given (docs/recipe.md#batch).
const STEPS_PER_EPOCH: usize = 40;

const SMALLEST_BATCH: usize = 16;

const LARGEST_BATCH: usize = 4096;

/// Samples per step with `rows` training samples.
pub fn batch_size(config: &JobConfig, rows: usize) -> usize {
    config.batch_size.unwrap_or((rows / STEPS_PER_EPOCH).clamp(SMALLEST_BATCH, LARGEST_BATCH)).min(rows.max(1))
}

/// Optimizer steps of a run with `rows` training samples.
pub fn steps(config: &JobConfig, rows: usize) -> usize {
    config.epochs * (rows / batch_size(config, rows)).max(1)
}

/// What the run steers to, from the job's wishes, its optimizer steps, the size it starts from and
/// the source's metric.
pub fn goal(config: &JobConfig, judge: &Judge, steps: usize, start: f64, source_metric: f64) -> Goal {
    // how far a metric may be below the one wanted by a drop until annealing does not make up for
    // it
    let hopeless = |drop: f64| {
        let error = judge.kind.standard_error(source_metric - drop, judge.validation.samples);
        (HOPELESS_DROPS * drop.max(judge.kind.default_drop(source_metric))).max(HOPELESS_ERRORS * error)
    };
    let start = start.max(SMALLEST_START);
    if let Some(b) = &config.beta {
        let at = |v: Option<f32>| v.unwrap_or(0.0) as f64;
        let ramp = |ramp| Beta::Ramp { ramp, start: at(b.start), end: at(b.end) };
        return Goal::Schedule(match b.schedule {
            BetaSchedule::Log => ramp(Ramp::Log),
            BetaSchedule::Linear => ramp(Ramp::Linear),
            BetaSchedule::Constant => ramp(Ramp::Constant),
            BetaSchedule::Piecewise => Beta::Piecewise(b.points.clone()),
        });
    }
    if let Some(budgets) = &config.budgets {
        let mut budgets = budgets.clone();
        budgets.sort_by(|a, b| b.total_cmp(a));
        return Goal::Budgets(budgets);
    }
    if let Some(target) = config.target() {
        // few steps are all needed for the target itself
        let budgets = if steps < STEPS_FOR_A_FRONT { &[1.0][..] } else { &TARGET_BUDGETS[..] };
        return Goal::Budgets(budgets.iter().map(|m| (m * target).max(1.0)).collect());
    }
    if let Some(drop) = config.max_metric_drop {
        let budgets = (1..=METRIC_BUDGETS as i32).map(|n| start * METRIC_RATIO.powi(n)).collect();
        let floor = source_metric - drop;
        return Goal::Metric { floor, hopeless: floor - hopeless(drop), budgets };
    }
    let ratio = (NARROWEST_BUDGET / WIDEST_BUDGET).powf(1.0 / (BUDGETS - 1) as f64);
    Goal::Budgets((0..BUDGETS).map(|n| start * WIDEST_BUDGET * ratio.powi(n as i32)).collect())
}
