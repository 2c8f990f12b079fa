//! The Pareto front: candidates that no other candidate equals or beats in EBOPs, validation metric and validation loss.
//!
//! The loss is a third objective because the metric of a small validation set has few steps: many candidates share one, and the
//! better of them must not be lost to the smaller. [`Front::steps`] is the usual front of EBOPs and metric.

/// How good a candidate is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Exact EBOPs of the model as it would be emitted.
    pub ebops: u64,
    /// The same model in HGQ2's count.
    pub ebops_hgq2: u64,
    /// Validation metric, larger is better (accuracy, agreement, or the negated error).
    pub metric: f64,
    /// Validation loss; decides between equal metrics.
    pub loss: f64,
    /// One answer for all samples, where the source has several: nothing to go on with.
    pub collapsed: bool,
}

impl Score {
    /// At least as good in EBOPs, metric and loss.
    fn covers(&self, other: &Score) -> bool {
        self.ebops <= other.ebops && self.metric >= other.metric && self.loss <= other.loss
    }
}

/// A member of the front.
#[derive(Clone, Debug)]
pub struct Point<T> {
    pub epoch: usize,
    pub score: Score,
    pub payload: T,
}

/// Non-dominated points in order of EBOPs.
#[derive(Clone, Debug)]
pub struct Front<T> {
    points: Vec<Point<T>>,
}

impl<T> Default for Front<T> {
    fn default() -> Self {
        Front { points: Vec::new() }
    }
}

impl<T> Front<T> {
    /// Whether a candidate of this score would be kept.
    pub fn accepts(&self, score: &Score) -> bool {
        score.metric.is_finite() && score.loss.is_finite() && !self.points.iter().any(|p| p.score.covers(score))
    }

    /// Keeps `point` if nothing dominates it and drops what it dominates. Returns whether it was kept.
    pub fn insert(&mut self, point: Point<T>) -> bool {
        if !self.accepts(&point.score) {
            return false;
        }
        self.points.retain(|p| !point.score.covers(&p.score));
        let at = self.points.partition_point(|p| p.score.ebops < point.score.ebops);
        self.points.insert(at, point);
        true
    }

    pub fn points(&self) -> &[Point<T>] {
        &self.points
    }

    /// Indices of the points that no other beats in EBOPs and metric alone.
    pub fn steps(&self) -> Vec<usize> {
        let mut best = f64::NEG_INFINITY;
        let mut steps: Vec<usize> = Vec::new();
        for (i, p) in self.points.iter().enumerate() {
            let same_size = steps.last().is_some_and(|&l| self.points[l].score.ebops == p.score.ebops);
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

    /// Index of the most trustworthy point of at most `ebops`: of those whose metric is within `error` of the best one's, the
    /// one with the lowest loss.
    pub fn best_within(&self, ebops: f64, error: impl Fn(f64) -> f64) -> Option<usize> {
        let within = || (0..self.points.len()).filter(|&i| self.points[i].score.ebops as f64 <= ebops);
        let best = within().map(|i| self.points[i].score.metric).fold(f64::NEG_INFINITY, f64::max);
        let enough = best - error(best);
        within()
            .filter(|&i| self.points[i].score.metric >= enough)
            .min_by(|&a, &b| self.points[a].score.loss.total_cmp(&self.points[b].score.loss))
    }

    /// Index of the smallest point whose metric is at least `metric`.
    pub fn smallest_reaching(&self, metric: f64) -> Option<usize> {
        self.points.iter().position(|p| p.score.metric >= metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(ebops: u64, metric: f64, loss: f64) -> Point<()> {
        Point { epoch: 0, score: Score { ebops, ebops_hgq2: ebops, metric, loss, collapsed: false }, payload: () }
    }

    #[test]
    fn keeps_exactly_the_non_dominated() {
        let mut f = Front::default();
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
    fn within_the_error_of_the_metric_the_loss_decides() {
        let mut f = Front::default();
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
