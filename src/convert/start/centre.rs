//! What rounding moves all outputs by, taken out of the biases of the layers that give them (bias
//! correction, arXiv 1906.04721): the mean of an output's error costs no bits to remove.

use crate::ops::Move;
use crate::quant::kif::exp2i;
use crate::quant::{Model, QOp};

/// Subtracts from the biases in front of the outputs the mean error of their channels, where `free`
/// lets a node move. `mean`: by element of all outputs, in units of 2^`exponents` of the model's;
/// no exponents: the same units. Returns the mean square that is gone.
pub fn centre(model: &mut Model, mean: &[f64], exponents: &[i32], free: impl Fn(&str) -> bool) -> f64 {
    let (mut first, mut removed) = (0, 0.0);
    for output in model.outputs.clone() {
        let len = model.len_of(output);
        let mean = &mean[first..first + len];
        let unit = |e: usize| exp2i(-exponents.get(first + e).copied().unwrap_or(0));
        if let Some(node) = layer(model, output).filter(|&n| free(&model.nodes[n].name))
            && let QOp::Dense(d) = &mut model.nodes[node].op
        {
            for (c, bias) in d.bias.iter_mut().enumerate() {
                let of = || (c..len).step_by(d.outputs.max(1));
                let positions = of().count().max(1) as f64;
                let (error, moved) = of().fold((0.0, 0.0), |(error, moved), e| (error + mean[e], moved + mean[e] * unit(e)));
                *bias = (f64::from(*bias) - moved / positions) as f32;
                removed += error * error / positions;
            }
        }
        first += len;
    }
    removed / first.max(1) as f64
}

/// The dense layer that alone gives `value`, through nothing but quantizers and shapes.
fn layer(model: &Model, mut value: usize) -> Option<usize> {
    loop {
        let at = model.producer(value)?;
        let node = &model.nodes[at];
        if model.consumers(value).len() + usize::from(model.outputs.contains(&value)) > 1 {
            return None;
        }
        match &node.op {
            QOp::Dense(_) => return Some(at),
            QOp::Quantizer(_) | QOp::Move(Move::Reshape) => value = node.inputs[0],
            QOp::SaturatingDense(_)
            | QOp::Affine(_)
            | QOp::Elementwise(_)
            | QOp::Sign
            | QOp::MaxPool(_)
            | QOp::AveragePool(_)
            | QOp::Merge(_)
            | QOp::Move(Move::Concat { .. } | Move::Pad { .. } | Move::Permute { .. } | Move::Select { .. }) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::centre;
    use crate::graph::{Node, Value};
    use crate::quant::{BiasBits, Groups, Model, QDense, QOp};

    #[test]
    fn means_go_into_the_biases() {
        let dense = QDense {
            inputs: 1,
            outputs: 2,
            weight: vec![1.0; 2],
            weight_groups: Groups::elementwise(2),
            weight_f: vec![4.0; 2],
            bias: vec![1.0, 2.0],
            bias_bits: BiasBits::Own(vec![8; 2]),
            window: None,
            ebops_scale: 1.0,
            declared: None,
            trainable: false,
        };
        let value = |name: &str, len: usize| Value { name: name.into(), shape: vec![len] };
        let node = Node { name: "d".into(), op: QOp::Dense(dense), inputs: vec![0], output: 1 };
        let values = vec![value("x", 1), value("y", 2)];
        let mut model = Model { name: "m".into(), values, nodes: vec![node], inputs: vec![0], outputs: vec![1] };
        let bias = |m: &Model| if let QOp::Dense(d) = &m.nodes[0].op { d.bias.clone() } else { Vec::new() };
        // an output of twice its value in the model is 0.5 too large, so the model's is 0.25
        assert_eq!(centre(&mut model, &[0.5, -3.0], &[1, 0], |_| true), (0.25 + 9.0) / 2.0);
        assert_eq!(bias(&model), [0.75, 5.0]);
        assert_eq!(centre(&mut model, &[0.5, -3.0], &[], |_| false), 0.0);
        assert_eq!(bias(&model), [0.75, 5.0]);
    }
}
