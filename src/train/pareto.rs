//! The Pareto front: candidates that no other candidate equals or beats in size, validation metric
//! and validation loss. Size is EBOPs or LUTs ([`Count`]).
//!
//! The loss is a third objective because the metric of a small validation set has few steps: many
//! candidates share one, and the better of them must not be lost to the smaller. [`Front::steps`]
//! is the usual front of size and metric.

use crate::quant::hardware::Hardware;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Standard errors of the metric by which a annealed candidate may be worse than the best: the 95 %
/// that a difference is said to need.
const ANNEALED_ERRORS: f64 = 2.0;

/// What the size of a model is counted in: what targets and budgets are in, and fronts ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Count {
    /// HGQ v1's exact count of effective bit operations.
    #[default]
    Ebops,
    /// LUTs of an FPGA, estimated (docs/hardware.md).
    Luts,
}

impl Count {
    /// The size of a candidate.
    pub fn of(self, score: &Score) -> u64 {
        match self {
            Count::Ebops => score.ebops,
            Count::Luts => score.hardware.luts,
        }
    }

    /// Its unit, for people.
    pub fn unit(self) -> &'static str {
        match self {
            Count::Ebops => "EBOPs",
            Count::Luts => "LUTs",
        }
    }
}

/// How good a candidate is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Exact EBOPs of the model as it would be emitted.
    pub ebops: u64,
    /// The same model in HGQ2's count.
    pub ebops_hgq2: u64,
    /// What it takes of an FPGA.
    pub hardware: Hardware,
    /// Metric on the rows that models are judged on, larger is better (accuracy, agreement, or the
    /// negated error).
    pub metric: f64,
    /// Standard error of the metric, for whoever reads it.
    pub metric_error: f64,
    /// Validation loss; decides between equal metrics.
    pub loss: f64,
    /// One answer for all samples, where the source has several: nothing to go on with, and chosen
    /// only where there is nothing else.
    pub collapsed: bool,
    /// Annealed at a budget: its learning rates had come down. Validation data often were training
    /// data of the source; then what is still close to the source looks better on them than it is,
    /// and what is annealed is the better choice.
    pub annealed: bool,
    /// Loss on validation and training data together, of what is annealed; else infinite.
    /// Validation data alone are often too few to tell annealed candidates apart, and these were
    /// all trained alike.
    pub train_val_loss: f64,
}

impl Score {
    /// What everything else is better than.
    pub const WORST: Score = Score {
        ebops: u64::MAX,
        ebops_hgq2: u64::MAX,
        hardware: Hardware { luts: u64::MAX, levels: u32::MAX, registers: u64::MAX },
        metric: f64::NEG_INFINITY,
        metric_error: 0.0,
        loss: f64::INFINITY,
        collapsed: false,
        annealed: false,
        train_val_loss: f64::INFINITY,
    };

    /// At least as good in size, metric and losses, annealed if the other one is, and alive if it
    /// is: a constant answer may have a better metric than a model that knows something, and is no
    /// substitute for it.
    fn covers(&self, other: &Score, count: Count) -> bool {
        count.of(self) <= count.of(other)
            && self.metric >= other.metric
            && self.loss <= other.loss
            && self.train_val_loss <= other.train_val_loss
            && self.annealed >= other.annealed
            && self.collapsed <= other.collapsed
    }
}

/// A member of the front.
#[derive(Clone, Debug)]
pub struct Point<T> {
    pub epoch: usize,
    pub score: Score,
    pub payload: T,
}

/// Non-dominated points in order of their size.
#[derive(Clone, Debug)]
pub struct Front<T> {
    count: Count,
    points: Vec<Point<T>>,
}

impl<T> Front<T> {
    /// One without points.
    pub fn new(count: Count) -> Front<T> {
        Front { count, points: Vec::new() }
    }

    /// What sizes are counted in.
    pub fn count(&self) -> Count {
        self.count
    }

    /// The size of a point.
    pub fn size(&self, point: usize) -> u64 {
        self.count.of(&self.points[point].score)
    }

    /// Whether a candidate of this score would be kept.
    pub fn accepts(&self, score: &Score) -> bool {
        score.metric.is_finite() && score.loss.is_finite() && !self.points.iter().any(|p| p.score.covers(score, self.count))
    }

