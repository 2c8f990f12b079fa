//! Local functions of a model (`ModelProto.functions`): each call is replaced by the nodes of the
//! function, its parameters by the arguments, references to its attributes (`ref_attr_name`) by the
//! attributes of the call or their defaults. Other tensors of the body take the name of the call in
//! front.
//!
//! Operators that the import knows are never looked up among the functions: exporters write the
//! definition of a standard or QONNX operator beside its use, and the operator says more than its
//! decomposition.

use super::context::NodeView;
use super::error::Refusal;
use super::fault::Fault;
use super::op::softmax;
use super::{MIN_OPSET, liveness, operator, table};
use crate::onnx::info;
use crate::onnx::limits::{MAX_BYTES, MAX_NODES};
use crate::onnx::proto::attribute_proto::AttributeType;
use crate::onnx::proto::{AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto};
use prost::Message;
use std::collections::HashMap;

/// Functions that call each other, one inside the other; exporters nest a handful. Recursion ends
/// here.
const MAX_NESTING: usize = 32;

/// What became of the calls.
pub struct Inlined {
    /// The graph without calls; `None` where it has none.
    pub graph: Option<GraphProto>,
    /// Calls that cannot be inlined; their nodes are left out.
    pub refusals: Vec<Refusal>,
    /// The tensors that those would compute.
    pub missing: Vec<String>,
}

/// Replaces the calls among the nodes of the graph that contribute to an output.
pub fn inline(model: &ModelProto) -> Inlined {
    let mut inlined = Inlined { graph: None, refusals: vec![], missing: vec![] };
    let Some(file) = &model.graph else { return inlined };
    let functions = Functions::of(model);
    if functions.0.is_empty() || !file.node.iter().any(|node| functions.called_by(node).is_some()) {
        return inlined;
    }
    let mut expansion = Expansion { functions: &functions, taken: names(file), nodes: vec![], visited: 0, bytes: 0 };
    for (node, _) in file.node.iter().zip(liveness::analyse(file).nodes).filter(|(_, live)| *live) {
        let done = expansion.nodes.len();
        if let Err(fault) = expansion.node(node.clone(), 0) {
            expansion.nodes.truncate(done);
            let name = NodeView::of(node).name;
            inlined.refusals.push(Refusal { name, op: operator(node), reason: fault.reason });
            inlined.missing.extend(node.output.iter().filter(|o| !o.is_empty()).cloned());
        }
    }
    let nodes = expansion.nodes;
    inlined.graph = Some(GraphProto { node: nodes, ..info::without_nodes(file) });
    inlined
}

/// All tensor names of a graph, each with the number that its next namesake gets.
fn names(file: &GraphProto) -> HashMap<String, usize> {
    let signature = file.input.iter().map(|i| i.name()).chain(file.initializer.iter().map(|t| t.name()));
    let tensors = file.node.iter().flat_map(|n| n.input.iter().chain(&n.output)).map(String::as_str);
    signature.chain(tensors).map(|name| (name.to_string(), 2)).collect()
}

/// The two spellings of the standard domain are one.
fn spelled(domain: &str) -> &str {
    if domain == "ai.onnx" { "" } else { domain }
}

/// The functions of a model by domain, name and overload.
struct Functions<'m>(HashMap<(&'m str, &'m str, &'m str), &'m FunctionProto>);

impl<'m> Functions<'m> {
    fn of(model: &'m ModelProto) -> Functions<'m> {
        // of two with the same key the first counts, as for nodes that compute the same tensor the
        // second is at fault
        Functions(model.functions.iter().rev().map(|f| ((spelled(f.domain()), f.name(), f.overload()), f)).collect())
    }

    /// The function that a node calls; `None` for operators.
    fn called_by(&self, node: &NodeProto) -> Option<&'m FunctionProto> {
        let function = self.0.get(&(spelled(node.domain()), node.op_type(), node.overload())).copied()?;
        table::handler(&NodeView::of(node)).is_err().then_some(function)
    }
}

/// The graph under construction.
struct Expansion<'m> {
    functions: &'m Functions<'m>,
    /// See [`names`].
    taken: HashMap<String, usize>,
    nodes: Vec<NodeProto>,
    /// Nodes and calls so far, and the bytes of their names and attributes: a few nested functions
    /// could ask for any number.
    visited: usize,
    bytes: usize,
}

