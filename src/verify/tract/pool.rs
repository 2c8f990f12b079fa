//! `MaxPool` and `AveragePool` of QONNX's `channels_last` domain. Padding never wins a maximum; it
//! counts in a mean only with `count_include_pad`. Sums are kept in f64.

use tract_onnx::{
    model::ParsingContext,
    pb::NodeProto,
    tract_core::internal::*,
    tract_hir::internal::{InferenceOp, expand},
};

use super::{
    op::{Operator, tract_op, values},
    window::Window,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Pool {
    window: Window,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Max,
    Average { with_padding: bool },
}

tract_op!(Pool, "QonnxChannelsLastPool", 1);

pub fn parse_max(_: &ParsingContext, node: &NodeProto) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    Ok((expand(Pool { window: Window::parse(node)?, kind: Kind::Max }), vec![]))
}

pub fn parse_average(_: &ParsingContext, node: &NodeProto) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let with_padding = node.get_attr_opt::<i64>("count_include_pad")?.unwrap_or(0) != 0;
    Ok((expand(Pool { window: Window::parse(node)?, kind: Kind::Average { with_padding } }), vec![]))
}

impl Operator for Pool {
    fn shape(&self, shapes: &[Vec<usize>]) -> TractResult<Vec<usize>> {
        let sizes = self.window.sizes(shapes.first().context("no input")?)?;
        Ok(self.window.shape(&sizes, sizes.channels))
    }

    fn evaluate(&self, inputs: &[TValue]) -> TractResult<Tensor> {
        let [input] = inputs else { bail!("a pool has one input, not {}", inputs.len()) };
        let sizes = self.window.sizes(input.shape())?;
        let channels = sizes.channels;
        let data = values(input)?;
        let positions = sizes.samples * sizes.output.iter().product::<usize>();
        let start = if self.kind == Kind::Max { f64::NEG_INFINITY } else { 0.0 };
        let mut pooled = vec![start; positions * channels];
        let mut counts = vec![0usize; positions];
        self.window.walk(&sizes, |output, _, input| {
            counts[output] += 1;
            let data = &data[input * channels..][..channels];
            for (value, &x) in pooled[output * channels..][..channels].iter_mut().zip(data) {
                match self.kind {
                    Kind::Max => *value = value.max(x),
                    Kind::Average { .. } => *value += x,
                }
            }
        });
        if let Kind::Average { with_padding } = self.kind {
            for (output, &count) in counts.iter().enumerate() {
                let count = if with_padding { self.window.covered(&sizes, output) } else { count };
                pooled[output * channels..][..channels].iter_mut().for_each(|v| *v /= count as f64);
            }
        }
        let pooled: Vec<f32> = pooled.iter().map(|&v| v as f32).collect();
        Tensor::from_shape(&self.window.shape(&sizes, channels), &pooled)
    }
}
