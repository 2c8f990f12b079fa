//! A metric, a loss, and how sure they are.

/// A metric with its standard error, larger is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    pub metric: f64,
    pub error: f64,
    pub loss: f64,
}
