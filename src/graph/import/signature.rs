//! Everything of the file but its nodes: operator sets, initializers, inputs and outputs.

use std::collections::HashSet;

use super::{
    MIN_OPSET,
    context::{Context, MAX_SAMPLE},
    decoded::{self, Decoded},
    error::Refusal,
    item::{Constant, IntegerSource, Integers, Item, Test},
    op::qdq,
};
use crate::diagnostic::{Code, Diagnostic};
use crate::ops::Move;
use crate::{
    graph::{Graph, Node, ValueId, op::Op},
    onnx::{
        Tensor, info,
        limits::MAX_RANK,
        proto::{GraphProto, ModelProto, ValueInfoProto, tensor_proto::DataType, type_proto},
    },
};

/// Version of the standard operator set; 0 where the file does not say.
pub fn opset(model: &ModelProto) -> i64 {
    let standard = model.opset_import.iter().find(|o| matches!(o.domain(), "" | "ai.onnx"));
    standard.map_or(0, |o| o.version())
}

fn refuse(context: &mut Context<'_>, op: &str, name: &str, reason: impl Into<String>) {
    context.refusals.push(Refusal { name: name.to_string(), op: op.to_string(), reason: reason.into() });
}

pub fn check_opset(model: &ModelProto, context: &mut Context<'_>) {
    if context.opset < MIN_OPSET {
        let reason =
            format!("opset {} is older than {MIN_OPSET}, the oldest that is supported; convert the model", context.opset);
        refuse(context, "opset", model.producer_name(), reason);
    }
}

pub fn initializers<'m>(file: &'m GraphProto, context: &mut Context<'m>) {
    for proto in &file.initializer {
        let item = match Tensor::from_proto(proto) {
            Ok(tensor) => Item::Const(Constant::new(proto.name(), tensor)),
            Err(error) => {
                refuse(context, "initializer", proto.name(), error.to_string());
                Item::Refused { constant: true }
            }
        };
        if context.items.insert(proto.name(), item).is_some() {
            refuse(context, "initializer", proto.name(), "there are two initializers of this name");
        }
    }
    for sparse in &file.sparse_initializer {
        let name = sparse.values.as_ref().map_or("", |v| v.name());
        refuse(context, "initializer", name, "sparse tensors are not supported; store it dense");
        context.items.insert(name, Item::Refused { constant: true });
    }
}

pub fn inputs<'m>(file: &'m GraphProto, context: &mut Context<'m>) {
    context.batch_of_one = file.input.iter().filter(|i| !context.items.contains_key(i.name())).all(info::has_batch_of_one);
    context.batch = (!without_batch(file, context)).then_some(0);
    for info in &file.input {
        if context.items.contains_key(info.name()) {
            continue; // an initializer: files before IR version 4 list them as inputs too
        }
        if context.batch.is_none() {
            let message = "the file has no batch axis: the proxy's first axis is one, of any size in training";
            context.notes.push(Diagnostic::at(Code::NoBatchAxis, info.name(), message));
        }
        let item = match sample_shape(info, context.batch.is_some()) {
            Ok(shape) => {
                let value = context.graph.add_value(info.name(), shape);
                context.graph.inputs.push(value);
                given(info, value, context)
            }
            Err(reason) => {
                refuse(context, "input", info.name(), reason);
                Item::Refused { constant: false }
            }
        };
        context.items.insert(info.name(), item);
    }
    if file.input.iter().all(|i| matches!(context.items.get(i.name()), Some(Item::Const(_)))) {
        refuse(context, "input", file.name(), "the graph has no input");
    }
}

/// What an input stands for: integers are given as floats.
fn given(info: &ValueInfoProto, value: ValueId, context: &mut Context<'_>) -> Item {
    let kind = match info.r#type.as_ref().and_then(|t| t.value.as_ref()) {
        Some(type_proto::Value::TensorType(tensor)) => DataType::try_from(tensor.elem_type()).unwrap_or(DataType::Undefined),
        _ => DataType::Undefined,
    };
    let range = qdq::range(kind);
    if range.is_some() || kind == DataType::Int64 {
        let message = format!("its type is {}: give its integers as floats", kind.as_str_name());
        context.notes.push(Diagnostic::at(Code::IntegerPort, info.name(), message));
    }
    match range.filter(|_| !matches!(kind, DataType::Int32)) {
        Some((lo, hi)) => {
            let source = IntegerSource::Data(value);
            Item::Integers(Integers { source, scale: None, zero_point: vec![], axis: 0, lo, hi })
        }
        None => Item::Data(value),
    }
}

/// Whether every input is a single vector of fixed length: a controller's, exported without a
/// batch.
fn without_batch(file: &GraphProto, context: &Context<'_>) -> bool {
    let mut inputs = file.input.iter().filter(|i| !context.items.contains_key(i.name())).peekable();
    inputs.peek().is_some()
        && inputs.all(|i| matches!(info::dims(i), Some([length]) if info::size(length).is_some_and(|n| n > 1)))
}

