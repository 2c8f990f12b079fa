//! `Conv` of QONNX's `channels_last` domain: data `[N, H, W, C]` or `[N, L, C]`, weight
//! `(O, kh, kw, C/g)` or `(O, k, C/g)`, an optional bias `(O)`;
//! `y[p][o] = b[o] + Σ_k Σ_c w[o][k][c]·x[p·s + k − pad][c]`.
//!
//! Sums are kept in f64 and rounded once: sums of fixed-point numbers are exact whatever their
//! order.

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
struct Conv {
    window: Window,
    groups: usize,
}

tract_op!(Conv, "QonnxChannelsLastConv", 2..=3);

pub fn parse(_: &ParsingContext, node: &NodeProto) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let groups = node.get_attr_opt::<i64>("group")?.unwrap_or(1);
    let groups = usize::try_from(groups).ok().filter(|&g| g > 0);
    let groups = groups.with_context(|| format!("{}: group must be positive", node.name))?;
    Ok((expand(Conv { window: Window::parse(node)?, groups }), vec![]))
}

impl Operator for Conv {
    fn shape(&self, shapes: &[Vec<usize>]) -> TractResult<Vec<usize>> {
        let [data, weight, ..] = shapes else { bail!("Conv has fewer than 2 inputs") };
        let sizes = self.window.sizes(data)?;
        let (Some(&outputs), Some(&depth)) = (weight.first(), weight.last()) else { bail!("the weight is a scalar") };
        let kernel: usize = self.window.kernel.iter().product();
        if weight.len() != data.len() || weight.iter().product::<usize>() != outputs * kernel * depth {
            bail!("a weight of shape {weight:?} is not (outputs, kernel, channels of the group)");
        }
        if depth * self.groups != sizes.channels || outputs % self.groups != 0 {
            bail!("{} groups do not fit {} channels and a weight of shape {weight:?}", self.groups, sizes.channels);
        }
        if shapes.get(2).is_some_and(|bias| bias.iter().product::<usize>() != outputs) {
            bail!("the bias does not have {outputs} values");
        }
        Ok(self.window.shape(&sizes, outputs))
    }

    fn evaluate(&self, inputs: &[TValue]) -> TractResult<Tensor> {
        let shapes: Vec<Vec<usize>> = inputs.iter().map(|i| i.shape().to_vec()).collect();
        let shape = self.shape(&shapes)?;
        let sizes = self.window.sizes(&shapes[0])?;
        let (channels, outputs) = (sizes.channels, shapes[1][0]);
        let (depth, width) = (channels / self.groups, outputs / self.groups);
        let kernel: usize = self.window.kernel.iter().product();
        let data = values(&inputs[0])?;
        let weight = values(&inputs[1])?;
        // [kernel][channel][output of its group]: the innermost loop runs along memory
        let mut matrix = vec![0.0; kernel * channels * width];
        for (index, &w) in weight.iter().enumerate() {
            let (output, rest) = (index / (kernel * depth), index % (kernel * depth));
            let channel = output / width * depth + rest % depth;
            matrix[(rest / depth * channels + channel) * width + output % width] = w;
        }
        let positions = sizes.samples * sizes.output.iter().product::<usize>();
        let mut sums = match inputs.get(2) {
            Some(bias) => values(bias)?.repeat(positions),
            None => vec![0.0; positions * outputs],
        };
        self.window.walk(&sizes, |output, k, input| {
            let sums = &mut sums[output * outputs..][..outputs];
            let data = &data[input * channels..][..channels];
            let matrix = &matrix[k * channels * width..][..channels * width];
            for (channel, (&x, weights)) in data.iter().zip(matrix.chunks_exact(width)).enumerate() {
                if x != 0.0 {
                    let sums = &mut sums[channel / depth * width..][..width];
                    sums.iter_mut().zip(weights).for_each(|(sum, w)| *sum += x * w);
                }
            }
        });
        let sums: Vec<f32> = sums.iter().map(|&s| s as f32).collect();
        Tensor::from_shape(&shape, &sums)
    }
}
