//! Which members of a front are polished, and how far down: small models, for which the search finds more than gradients do.

use super::Error;
use super::score::Judge;
use crate::quant::{Model, interval};
use crate::train::fit::Goal;
use crate::train::pareto::{Front, Point};
use crate::train::polish::{Polishing, Room, polish};
use std::sync::atomic::{AtomicBool, Ordering};

/// For a budget, a model of the next larger one is polished down to it, too, if that is at most this multiple.
const DESCENT: f64 = 3.0;
/// Passes over a model until it is within its budget again, at most.
const PASSES: usize = 4;
/// Members of the front that are polished where no budgets say which, at most.
const MOST: usize = 12;
/// Budgets in a row at which it did not help, behind which no larger one is tried.
const IDLE: usize = 2;
/// What polishing may gain in the metric: members that are not good enough by as much are tried, too.
const GAIN: f64 = 0.02;

/// EBOPs, and members of the front that are polished down to them.
type Starts = (f64, Vec<Point<Model>>);

/// Polishes what a job may want and offers the results to the front. From the smallest budget up, until it no longer helps: larger models
/// fit their training data anyway. `only`: the budget that the job is about.
pub fn polish_front(
    front: &mut Front<Model>,
    goal: &Goal,
    only: Option<f64>,
    judge: &Judge,
    how: &Polishing,
    cancel: &AtomicBool,
) -> Result<(), Error> {
    let all: Vec<Starts> = match goal {
        Goal::Budgets(budgets) => {
            let wanted = (0..budgets.len()).rev().filter(|&n| only.is_none_or(|only| budgets[n] == only));
            wanted.map(|n| at_budget(front, budgets, n)).collect()
        }
        Goal::Metric { floor, .. } => {
            let near = front.steps().into_iter().filter(|&n| front.points()[n].score.metric >= floor - GAIN).take(MOST);
            near.map(|n| as_it_is(front, n)).collect()
        }
        Goal::Schedule(_) => {
            let steps = front.steps();
            let every = steps.len().div_ceil(MOST).max(1);
            steps.into_iter().step_by(every).map(|n| as_it_is(front, n)).collect()
        }
    };
    let mut idle = 0;
    for (budget, starts) in all.into_iter().filter(|(_, starts)| !starts.is_empty()) {
        let before = front.lowest_loss(budget);
        for start in starts {
            down_to(budget, start, front, judge, how, cancel)?;
        }
        idle = if front.lowest_loss(budget) < before { 0 } else { idle + 1 };
        if idle == IDLE {
            break;
        }
    }
    Ok(())
}

/// The best within budget `n` and, if it is near, within the next larger one.
fn at_budget(front: &Front<Model>, budgets: &[f64], n: usize) -> Starts {
    let larger = n.checked_sub(1).map(|l| budgets[l]).filter(|&l| l <= DESCENT * budgets[n]);
    let mut found: Vec<usize> =
        [larger, Some(budgets[n])].into_iter().flatten().filter_map(|b| front.best_within(b, |_| 0.0)).collect();
    found.dedup();
    (budgets[n], found.into_iter().map(|p| front.points()[p].clone()).collect())
}

fn as_it_is(front: &Front<Model>, n: usize) -> Starts {
    let point = front.points()[n].clone();
    (point.score.ebops as f64, vec![point])
}

fn down_to(
    budget: f64,
    start: Point<Model>,
    front: &mut Front<Model>,
    judge: &Judge,
    how: &Polishing,
    cancel: &AtomicBool,
) -> Result<(), Error> {
    let Point { epoch, score, payload: mut model } = start;
    let Ok(mut exactly) = judge.judge(&model) else { return Ok(()) };
    for pass in 0..PASSES {
        let Ok(bounds) = interval::bounds(&exactly.full) else { break };
        // new weights may widen what is behind them; the way back must not do so again
        let room = Room { ebops: exactly.score.ebops as f64, budget, grows: pass == 0 };
        let polished = polish(&model, &exactly.full, &bounds, how, room, cancel);
        if cancel.load(Ordering::Relaxed) {
            return Err(Error::Canceled);
        }
        let Some(polished) = polished else { break };
        model = polished;
        // new values may have sums beyond what can be computed exactly
        let Ok(found) = judge.judged(&model, score.settled) else { break };
        exactly = found;
        front.insert(Point { epoch, score: exactly.score, payload: model.clone() });
        if exactly.score.ebops as f64 <= budget {
            break;
        }
    }
    Ok(())
}
