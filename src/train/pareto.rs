//! The Pareto front: candidates that no other candidate beats in both EBOPs and validation metric.

/// How good a candidate is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Exact EBOPs of the model as it would be emitted.
    pub ebops: u64,
    /// Validation metric, larger is better (accuracy, agreement, or the negated error).
    pub metric: f64,
    /// Validation loss; decides between equal metrics.
    pub loss: f64,
}

impl Score {
    /// Better metric, or the same metric at a lower loss.
    pub fn more_accurate_than(&self, other: &Score) -> bool {
        self.metric > other.metric || (self.metric == other.metric && self.loss < other.loss)
    }

    /// At least as good in both and better in one.
    fn dominates(&self, other: &Score) -> bool {
        self.ebops <= other.ebops
            && (self.metric > other.metric
                || (self.metric == other.metric && (self.ebops < other.ebops || self.loss < other.loss)))
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
        score.metric.is_finite() && !self.points.iter().any(|p| p.score.dominates(score) || p.score == *score)
    }

    /// Keeps `point` if nothing dominates it and drops what it dominates. Returns whether it was kept.
    pub fn insert(&mut self, point: Point<T>) -> bool {
        if !self.accepts(&point.score) {
            return false;
        }
        self.points.retain(|p| !point.score.dominates(&p.score));
        let at = self.points.partition_point(|p| p.score.ebops < point.score.ebops);
        self.points.insert(at, point);
        true
    }

    pub fn points(&self) -> &[Point<T>] {
        &self.points
    }

    /// Index of the most accurate point of at most `ebops`.
    pub fn best_within(&self, ebops: f64) -> Option<usize> {
        (0..self.points.len()).filter(|&i| self.points[i].score.ebops as f64 <= ebops).max_by(|&a, &b| {
            let (a, b) = (&self.points[a].score, &self.points[b].score);
            if a.more_accurate_than(b) { std::cmp::Ordering::Greater } else { std::cmp::Ordering::Less }
        })
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
        Point { epoch: 0, score: Score { ebops, metric, loss }, payload: () }
    }

    #[test]
    fn keeps_exactly_the_non_dominated() {
        let mut f = Front::default();
        assert!(f.insert(point(100, 0.9, 0.3)));
        assert!(f.insert(point(50, 0.8, 0.5)));
        assert!(!f.insert(point(60, 0.8, 0.6)));
        assert!(!f.insert(point(100, 0.9, 0.3)));
        assert!(f.insert(point(90, 0.95, 0.2)));
        assert!(!f.insert(point(10, f64::NAN, 0.0)));
        let ebops: Vec<u64> = f.points().iter().map(|p| p.score.ebops).collect();
        assert_eq!(ebops, [50, 90]);
        assert_eq!((f.best_within(89.0), f.best_within(90.0), f.best_within(10.0)), (Some(0), Some(1), None));
        assert_eq!((f.smallest_reaching(0.8), f.smallest_reaching(0.9), f.smallest_reaching(0.99)), (Some(0), Some(1), None));
    }
}
