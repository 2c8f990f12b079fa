//! `ModelProto → Graph`: every node of the file is translated by the handler that [`table`] names,
//! constants are folded on the way, identities become aliases, and the passes of
//! [`crate::graph::pass`] tidy up. Calls of the model's own functions are replaced by their bodies
//! before.
//!
//! Tensors keep the names of the file. The first axis of every data tensor is the batch, whatever
//! the file declares for it; shapes are those of one sample, with the axes in the order of the
//! file. Shapes are inferred here; `value_info` is ignored. Dead nodes are ignored. A model that is
//! not supported is refused with all of its faults at once.

mod axes;
mod broadcast;
mod composite;
mod constants;
mod context;
mod decoded;
mod error;
pub mod fault;
mod functions;
mod item;
mod liveness;
mod op;
mod signature;
mod table;
mod unsupported;

use crate::diagnostic::{Code, Diagnostic};
pub use context::{MAX_EXPANDED, MAX_SAMPLE};
pub use error::{ImportError, Refusal};

use super::{Graph, pass};
use crate::onnx::Attributes;
use crate::onnx::limits::MAX_RANK;
use crate::onnx::proto::{GraphProto, ModelProto, NodeProto};
use context::{Context, NodeView};
use fault::Fault;
use item::Item;

/// Oldest version of the standard operator set that the handlers know; what a newer one than theirs
/// has changed is refused by operator.
pub const MIN_OPSET: i64 = 6;

/// An imported model and what to tell about it.
#[derive(Clone, Debug)]
pub struct Imported {
    pub graph: Graph,
    /// Per graph input: element `j` of the graph's sample is element `order[j]` of the file's
    /// sample (channels last instead of channels first); `None` where they are alike.
    pub input_orders: Vec<Option<Vec<usize>>>,
    /// The same per graph output.
    pub output_orders: Vec<Option<Vec<usize>>>,
    /// Per graph output, whether the file decodes class labels from it.
    pub decoded: Vec<bool>,
    pub notes: Vec<Diagnostic>,
}

/// Translates a model.
///
/// # Errors
/// [`ImportError::Unsupported`] with every node, tensor, input or output that is not supported.
pub fn import(model: &ModelProto) -> Result<Imported, ImportError> {
    let empty = GraphProto::default();
    let functions::Inlined { graph: inlined, refusals, missing } = functions::inline(model);
    let file = inlined.as_ref().or(model.graph.as_ref()).unwrap_or(&empty);
    let expanded = composite::expand(file);
    let file = expanded.as_ref().map_or(file, |e| &e.graph);
    let live = liveness::analyse(file);
    let mut context = Context::new(file.name(), signature::opset(model), live.uses);
    context.spatial = file.node.iter().any(table::channels_first);
    signature::check_opset(model, &mut context);
    signature::initializers(file, &mut context);
    signature::inputs(file, &mut context);
    context.refusals.extend(refusals);
    let missing = missing.iter().chain(expanded.iter().flat_map(|e| &e.missing));
    context.items.extend(missing.map(|name| (name.as_str(), Item::Refused { constant: false })));
    if let Some(expanded) = &expanded {
        context.notes.extend(expanded.notes.iter().cloned());
        context.refusals.extend(expanded.refusals.iter().cloned());
    }
    for (proto, _) in file.node.iter().zip(&live.nodes).filter(|(_, live)| **live) {
        node(&mut context, &NodeView::of(proto));
    }
    let scores = signature::outputs(file, &mut context);
    let decoded = context.graph.outputs.iter().map(|o| scores.contains(o)).collect();
    let Context { mut graph, notes, mut refusals, .. } = context;
    let mut notes = notes;
    decoded::quantized_shares(&mut graph, &mut notes);
    refusals.extend(signature::misplaced_softmax(&graph));
    if !refusals.is_empty() {
        return Err(ImportError::Unsupported { nodes: refusals });
    }
    let orders = pass::run(&mut graph)?;
    let nodes = signature::stuck_permutes(&graph);
    if !nodes.is_empty() {
        return Err(ImportError::Unsupported { nodes });
    }
    let notes = layout_notes(&graph, &orders, notes);
    Ok(Imported { graph, input_orders: orders.inputs, output_orders: orders.outputs, decoded, notes })
}

/// Tells which inputs and outputs have their channels last now.
fn layout_notes(graph: &Graph, orders: &pass::Orders, mut notes: Vec<Diagnostic>) -> Vec<Diagnostic> {
    for (ids, orders, code, what) in [
        (&graph.inputs, &orders.inputs, Code::InputLayout, "input"),
        (&graph.outputs, &orders.outputs, Code::OutputLayout, "output"),
    ] {
        for (&id, _) in ids.iter().zip(orders).filter(|(_, order)| order.is_some()) {
            let value = &graph.values[id];
            let message = format!("{what} `{}` has the channels last in the proxy: {:?} per sample", value.name, value.shape);
            notes.push(Diagnostic::at(code, &value.name, message));
        }
    }
    notes
}

