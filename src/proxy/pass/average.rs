//! Average pooling is a depthwise convolution whose weights are all the reciprocal: stock hls4ml rounds its own pooling (contract,
//! section f).

use crate::quant::{AveragePool, FixedDense, FixedModel, FixedOp, FixedTensor};

/// The same function as a convolution.
pub fn as_dense(pool: &AveragePool) -> FixedDense {
    let (taps, channels) = (pool.window.taps(), pool.window.input[2]);
    let reciprocal = pool.reciprocal.ints.first().copied().unwrap_or(0);
    FixedDense {
        inputs: taps,
        outputs: channels,
        weight: FixedTensor { ints: vec![reciprocal; taps * channels], frac: pool.reciprocal.frac },
        bias: FixedTensor { ints: vec![0; channels], frac: 0 },
        weight_bits: vec![0; taps * channels],
        bias_bits: vec![0; channels],
        ebops_scale: 1.0,
        window: Some(crate::graph::Window { groups: channels, ..pool.window.clone() }),
    }
}

/// Replaces every average pooling.
pub fn run(model: &mut FixedModel) {
    for node in &mut model.nodes {
        if let FixedOp::AveragePool(pool) = &node.op {
            node.op = FixedOp::Dense(as_dense(pool));
        }
    }
}
