//! What a run consists of: its stages, their lengths, targets and learning rates. Everything here
//! follows from the options and from what the run has found so far, so that a resumed run takes the
//! same way. Where the numbers come from: docs/recipe.md#trunk, #branches, #rates.

use super::controller::Gains;
use super::options::{FitOptions, Goal};
use super::schedule::{Rate, hold_cosine, log_line, log_piecewise};

/// Share of the epochs that the trunk takes.
const TRUNK_SHARE: f64 = 0.6;
/// Where in the trunk this multiple of the largest budget is reached, so that its branch starts
/// from a model that has learned, …
const TRUNK_KNEE: f64 = 0.1;
const KNEE_OF_LARGEST: f64 = 1.25;
/// … or this share of the start, if that is more: a faster fall costs accuracy that does not come
/// back.
const KNEE: f64 = 0.35;
/// The trunk ends at this multiple of the smallest budget.
const TRUNK_END: f64 = 0.65;
/// A branch starts from the last snapshot of at least this multiple of its budget …
pub const BRANCH_START: f64 = 1.15;
/// … or, for budgets that no snapshot is that far above, this share of the largest snapshot …
pub const BRANCH_START_OF_MOST: f64 = 0.9;
/// … and aims at this multiple.
const BRANCH_TARGET: f64 = 0.985;
/// Share of a branch before its rates anneal.
const BRANCH_HOLD: f64 = 0.4;
/// From here on a branch is annealed: the rates are below a sixth of what was held.
const ANNEALED_FROM: f64 = 0.85;
/// Snapshots scored per branch.
const BRANCH_SNAPSHOTS: usize = 40;
/// Snapshots scored in the trunk, at most: scoring costs about as much as a few epochs.
const TRUNK_SNAPSHOTS: usize = 150;
/// Branches of a run that looks for a metric.
const METRIC_BRANCHES: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A β schedule over all epochs.
    Schedule,
    /// From the start below the smallest budget.
    Trunk,
    /// Anneals at the budget of this index.
    Branch(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    pub kind: Kind,
    pub epochs: usize,
    /// Every how many epochs a snapshot is scored.
    pub every: usize,
}

impl Stage {
    fn new(kind: Kind, epochs: usize) -> Stage {
        let every = match kind {
            Kind::Branch(_) => epochs / BRANCH_SNAPSHOTS,
            Kind::Schedule | Kind::Trunk => epochs.div_ceil(TRUNK_SNAPSHOTS),
        };
        Stage { kind, epochs, every: every.max(1) }
    }

    /// Whether a snapshot at `u` counts as annealed.
    pub fn is_annealed(&self, u: f64) -> bool {
        matches!(self.kind, Kind::Branch(_)) && u >= ANNEALED_FROM
    }

    /// With `steps` an epoch.
    pub fn gains(&self, steps: usize) -> Gains {
        match self.kind {
            Kind::Branch(_) => Gains::hold(self.epochs * steps),
            Kind::Schedule | Kind::Trunk => Gains::FOLLOW,
        }
    }

    /// Learning rates of weights and bits at `u`.
    pub fn rates(&self, o: &FitOptions, u: f64) -> (f64, f64) {
        let (w, b) = (o.learning_rate, o.learning_rate_bits);
        match (o.rate, self.kind) {
            (Rate::Recipe, Kind::Branch(_)) => {
                (hold_cosine(0.5 * w, 0.01 * w, BRANCH_HOLD, u), hold_cosine(0.5 * b, 0.015 * b, BRANCH_HOLD, u))
            }
            (Rate::Recipe, _) => (log_line(w, w / 5.0, u), b),
            (rate, _) => (w * rate.at(u), b * rate.at(u)),
        }
    }
}

/// The budgets of a goal, largest first.
pub fn budgets(goal: &Goal) -> &[f64] {
    match goal {
        Goal::Schedule(_) => &[],
        Goal::Budgets(budgets) | Goal::Metric { budgets, .. } => budgets,
    }
}

/// Stage `number` of a run that begins it after `spent` epochs, the trunk and the branches `done`;
/// `under_way`: the budget of the branch if it has begun. `reached(b)`: some snapshot of at most
/// `b` has the metric that is looked for. `None` after the last.
pub fn stage(
    o: &FitOptions,
    number: usize,
    spent: usize,
    done: &[usize],
    under_way: Option<usize>,
    reached: impl Fn(f64) -> bool,
) -> Option<Stage> {
    let epochs = o.epochs;
    let trunk = ((epochs as f64 * TRUNK_SHARE).round() as usize).clamp(1, epochs.max(1));
    let branches = match &o.goal {
        Goal::Schedule(_) => return (number == 0).then(|| Stage::new(Kind::Schedule, epochs)),
        Goal::Budgets(budgets) => budgets.len(),
        Goal::Metric { budgets, .. } => METRIC_BRANCHES.min(budgets.len()),
    };
    if branches == 0 {
        return None;
    }
    let Some(branch) = number.checked_sub(1) else { return Some(Stage::new(Kind::Trunk, trunk)) };
    if branch >= branches {
        return None;
    }
    // an even share of what is left: a stage may have ended early; what does not divide goes to the
    // later branches, whose budgets are smaller
    let left = epochs.saturating_sub(spent);
    let length = (left / (branches - branch)).max(usize::from(left > 0));
    let budget = match (&o.goal, under_way) {
        (_, Some(budget)) => budget,
        (Goal::Metric { budgets, .. }, None) => next_to_try(budgets, done, reached)?,
        _ => branch,
    };
    Some(Stage::new(Kind::Branch(budget), length))
}