/// The operator of a node, with its domain where that is not the standard one.
fn operator(node: &NodeProto) -> String {
    let (domain, op) = (node.domain(), node.op_type());
    if domain.is_empty() { op.to_string() } else { format!("{domain}.{op}") }
}

/// Translates one node and records what its outputs are.
fn node<'m>(context: &mut Context<'m>, node: &NodeView<'m>) {
    let constant = node
        .proto
        .input
        .iter()
        .filter(|i| !i.is_empty())
        .all(|name| matches!(context.items.get(name.as_str()), Some(Item::Const(_) | Item::Refused { constant: true })));
    let item = translate(context, node).unwrap_or_else(|fault| {
        context.refusals.push(Refusal { name: node.name.clone(), op: operator(node.proto), reason: fault.reason });
        Item::Refused { constant }
    });
    for (index, output) in node.proto.output.iter().enumerate().filter(|(_, o)| !o.is_empty()) {
        let item = match &item {
            Item::Several(items) => items.get(index).cloned(),
            Item::Label(_) => Some(item.clone()),
            _ => (index == 0).then(|| item.clone()),
        };
        let item = item.unwrap_or(Item::Refused { constant });
        if context.items.insert(output, item).is_some() {
            let reason = format!("tensor `{output}` is computed twice; every tensor needs a name of its own");
            context.refusals.push(Refusal { name: node.name.clone(), op: node.proto.op_type().to_string(), reason });
        }
    }
}

fn translate<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    if let Some(attribute) = Attributes::of(node.proto).subgraphs().next() {
        return Err(Fault::new(format!("its subgraph `{attribute}` is not supported; export a model without control flow")));
    }
    let handler = table::handler(node);
    let inputs: Vec<Option<&Item>> =
        node.proto.input.iter().filter(|i| !i.is_empty()).map(|name| context.items.get(name.as_str())).collect();
    if inputs.iter().any(|item| matches!(item, Some(Item::Refused { .. }))) {
        let constant = |item: &&Option<&Item>| matches!(item, Some(Item::Const(_) | Item::Refused { constant: true }));
        let constants: Vec<bool> = inputs.iter().map(|i| constant(&i)).collect();
        if let Some(reason) = table::never_on_tensors(node, &constants) {
            return Err(Fault::new(reason));
        }
        handler?;
        return Ok(Item::Refused { constant: inputs.iter().all(|i| constant(&i)) });
    }
    let chooses = node.proto.op_type() == "Where";
    let decoded = |item: &Option<&Item>| match item {
        Some(Item::Label(scores)) => Some(*scores),
        Some(Item::Test(test)) if !chooses => Some(test.value),
        _ => None,
    };
    if let Some(scores) = inputs.iter().find_map(decoded) {
        return op::label::follow(node, scores);
    }
    let several = table::has_outputs(node.proto.op_type());
    if let Some(extra) = node.proto.output.iter().skip(1).find(|o| !several && context.uses.contains_key(o.as_str())) {
        return Err(Fault::new(format!("its output `{extra}` is used; only the first output is supported")));
    }
    context.read(node)?;
    if let Some(folded) = constants::fold(context, node) {
        return folded;
    }
    let handler = handler?;
    if let (Some((value, integers)), Some(input)) = (op::qdq::moved(context, node)?, node.input(0)) {
        let there = context.items.insert(input, Item::Data(value));
        let item = handler(context, node);
        context.items.extend(there.map(|item| (input, item)));
        return Ok(match item? {
            Item::Data(value) => Item::Integers(item::Integers { source: item::IntegerSource::Data(value), ..integers }),
            other => other,
        });
    }
    let before = context.graph.values.len();
    let item = handler(context, node)?;
    match &item {
        // another name for a tensor, whose reads are not counted with those of the tensor
        Item::Data(value) if *value < before && !liveness::ALIASES.contains(&node.proto.op_type()) => {
            context.bare.remove(value);
        }
        Item::Data(value) | Item::Turned { value, .. } => check_rank(context.shape(*value))?,
        Item::Const(constant) => check_rank(constant.shape())?,
        _ => {}
    }
    Ok(item)
}

fn check_rank(shape: &[usize]) -> Result<(), Fault> {
    match shape.len() {
        0..=MAX_RANK => Ok(()),
        rank => Err(Fault::new(format!("its result has {rank} axes, more than the limit of {MAX_RANK}"))),
    }
}
