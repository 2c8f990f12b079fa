//! A quantizer as the plan has it.

use super::op::quantizer::QuantizerOp;
/// A quantizer of the plan, with its parameter segments.
#[derive(Clone)]
pub struct QuantizerPlan {
    pub node: usize,
    pub op: QuantizerOp,
    pub f: usize,
    /// Directly after `f`.
    pub i: Option<usize>,
    /// Whether its widths are trained.
    pub trainable: bool,
}
