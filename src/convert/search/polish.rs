//! Which members of a front are polished, and how far down: small models, for which the search
//! finds more than gradients do.

use crate::convert::error::Error;
use crate::convert::evaluation::score::Judge;
use crate::convert::progress::Step;
use crate::quant::{Model, interval};
use crate::train::fit::options::Goal;
use crate::train::pareto::{Front, Point, Score};
use crate::train::polish::{EbopsBudget, Polishing, polish};
use std::sync::atomic::{AtomicBool, Ordering};

/// For a budget, a model of the next larger one is polished down to it, too, if that is at most
/// this multiple.
const DESCENT: f64 = 4.0;
/// Passes over a model until it is within its budget again, at most; after them the budget is given
/// up.
const PASSES: usize = 4;
/// What a pass aims at, at least, as a share of what the last one aimed at: below nothing there is
/// nothing to aim at.
const MIN_AIM: f64 = 0.5;
/// What an EBOP costs, at least: a model without products has no price.
const MIN_PRICE: f64 = 1e-3;
/// Members of the front that are polished where no budgets say which, at most.
const MAX_POLISHED: usize = 12;
/// Budgets in a row at which it did not help, after which no larger one is tried.
const IDLE: usize = 2;
/// What polishing may gain in the metric: members that are not good enough by as much are tried,
/// too.
const GAIN: f64 = 0.02;

/// A size, and members of the front that are polished down to it.
type Starts = (f64, Vec<Point<Model>>);

/// Polishes what a job may want and offers the results to the front. From the smallest budget up,
/// until it no longer helps: larger models fit their training data anyway. `only`: the budget that
/// the job is about; `begins` hears of every budget that is tried.
pub fn polish_front(
    front: &mut Front<Model>,
    goal: &Goal,
    only: Option<f64>,
    judge: &Judge,
    how: &Polishing,
    begins: &mut dyn FnMut(Step),
    cancel: &AtomicBool,
) -> Result<(), Error> {
    let error = |metric: f64| judge.kind.standard_error(metric, judge.validation.samples);
    let mut all: Vec<Starts> = match goal {
        Goal::Budgets(budgets) => {
            let wanted = (0..budgets.len()).rev().filter(|&n| only.is_none_or(|only| budgets[n] == only));
            wanted.map(|n| at_budget(front, budgets, n, error)).collect()
        }
        Goal::Metric { floor, .. } => {
            let near = front.steps().into_iter().filter(|&n| front.points()[n].score.metric >= floor - GAIN).take(MAX_POLISHED);
            near.map(|n| as_it_is(front, n)).collect()
        }
        Goal::Schedule(_) => {
            let steps = front.steps();
            let every = steps.len().div_ceil(MAX_POLISHED).max(1);
            steps.into_iter().step_by(every).map(|n| as_it_is(front, n)).collect()
        }
    };
    let mut idle = 0;
    all.retain(|(_, starts)| !starts.is_empty());
    let steps = all.len();
    for (step, (budget, starts)) in (1..).zip(all) {
        begins(Step { step, steps });
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

/// What would be chosen within the next larger budget, if it is near, and within budget `n`, and
/// the most accurate one there, which need not be annealed; `error`: of a metric.
fn at_budget(front: &Front<Model>, budgets: &[f64], n: usize, error: impl Fn(f64) -> f64) -> Starts {
    let larger = n.checked_sub(1).map(|l| budgets[l]).filter(|&l| l <= DESCENT * budgets[n]);
    let most_accurate = front.best_within(budgets[n], |_| 0.0);
    let chosen = [larger, Some(budgets[n])].into_iter().flatten().filter_map(|b| front.best_within(b, &error));
    let mut found: Vec<usize> = chosen.chain(most_accurate).collect();
    found.dedup();
    (budgets[n], found.into_iter().map(|p| front.points()[p].clone()).collect())
}

fn as_it_is(front: &Front<Model>, n: usize) -> Starts {
    let point = front.points()[n].clone();
    (front.size(n) as f64, vec![point])
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
    let count = front.count();
    let size = |score: &Score| count.of(score) as f64;
    let mut aim = budget;
    for pass in 0..PASSES {
        let Ok(bounds) = interval::bounds(&exactly.full) else { break };
        // the search counts EBOPs: their price is that of this model
        let ebops = exactly.score.ebops as f64;
        let price = size(&exactly.score) / ebops.max(1.0);
        // new weights may widen what is after them; the way back must not do so again
        let room = EbopsBudget { ebops, budget: aim / price.max(MIN_PRICE), may_exceed: pass == 0 };
        let polished = polish(&model, &(how.trained)(&exactly.full), &bounds, how, room, cancel);
        if cancel.load(Ordering::Relaxed) {
            return Err(Error::Canceled);
        }
        let Some(polished) = polished else { break };
        model = polished;
        // new values may have sums beyond what can be computed exactly
        let Ok(found) = judge.judged(&model, score.annealed) else { break };
        exactly = found;
        front.insert(Point { epoch, score: exactly.score, payload: model.clone() });
        let beyond = size(&exactly.score) - budget;
        if beyond <= 0.0 {
            break;
        }
        // formats that follow the new ranges may cost as much again after the next pass
        aim = (aim - beyond).max(MIN_AIM * aim);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::pareto::{Count, Score};

    #[test]
    fn what_would_be_chosen_is_polished_and_the_most_accurate() {
        let model = Model { name: String::new(), values: vec![], nodes: vec![], inputs: vec![], outputs: vec![] };
        let mut front = Front::new(Count::Ebops);
        let mut add = |ebops: u64, metric: f64, train_val_loss: f64| {
            let annealed = train_val_loss.is_finite();
            let score = Score { ebops, metric, loss: 1.0 - metric, annealed, train_val_loss, ..Score::WORST };
            assert!(front.insert(Point { epoch: 1, score, payload: model.clone() }));
        };
        add(90, 0.90, 0.3);
        add(95, 0.91, f64::INFINITY);
        add(350, 0.95, 0.2);
        let starts = |budgets: &[f64]| {
            let (budget, starts) = at_budget(&front, budgets, budgets.len() - 1, |_| 0.02);
            (budget, starts.iter().map(|p| p.score.ebops).collect::<Vec<u64>>())
        };
        assert_eq!(starts(&[400.0, 100.0]), (100.0, vec![350, 90, 95]));
        // too far above
        assert_eq!(starts(&[401.0, 100.0]), (100.0, vec![90, 95]));
        assert_eq!(starts(&[400.0]), (400.0, vec![350]));
    }
}