    /// Keeps `point` if nothing dominates it and drops what it dominates. Returns whether it was
    /// kept.
    pub fn insert(&mut self, point: Point<T>) -> bool {
        if !self.accepts(&point.score) {
            return false;
        }
        let count = self.count;
        self.points.retain(|p| !point.score.covers(&p.score, count));
        let at = self.points.partition_point(|p| count.of(&p.score) < count.of(&point.score));
        self.points.insert(at, point);
        true
    }

    pub fn points(&self) -> &[Point<T>] {
        &self.points
    }

    /// Whether a point has more than one answer.
    pub fn is_alive(&self) -> bool {
        self.points.iter().any(|p| !p.score.collapsed)
    }

    /// The points with more than one answer, with their indices.
    fn alive(&self) -> impl Iterator<Item = (usize, &Point<T>)> {
        self.points.iter().enumerate().filter(|(_, p)| !p.score.collapsed)
    }

    /// Indices of the points that no other beats in size and metric alone; without those of one
    /// answer where there are others.
    pub fn steps(&self) -> Vec<usize> {
        let only_dead = !self.is_alive();
        let mut best = f64::NEG_INFINITY;
        let mut steps: Vec<usize> = Vec::new();
        for (i, p) in self.points.iter().enumerate().filter(|(_, p)| only_dead || !p.score.collapsed) {
            let same_size = steps.last().is_some_and(|&l| self.size(l) == self.count.of(&p.score));
            if p.score.metric > best {
                if same_size {
                    steps.pop();
                }
                best = p.score.metric;
                steps.push(i);
            }
        }
        steps
    }

    /// Index of the most trustworthy point of at most `size`: a annealed one whose metric is
    /// within two of its `error`s of the best one's; else one within one. Among several the one
    /// with the lowest loss: on all data if they are annealed, else on validation data. None of one
    /// answer.
    pub fn best_within(&self, size: f64, error: impl Fn(f64) -> f64) -> Option<usize> {
        self.best_of(|s| self.count.of(s) as f64 <= size, error)
    }

    /// The same among the points that `fits` says.
    pub fn best_of(&self, fits: impl Fn(&Score) -> bool, error: impl Fn(f64) -> f64) -> Option<usize> {
        let within = || self.alive().filter(|(_, p)| fits(&p.score));
        let best = within().map(|(_, p)| p.score.metric).fold(f64::NEG_INFINITY, f64::max);
        let enough = |s: &Score| best - s.metric <= error(s.metric) * if s.annealed { ANNEALED_ERRORS } else { 1.0 };
        within()
            .filter(|(_, p)| enough(&p.score))
            .min_by(|(_, a), (_, b)| {
                a.score.train_val_loss.total_cmp(&b.score.train_val_loss).then(a.score.loss.total_cmp(&b.score.loss))
            })
            .map(|(i, _)| i)
    }

    /// Index of the point of the best metric among those that `fits` says, the smaller of equals;
    /// none of one answer.
    pub fn most_accurate(&self, fits: impl Fn(&Score) -> bool) -> Option<usize> {
        let within = self.alive().filter(|(_, p)| fits(&p.score));
        within.reduce(|a, b| if b.1.score.metric > a.1.score.metric { b } else { a }).map(|(i, _)| i)
    }

    /// The lowest loss of a point of at most `size`; infinite if there is none.
    pub fn lowest_loss(&self, size: f64) -> f64 {
        let within = self.points.iter().filter(|p| self.count.of(&p.score) as f64 <= size);
        within.map(|p| p.score.loss).fold(f64::INFINITY, f64::min)
    }