/// The budget to try next: between the smallest that was reached and the largest below it that was
/// tried without success.
fn next_to_try(budgets: &[f64], done: &[usize], reached: impl Fn(f64) -> bool) -> Option<usize> {
    let good = budgets.iter().rposition(|&b| reached(b));
    let from = good.map_or(0, |g| g + 1);
    let vain = done.iter().copied().filter(|&n| n >= from).min();
    match vain {
        // two steps at a time until one fails
        None => (from < budgets.len()).then(|| (from + 1).min(budgets.len() - 1)),
        Some(vain) => (from < vain).then_some((from + vain) / 2),
    }
}

/// The size that stage `kind` aims at, at `u`; `start`: that at the start of the run.
pub fn target(goal: &Goal, kind: Kind, start: f64, u: f64) -> f64 {
    let budgets = budgets(goal);
    match kind {
        Kind::Branch(n) => BRANCH_TARGET * budgets.get(n).copied().unwrap_or(start),
        _ => {
            let largest = budgets.first().copied().unwrap_or(start);
            let smallest = budgets.last().copied().unwrap_or(start);
            let start = start.max(1.0);
            let knee = (KNEE_OF_LARGEST * largest).max(KNEE * start).min(start);
            let end = (TRUNK_END * smallest).max(1.0).min(knee);
            log_piecewise(&[(0.0, start), (TRUNK_KNEE, knee), (1.0, end)], u)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(epochs: usize, goal: Goal) -> FitOptions {
        FitOptions {
            epochs,
            batch: 1,
            seed: 0,
            learning_rate: 1.0,
            learning_rate_bits: 1.0,
            rate: Rate::Recipe,
            l1: 0.0,
            loss: crate::train::TaskLoss::new(crate::train::LossKind::Mse),
            goal,
            count: Default::default(),
            loss_scale: 1.0,
            overhead: 0.0,
            engine: Default::default(),
        }
    }

    #[test]
    fn epochs_that_do_not_divide_go_to_the_smaller_budgets() {
        let options = options(20, Goal::Budgets(vec![900.0, 600.0, 300.0]));
        let (mut spent, mut lengths) = (0, Vec::new());
        while let Some(next) = stage(&options, lengths.len(), spent, &[], None, |_| false) {
            spent += next.epochs;
            lengths.push(next.epochs);
        }
        assert_eq!(lengths, [12, 2, 3, 3]);
    }

    #[test]
    fn epochs_that_a_stage_leaves_go_to_the_next_ones() {
        let goal = Goal::Metric { floor: 0.9, hopeless: 0.8, budgets: vec![800.0, 400.0, 200.0, 100.0, 50.0] };
        let options = options(100, goal);
        let at = |number, spent, done: &[usize], under_way| stage(&options, number, spent, done, under_way, |b| b >= 300.0);
        assert_eq!(at(0, 0, &[], None).map(|s| (s.kind, s.epochs)), Some((Kind::Trunk, 60)));
        assert_eq!(at(1, 60, &[], None).map(|s| (s.kind, s.epochs)), Some((Kind::Branch(3), 8)));
        // the trunk ended after 20 epochs
        assert_eq!(at(1, 20, &[], None).map(|s| (s.kind, s.epochs)), Some((Kind::Branch(3), 16)));
        assert_eq!(at(2, 36, &[3], None).map(|s| (s.kind, s.epochs)), Some((Kind::Branch(2), 16)));
        // a branch that has begun keeps its budget though the front has changed
        assert_eq!(at(2, 36, &[3], Some(1)).map(|s| s.kind), Some(Kind::Branch(1)));
        assert_eq!(at(3, 52, &[3, 2], None), None);
    }

    #[test]
    fn a_search_for_a_metric_closes_in() {
        let budgets = [1000.0, 800.0, 640.0, 512.0, 410.0, 328.0];
        let try_next = |done: &[usize], reached: f64| next_to_try(&budgets, done, |b| b >= reached);
        assert_eq!(try_next(&[], 1000.0), Some(2));
        assert_eq!(try_next(&[2], 600.0), Some(4));
        assert_eq!(try_next(&[2, 4], 600.0), Some(3));
        assert_eq!(try_next(&[2, 4, 3], 600.0), None);
        assert_eq!(try_next(&[2, 4, 3], 500.0), None);
        // nothing is good enough yet
        assert_eq!((try_next(&[], 2000.0), try_next(&[1], 2000.0), try_next(&[1, 0], 2000.0)), (Some(1), Some(0), None));
        assert_eq!(try_next(&[], 100.0), None);
    }
}
