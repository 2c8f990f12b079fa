//! `BatchNormalization` of QONNX's `channels_last` domain (inference form):
//! `y = γ·(x − μ)/√(σ² + ε) + β`, with the channel on the last axis. Computed in f64, rounded once.

use tract_onnx::{
    model::ParsingContext,
    pb::NodeProto,
    tract_core::internal::*,
    tract_hir::internal::{InferenceOp, expand},
};

use super::op::{Operator, tract_op, values};

/// ONNX's default.
const EPSILON: f32 = 1e-5;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct BatchNorm {
    /// As bits: floats have no hash.
    epsilon: u32,
}

tract_op!(BatchNorm, "QonnxChannelsLastBatchNormalization", 5);

pub fn parse(_: &ParsingContext, node: &NodeProto) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let epsilon = node.get_attr_opt::<f32>("epsilon")?.unwrap_or(EPSILON);
    Ok((expand(BatchNorm { epsilon: epsilon.to_bits() }), vec![]))
}

impl Operator for BatchNorm {
    fn shape(&self, shapes: &[Vec<usize>]) -> TractResult<Vec<usize>> {
        let [data, parameters @ ..] = shapes else { bail!("no input") };
        let channels = data.last().context("the data is a scalar")?;
        if parameters.iter().any(|p| p.iter().product::<usize>() != *channels) {
            bail!("a parameter does not have {channels} values, one per channel");
        }
        Ok(data.clone())
    }

    fn evaluate(&self, inputs: &[TValue]) -> TractResult<Tensor> {
        let [x, gamma, beta, mean, variance] = inputs else { bail!("{} inputs, not 5", inputs.len()) };
        let (gamma, beta, mean, variance) = (values(gamma)?, values(beta)?, values(mean)?, values(variance)?);
        let epsilon = f64::from(f32::from_bits(self.epsilon));
        let rows = (0..gamma.len()).cycle();
        let normalize = |(&x, c): (&f64, usize)| gamma[c] * (x - mean[c]) / (variance[c] + epsilon).sqrt() + beta[c];
        let y: Vec<f32> = values(x)?.iter().zip(rows).map(|pair| normalize(pair) as f32).collect();
        Tensor::from_shape(x.shape(), &y)
    }
}
