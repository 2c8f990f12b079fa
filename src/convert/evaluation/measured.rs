//! A metric, a loss, and how sure they are.

use crate::convert::documents::{Figures, finite};
use crate::convert::task::metric::MetricKind;
use crate::train::pareto::Score;

/// A metric with its standard error, larger is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    pub metric: f64,
    pub error: f64,
    pub loss: f64,
}

impl Measured {
    /// As users read it.
    pub fn figures(&self, kind: MetricKind) -> Figures {
        Figures { metric: finite(kind.shown(self.metric)), metric_error: finite(self.error), loss: finite(self.loss) }
    }
}

impl From<&Score> for Measured {
    fn from(score: &Score) -> Measured {
        Measured { metric: score.metric, error: score.metric_error, loss: score.loss }
    }
}