impl Expansion<'_> {
    /// Adds a node, or what it calls.
    fn node(&mut self, node: NodeProto, depth: usize) -> Result<(), Fault> {
        self.visited += 1;
        if self.visited > MAX_NODES {
            return Err(Fault::new(format!("the functions of the model expand to more than {MAX_NODES} nodes")));
        }
        match self.functions.called_by(&node) {
            None => {
                self.nodes.push(node);
                Ok(())
            }
            Some(function) if depth < MAX_NESTING => self.call(&node, function, depth),
            Some(function) => Err(Fault::new(format!(
                "function `{}` is nested more than {MAX_NESTING} deep; functions must not call themselves",
                function.name()
            ))),
        }
    }

    fn call(&mut self, call: &NodeProto, function: &FunctionProto, depth: usize) -> Result<(), Fault> {
        let version = function.opset_import.iter().find(|o| matches!(o.domain(), "" | "ai.onnx")).map(|o| o.version());
        if let Some(version) = version.filter(|v| *v < MIN_OPSET) {
            return Err(Fault::new(format!(
                "function `{}` is written for opset {version}, older than {MIN_OPSET}, the oldest that is supported",
                function.name()
            )));
        }
        for (what, given, declared) in
            [("inputs", call.input.len(), function.input.len()), ("outputs", call.output.len(), function.output.len())]
        {
            if given > declared {
                return Err(Fault::new(format!("it has {given} {what}, but function `{}` has {declared}", function.name())));
            }
        }
        let prefix = NodeView::of(call).name;
        let mut tensors: HashMap<&str, String> = HashMap::new();
        for (at, input) in function.input.iter().enumerate() {
            tensors.insert(input, call.input.get(at).cloned().unwrap_or_default());
        }
        let mut returned = Vec::new();
        for (at, output) in function.output.iter().enumerate() {
            let Some(name) = call.output.get(at).filter(|name| !name.is_empty()) else { continue };
            match tensors.get(output.as_str()) {
                // a function may return an argument, or one tensor twice
                Some(same) => returned.push(identity(same.clone(), name.clone())),
                None => {
                    tensors.insert(output, name.clone());
                }
            }
        }
        for (index, node) in function.node.iter().enumerate() {
            let own = if node.name().is_empty() { format!("{}_{index}", node.op_type()) } else { node.name().to_string() };
            self.spend(prefix.len() + own.len())?;
            let mut inner = NodeProto {
                name: Some(format!("{prefix}/{own}")),
                op_type: node.op_type.clone(),
                domain: node.domain.clone(),
                overload: node.overload.clone(),
                ..Default::default()
            };
            for attribute in node.attribute.iter().filter_map(|a| bound(a, call, function)) {
                self.spend(attribute.encoded_len())?;
                inner.attribute.push(attribute);
            }
            if let (Some(version), "Softmax", "") = (version, node.op_type(), spelled(node.domain())) {
                softmax::write_default_axis(&mut inner, version);
            }
            inner.input = node.input.iter().map(|name| self.name(&mut tensors, &prefix, name)).collect::<Result<_, _>>()?;
            inner.output = node.output.iter().map(|name| self.name(&mut tensors, &prefix, name)).collect::<Result<_, _>>()?;
            self.node(inner, depth + 1)?;
        }
        returned.into_iter().try_for_each(|node| self.node(node, depth + 1))
    }

    /// The name in the graph of the tensor `name` of a body.
    fn name<'f>(&mut self, tensors: &mut HashMap<&'f str, String>, prefix: &str, name: &'f str) -> Result<String, Fault> {
        if name.is_empty() {
            return Ok(String::new());
        }
        if let Some(known) = tensors.get(name) {
            self.spend(known.len())?;
            return Ok(known.clone());
        }
        self.spend(prefix.len() + name.len())?;
        let stem = format!("{prefix}/{name}");
        let mut free = stem.clone();
        while self.taken.contains_key(&free) {
            let next = self.taken.entry(stem.clone()).or_insert(2);
            free = format!("{stem}_{next}");
            *next += 1;
        }
        self.taken.insert(free.clone(), 2);
        tensors.insert(name, free.clone());
        Ok(free)
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Fault> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > MAX_BYTES {
            return Err(Fault::new(format!("the functions of the model expand to more than {MAX_BYTES} bytes")));
        }
        Ok(())
    }
}

fn identity(from: String, to: String) -> NodeProto {
    let op_type = Some("Identity".to_string());
    NodeProto { op_type, name: Some(to.clone()), input: vec![from], output: vec![to], ..Default::default() }
}

/// The attribute of a node of the body: itself, or what it refers to. `None` where neither the call
/// nor the function gives it.
fn bound(attribute: &AttributeProto, call: &NodeProto, function: &FunctionProto) -> Option<AttributeProto> {
    let wanted = attribute.ref_attr_name();
    if wanted.is_empty() {
        return Some(attribute.clone());
    }
    let given = call.attribute.iter().find(|a| a.name() == wanted);
    let given = given.or_else(|| function.attribute_proto.iter().find(|a| a.name() == wanted))?;
    // the type that the body declares stays where the call writes none
    let kind = given.r#type.filter(|&t| t != AttributeType::Undefined as i32).or(attribute.r#type);
    Some(AttributeProto { name: attribute.name.clone(), r#type: kind, ..given.clone() })
}