    /// Index of the smallest point whose metric is at least `metric`; none of one answer.
    pub fn smallest_reaching(&self, metric: f64) -> Option<usize> {
        self.alive().find(|(_, p)| p.score.metric >= metric).map(|(i, _)| i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(ebops: u64, metric: f64, loss: f64) -> Point<()> {
        Point { epoch: 0, score: Score { ebops, ebops_hgq2: ebops, metric, loss, ..Score::WORST }, payload: () }
    }

    #[test]
    fn keeps_exactly_the_non_dominated() {
        let mut f = Front::new(Count::Ebops);
        assert!(f.insert(point(100, 0.9, 0.3)));
        assert!(f.insert(point(50, 0.8, 0.5)));
        assert!(!f.insert(point(60, 0.8, 0.6)));
        assert!(!f.insert(point(100, 0.9, 0.3)));
        assert!(f.insert(point(90, 0.95, 0.2)));
        assert!(f.insert(point(95, 0.94, 0.1)));
        assert!(!f.insert(point(10, f64::NAN, 0.0)));
        let ebops: Vec<u64> = f.points().iter().map(|p| p.score.ebops).collect();
        assert_eq!(ebops, [50, 90, 95]);
        assert_eq!(f.steps(), [0, 1]);
        assert_eq!((f.smallest_reaching(0.8), f.smallest_reaching(0.9), f.smallest_reaching(0.99)), (Some(0), Some(1), None));
    }

    #[test]
    fn what_is_settled_is_kept_and_preferred_up_to_two_errors() {
        let annealed = |ebops, metric, loss, train_val_loss| {
            let mut p = point(ebops, metric, loss);
            (p.score.annealed, p.score.train_val_loss) = (true, train_val_loss);
            p
        };
        let mut f = Front::new(Count::Ebops);
        for p in [point(80, 0.97, 0.1), annealed(90, 0.95, 0.3, 0.2), annealed(85, 0.95, 0.25, 0.4), point(70, 0.96, 0.05)] {
            assert!(f.insert(p));
        }
        // smaller, more accurate and of lower loss, but not annealed
        assert_eq!(f.points().iter().map(|p| p.score.ebops).collect::<Vec<_>>(), [70, 80, 85, 90]);
        let chosen = |error: f64| f.best_within(100.0, |_| error).map(|i| f.points()[i].score.ebops);
        assert_eq!((chosen(0.011), chosen(0.009), chosen(0.011 / 1.2)), (Some(90), Some(80), Some(80)));
        assert!(!f.insert(annealed(90, 0.95, 0.3, 0.21)));
        assert!(f.insert(annealed(60, 0.97, 0.01, 0.1)));
        assert_eq!(f.points().len(), 1);
    }

    #[test]
    fn one_answer_for_everything_neither_wins_nor_hides_a_model() {
        let dead = |ebops, metric, loss| {
            let mut p = point(ebops, metric, loss);
            p.score.collapsed = true;
            p
        };
        let mut f = Front::new(Count::Ebops);
        assert!(f.insert(dead(0, 0.99, 0.05)));
        assert_eq!(
            (f.steps(), f.is_alive(), f.best_within(9.0, |_| 0.0), f.smallest_reaching(0.5)),
            (vec![0], false, None, None)
        );
        // worse in everything that is counted, and more than the constant
        assert!(f.insert(point(9, 0.98, 0.1)));
        assert!(f.insert(point(20, 1.0, 0.01)));
        assert!(!f.insert(dead(3, 0.99, 0.05)));
        assert_eq!((f.points().len(), f.steps(), f.is_alive()), (3, vec![1, 2], true));
        assert_eq!(
            (f.best_within(8.0, |_| 0.0), f.best_within(9.0, |_| 0.0), f.smallest_reaching(0.9)),
            (None, Some(1), Some(1))
        );
        assert_eq!((f.most_accurate(|_| true), f.most_accurate(|s| s.ebops < 10)), (Some(2), Some(1)));
        // what is alive takes the place of a constant answer
        assert!(f.insert(point(0, 1.0, 0.01)));
        assert_eq!(f.points().len(), 1);
    }

    #[test]
    fn within_the_error_of_the_metric_the_loss_decides() {
        let mut f = Front::new(Count::Ebops);
        for p in [point(50, 0.8, 0.5), point(90, 0.95, 0.2), point(95, 0.94, 0.1)] {
            f.insert(p);
        }
        assert_eq!(
            (f.best_within(94.0, |_| 0.02), f.best_within(95.0, |_| 0.02), f.best_within(95.0, |_| 0.0)),
            (Some(1), Some(2), Some(1))
        );
        assert_eq!(f.best_within(10.0, |_| 0.0), None);
    }
}
