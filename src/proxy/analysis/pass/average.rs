//! Average pooling is a depthwise convolution whose weights are all the reciprocal: stock hls4ml
//! rounds its own pooling (docs/hls4ml-contract.md#f-layers).

use crate::quant::{FixedModel, FixedOp};

/// Replaces every average pooling.
pub fn run(model: &mut FixedModel) {
    for node in &mut model.nodes {
        if let FixedOp::AveragePool(pool) = &node.op {
            node.op = FixedOp::Dense(pool.as_dense());
        }
    }
}
