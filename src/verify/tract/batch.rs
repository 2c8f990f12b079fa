//! Whether a file written for one sample may be run on blocks of samples: every operator on data
//! must treat the first axis as the batch. A constant `Reshape` target `[1, …]` would not; where
//! the axis is the batch it becomes `[-1, …]`.
//!
//! An operator or a form that is not listed here means blocks of one: slower, never wrong.

use std::collections::{BTreeMap, BTreeSet};

use crate::onnx::{
    Attributes, Tensor, info,
    proto::{GraphProto, ModelProto, NodeProto},
};

/// Operators that keep the first axis of their data as it is, whatever their attributes.
const PLAIN: &str = "\
    Abs Add AveragePool BatchNormalization BipolarQuant Cast Ceil ChannelsLastAveragePool \
    ChannelsLastBatchNormalization ChannelsLastConv ChannelsLastMaxPool Clip Conv DequantizeLinear Div \
    Dropout Elu Erf Exp Floor Gelu GlobalAveragePool GlobalMaxPool HardSigmoid HardSwish Identity IntQuant \
    LeakyRelu Log Max MaxPool Mean Min Mul Neg PRelu Pow Quant QuantizeLinear Reciprocal Relu Round Selu \
    Sigmoid Sign Softplus Softsign Sqrt Sub Sum Tanh Where";

/// Names of the rewritten targets; no file of ours or of the usual exporters has them.
const TARGET: &str = "hgq_onnx_batch_target_";

/// Prepares `model` for blocks of samples. False where it has to be run sample by sample.
pub fn open(model: &mut ModelProto) -> bool {
    let Some(graph) = &mut model.graph else { return false };
    if !declares_one_sample(graph) {
        // the file itself asks for batches
        return true;
    }
    let constants: BTreeMap<String, Option<Tensor>> = (graph.initializer.iter())
        .map(|t| (t.name().to_string(), Tensor::from_proto(t).ok()))
        .chain(graph.node.iter().filter(|n| n.op_type() == "Constant").map(|n| {
            let value = Attributes::of(n).tensor("value").ok().flatten();
            (n.output.first().cloned().unwrap_or_default(), value)
        }))
        .collect();
    let mut batched: BTreeSet<String> =
        graph.input.iter().map(|i| i.name().to_string()).filter(|name| !constants.contains_key(name)).collect();
    let mut targets = Vec::new();
    // after a target [-1, …] of the file the first axis may hold several rows per sample
    let mut folded = false;
    // ONNX lists nodes in topological order
    for (index, node) in graph.node.iter().enumerate() {
        let reads: Vec<bool> = node.input.iter().map(|name| batched.contains(name)).collect();
        if !reads.contains(&true) {
            continue;
        }
        let constant = |at: usize| node.input.get(at).and_then(|name| constants.get(name)).and_then(Option::as_ref)?.to_i64();
        let kept = match node.op_type() {
            "Reshape" => match constant(1).as_deref() {
                Some([1, rest @ ..]) if !rest.is_empty() => {
                    let open = !rest.contains(&-1);
                    targets.push((index, [&[if open { -1 } else { 0 }], rest].concat()));
                    (open || !folded) && Attributes::of(node).int("allowzero", 0) == Ok(0)
                }
                Some([-1, rest @ ..]) if !rest.is_empty() => {
                    folded = true;
                    true
                }
                Some([0, ..]) => Attributes::of(node).int("allowzero", 0) == Ok(0),
                _ => false,
            },
            _ => keeps_first_axis(node, &reads, constant),
        };
        if !kept {
            return false;
        }
        batched.extend(node.output.iter().cloned());
    }
    for (index, target) in targets {
        let name = format!("{TARGET}{index}");
        graph.initializer.push(Tensor::i64(vec![target.len()], target).to_proto(&name));
        if let Some(input) = graph.node.get_mut(index).and_then(|n| n.input.get_mut(1)) {
            *input = name;
        }
    }
    true
}

/// True if all inputs have a first axis of 1.
fn declares_one_sample(graph: &GraphProto) -> bool {
    graph.input.iter().filter(|i| graph.initializer.iter().all(|t| t.name() != i.name())).all(info::has_batch_of_one)
}

/// `reads` says which inputs are data, `constant` reads integers.
fn keeps_first_axis(node: &NodeProto, reads: &[bool], constant: impl Fn(usize) -> Option<Vec<i64>>) -> bool {
    let attributes = Attributes::of(node);
    // other negative axes could be the first one
    let later = |axis: &i64| *axis > 0 || *axis == -1;
    let axis = |default: i64| attributes.int("axis", default).is_ok_and(|axis| later(&axis));
    // lists are an attribute or, in newer operator sets, an input
    let list = |name: &str, at: usize| attributes.ints(name).ok().flatten().map(<[i64]>::to_vec).or_else(|| constant(at));
    let all_later = |list: Option<Vec<i64>>| list.is_some_and(|axes| !axes.is_empty() && axes.iter().all(later));
    let only_first = reads.iter().position(|&r| r) == Some(0) && !reads.get(1).is_some_and(|&r| r);
    match node.op_type() {
        "Softmax" | "LogSoftmax" => axis(1),
        "LayerNormalization" => axis(-1),
        "Flatten" => attributes.int("axis", 1) == Ok(1),
        "Concat" | "Split" | "ArgMax" => axis(0),
        "Gather" => only_first && axis(0),
        "MatMul" => only_first,
        "Gemm" => only_first && attributes.int("transA", 0) == Ok(0),
        "Transpose" => matches!(attributes.ints("perm"), Ok(Some([0, ..]))),
        "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" | "Squeeze" | "Unsqueeze" => all_later(list("axes", 1)),
        "Slice" => all_later(list("axes", 3)),
        "Pad" => {
            let pads = list("pads", 1).filter(|_| node.input.len() < 4);
            pads.is_some_and(|p| p.first() == Some(&0) && p.get(p.len() / 2) == Some(&0))
        }
        op => PLAIN.split(' ').any(|plain| plain == op),
    }
}