/// Shape of an input without its first axis, the batch, where there is one.
fn sample_shape(info: &ValueInfoProto, batched: bool) -> Result<Vec<usize>, String> {
    let Some(type_proto::Value::TensorType(tensor)) = info.r#type.as_ref().and_then(|t| t.value.as_ref()) else {
        return Err("it has no tensor type".into());
    };
    match DataType::try_from(tensor.elem_type()) {
        Ok(DataType::Float | DataType::Double | DataType::Float16 | DataType::Bfloat16) => {}
        Ok(kind) if qdq::range(kind).is_some() || kind == DataType::Int64 => {}
        Ok(other) => return Err(format!("its type is {}; export the model with a float input", other.as_str_name())),
        Err(_) => return Err(format!("its element type {} is unknown", tensor.elem_type())),
    }
    let dims = &tensor.shape.as_ref().ok_or("it has no shape; export with a fixed sample shape")?.dim;
    if dims.len() < 2 && batched {
        return Err(format!("it has {} dimension(s); the first axis must be the batch, so at least 2 are needed", dims.len()));
    }
    if dims.len() > MAX_RANK {
        return Err(format!("it has {} dimensions, more than the limit of {MAX_RANK}", dims.len()));
    }
    let mut shape = Vec::with_capacity(dims.len() - 1);
    for (axis, dim) in dims.iter().enumerate().skip(usize::from(batched)) {
        let open = || format!("dimension {axis} has no fixed size; only the batch (axis 0) may be left open");
        shape.push(info::size(dim).ok_or_else(open)?);
    }
    let len = shape.iter().try_fold(1usize, |product, &d| product.checked_mul(d));
    match len {
        Some(len) if len <= MAX_SAMPLE => Ok(shape),
        _ => Err(format!("a sample of shape {shape:?} has more than {MAX_SAMPLE} elements")),
    }
}

/// The graph's outputs; returns those that the file decodes class labels from.
pub fn outputs(file: &GraphProto, context: &mut Context<'_>) -> Vec<ValueId> {
    let mut seen = HashSet::new();
    let mut labels = Vec::new();
    let mut passed = Vec::new();
    for info in &file.output {
        let name = info.name();
        if !seen.insert(name) {
            refuse(context, "output", name, "the output is listed twice");
            continue;
        }
        match context.items.get(name) {
            Some(&Item::Data(value)) => {
                if context.graph.outputs.contains(&value) {
                    refuse(context, "output", name, "it is the same tensor as another output; remove one");
                } else if context.graph.inputs.contains(&value) {
                    passed.push(name);
                } else {
                    context.graph.outputs.push(value);
                    context.graph.values[value].name = name.to_string();
                }
            }
            Some(&(Item::Label(scores) | Item::Test(Test { value: scores, .. }))) => {
                labels.push(Decoded { name, position: context.graph.outputs.len(), scores })
            }
            Some(Item::Refused { .. }) => {}
            Some(Item::Const(_) | Item::Dims { .. }) => refuse(context, "output", name, "it does not depend on the input"),
            Some(Item::Turned { batch, .. }) => {
                let reason = format!("the batch is its axis {batch}; move it to the front with a Transpose");
                refuse(context, "output", name, reason);
            }
            Some(Item::Several(_)) => refuse(context, "output", name, "it is no tensor"),
            Some(Item::Integers(integers)) => {
                let integers = integers.clone();
                match qdq::standing_for(context, name, &integers) {
                    Ok(value) => {
                        let message = "it holds the integers of a QuantizeLinear; the proxy gives the values that they stand for";
                        context.notes.push(Diagnostic::at(Code::IntegerPort, name, message));
                        context.graph.outputs.push(value);
                    }
                    Err(fault) => refuse(context, "output", name, fault.reason),
                }
            }
            None => refuse(context, "output", name, "no node computes it"),
        }
    }
    let scores = decoded::leave_out(context, &labels);
    for name in passed {
        if context.graph.outputs.is_empty() {
            refuse(context, "output", name, "it is a graph input unchanged; there is nothing to convert");
        } else {
            let message = format!("output `{name}` is a graph input unchanged; it is left out");
            context.notes.push(Diagnostic::at(Code::OutputDropped, name, message));
        }
    }
    if context.graph.outputs.is_empty() && context.refusals.is_empty() {
        refuse(context, "output", file.name(), "no output is a tensor of scores; make the tensor before ArgMax an output");
    }
    scores
}

/// Softmax is supported only where it can be left off the circuit.
pub fn misplaced_softmax(graph: &Graph) -> Vec<Refusal> {
    let inner = |node: &&Node<Op>| {
        matches!(node.op, Op::Softmax { .. })
            && (!graph.outputs.contains(&node.output) || !graph.consumers(node.output).is_empty())
    };
    let reason = "Softmax is supported only right before a graph output; end the model at the logits";
    let refusal = |node: &Node<Op>| Refusal { name: node.name.clone(), op: "Softmax".into(), reason: reason.into() };
    graph.nodes.iter().filter(inner).map(refusal).collect()
}

/// Permutations that no layer could absorb.
pub fn stuck_permutes(graph: &Graph) -> Vec<Refusal> {
    let reason = "no dense layer is near enough to absorb this permutation of a large tensor; remove it from the model";
    let refusal = |node: &Node<Op>| Refusal { name: node.name.clone(), op: "Transpose".into(), reason: reason.into() };
    graph.nodes.iter().filter(|n| matches!(n.op, Op::Move(Move::Permute { .. }))).map(refusal).collect()
}
