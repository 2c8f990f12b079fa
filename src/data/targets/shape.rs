//! What an output gives, as far as targets depend on it.

/// What an output ends in, as far as its targets are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Nothing that bounds it: values, or logits.
    Open,
    /// Softmax (left off) or ArgMax: scores of classes.
    Classes,
    /// Sigmoid: a probability for each value.
    Sigmoid,
    /// Something else with bounds (Relu, HardSigmoid, Tanh): no logits.
    Bounded,
}

/// Targets that the job's loss or metric is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Cross-entropy: probabilities of classes.
    Shares,
    /// Binary cross-entropy: yes or no for each value.
    Sides,
    /// Errors: values.
    Values,
}

/// What a model's output gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputShape {
    pub name: String,
    /// Values of one sample.
    pub len: usize,
    pub ends: Ends,
    /// `None`: the data decide.
    pub asked: Option<Asked>,
}

impl OutputShape {
    pub fn new(name: impl Into<String>, len: usize) -> OutputShape {
        OutputShape { name: name.into(), len, ends: Ends::Open, asked: None }
    }
}
