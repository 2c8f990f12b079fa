//! From uploaded bytes to a checked graph and checked data. Every fault of model, data and
//! configuration is found here.

pub mod check;
pub mod data;
pub mod declare;
pub mod domain;
pub mod show_declared;
pub mod thin;
pub mod unread;
pub mod values;

use super::config::JobConfig;
use super::error::{Error, NodeFault};
use super::task::ends;
use crate::data::{InputShape, OutputShape};
use crate::diagnostic::{Code, Diagnostic};
use crate::graph::import::{ImportError, import};
use crate::graph::{Graph, Op, ValueId};
use crate::onnx::codec::decode;
use crate::onnx::limits::Limits;

/// The imported model.
pub struct Source {
    pub graph: Graph,
    pub notes: Vec<Diagnostic>,
    /// The values that the proxy's outputs stand for: the graph's outputs, or what their Softmax
    /// reads.
    pub logits: Vec<ValueId>,
    pub has_softmax: bool,
    /// Values per sample of each output.
    pub widths: Vec<usize>,
    /// Values per sample of all outputs.
    pub width: usize,
    /// See [`crate::graph::import::Imported::input_orders`].
    pub input_orders: Vec<Option<Vec<usize>>>,
    pub output_orders: Vec<Option<Vec<usize>>>,
    /// Per output, whether the file decodes class labels from it.
    pub decoded: Vec<bool>,
}

impl Source {
    /// Values per sample of each input.
    pub fn input_widths(&self) -> Vec<usize> {
        self.graph.inputs.iter().map(|&i| self.graph.len_of(i)).collect()
    }

    /// The orders in which the proxy takes its inputs; none where it has them all as the graph has.
    pub fn proxy_orders(&self, config: &JobConfig) -> &[Option<Vec<usize>>] {
        if config.proxy.keep_input_layout { &self.input_orders } else { &[] }
    }

    /// What the outputs give, by the names of the file.
    pub fn output_shapes(&self) -> Vec<OutputShape> {
        let of = |((&len, &output), &decoded): ((&usize, &ValueId), &bool)| OutputShape {
            ends: ends::of(&self.graph, output, decoded),
            ..OutputShape::new(self.graph.values[output].name.clone(), len)
        };
        self.widths.iter().zip(&self.graph.outputs).zip(&self.decoded).map(of).collect()
    }

    /// What the inputs take, by name.
    pub fn input_shapes(&self) -> Vec<InputShape> {
        let of = |(&i, order): (&ValueId, &Option<Vec<usize>>)| InputShape {
            name: self.graph.values[i].name.clone(),
            shape: self.graph.values[i].shape.clone(),
            order: order.clone(),
        };
        self.graph.inputs.iter().zip(&self.input_orders).map(of).collect()
    }
}

/// Decodes and imports.
///
/// # Errors
/// [`Error::NotOnnx`] or [`Error::Unsupported`] with every offending node.
pub fn load(bytes: &[u8]) -> Result<Source, Error> {
    let model = decode(bytes, &Limits::default()).map_err(|e| Error::NotOnnx(e.to_string()))?;
    let imported = import(&model).map_err(|e| match e {
        ImportError::Unsupported { nodes } => {
            Error::Unsupported(nodes.into_iter().map(|n| NodeFault { name: n.name, op: n.op, reason: n.reason }).collect())
        }
        other => Error::NotOnnx(other.to_string()),
    })?;
    let (mut graph, mut notes, mut output_orders) = (imported.graph, imported.notes, imported.output_orders);
    graph.check().map_err(|e| Error::Internal(e.to_string()))?;
    let softmax = |graph: &Graph, output| graph.producer(output).filter(|&n| matches!(graph.nodes[n].op, Op::Softmax { .. }));
    let has_softmax = graph.outputs.iter().any(|&o| softmax(&graph, o).is_some());
    let mut logits: Vec<ValueId> = Vec::new();
    let mut kept = Vec::new();
    for (at, &output) in graph.outputs.iter().enumerate() {
        let value = softmax(&graph, output).map_or(output, |n| graph.nodes[n].inputs[0]);
        if logits.contains(&value) {
            let message = format!("output `{}` is left out: another output has the same logits", graph.values[output].name);
            notes.push(Diagnostic::new(Code::OutputDropped, message));
        } else {
            logits.push(value);
            kept.push(at);
        }
    }
    graph.outputs = kept.iter().map(|&at| graph.outputs[at]).collect();
    output_orders = kept.iter().map(|&at| output_orders.get(at).cloned().flatten()).collect();
    let decoded = kept.iter().map(|&at| imported.decoded.get(at).copied().unwrap_or(false)).collect();
    if graph.inputs.is_empty() || logits.is_empty() || !graph.nodes.iter().any(|n| computes(&n.op)) {
        let reason = "it moves elements and computes nothing: there is nothing to quantize".into();
        return Err(Error::Unsupported(vec![NodeFault { name: graph.name.clone(), op: "graph".into(), reason }]));
    }
    let widths: Vec<usize> = logits.iter().map(|&v| graph.len_of(v)).collect();
    let width = widths.iter().sum();
    let input_orders = imported.input_orders;
    Ok(Source { notes, logits, has_softmax, widths, width, input_orders, output_orders, decoded, graph })
}

fn computes(op: &Op) -> bool {
    match op {
        Op::Dense(_)
        | Op::Affine(_)
        | Op::Quant(_)
        | Op::Elementwise(_)
        | Op::Sign
        | Op::Clip { .. }
        | Op::MaxPool(_)
        | Op::AveragePool { .. }
        | Op::Merge(_) => true,
        Op::Softmax { .. } | Op::Move(_) => false,
    }
}
