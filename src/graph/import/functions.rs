//! Local functions of a file (`ModelProto.functions`): every call is replaced by the nodes of the function's body, so that the handlers
//! see operators only. Tensors inside get names of their own, `call/tensor`; attributes that a body takes from its call are filled in.

use std::borrow::Cow;
use std::collections::HashMap;

use super::error::Refusal;
use crate::onnx::proto::{AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto};

/// Deepest nesting of calls: more is a cycle, which ONNX forbids.
const MAX_DEPTH: usize = 32;
/// Most nodes that calls may expand to; a few nested functions could otherwise ask for any number.
const MAX_NODES: usize = 1 << 20;

type Functions<'m> = HashMap<(&'m str, &'m str, &'m str), &'m FunctionProto>;

/// The graph of `model` without calls.
///
/// # Errors
/// The calls that cannot be replaced, each by name.
pub fn inline<'m>(model: &'m ModelProto, graph: &'m GraphProto) -> Result<Cow<'m, GraphProto>, Vec<Refusal>> {
    let functions: Functions = model.functions.iter().map(|f| ((normal(f.domain()), f.name(), f.overload()), f)).collect();
    if functions.is_empty() || !graph.node.iter().any(|n| called(&functions, n).is_some()) {
        return Ok(Cow::Borrowed(graph));
    }
    let mut inliner = Inliner { functions, nodes: Vec::new(), refusals: Vec::new() };
    for node in &graph.node {
        inliner.node(node.clone(), 0);
    }
    if !inliner.refusals.is_empty() {
        return Err(inliner.refusals);
    }
    Ok(Cow::Owned(GraphProto { node: inliner.nodes, ..graph.clone() }))
}

/// The two spellings of the standard domain are one.
fn normal(domain: &str) -> &str {
    if domain == "ai.onnx" { "" } else { domain }
}

fn called<'m>(functions: &Functions<'m>, node: &NodeProto) -> Option<&'m FunctionProto> {
    functions.get(&(normal(node.domain()), node.op_type(), node.overload())).copied()
}

struct Inliner<'m> {
    functions: Functions<'m>,
    nodes: Vec<NodeProto>,
    refusals: Vec<Refusal>,
}

impl Inliner<'_> {
    fn node(&mut self, node: NodeProto, depth: usize) {
        let Some(function) = called(&self.functions, &node) else {
            self.nodes.push(node);
            return;
        };
        let first = node.output.iter().find(|o| !o.is_empty()).map_or("", String::as_str);
        let name = if node.name().is_empty() { first.to_string() } else { node.name().to_string() };
        let fault = if depth >= MAX_DEPTH {
            Some(format!("functions call each other more than {MAX_DEPTH} deep; a function must not call itself"))
        } else if self.nodes.len() + function.node.len() > MAX_NODES {
            Some(format!("functions expand to more than {MAX_NODES} nodes"))
        } else if node.input.len() > function.input.len() || node.output.len() > function.output.len() {
            Some(format!(
                "it gives {} inputs and takes {} outputs of a function of {} and {}",
                node.input.len(),
                node.output.len(),
                function.input.len(),
                function.output.len()
            ))
        } else {
            None
        };
        if let Some(reason) = fault {
            // told once: every level of a cycle would say the same
            if self.refusals.is_empty() {
                self.refusals.push(Refusal { name, op: node.op_type().to_string(), reason });
            }
            return;
        }
        let mut names: HashMap<&str, String> = HashMap::new();
        for (at, formal) in function.input.iter().enumerate() {
            names.insert(formal, node.input.get(at).cloned().unwrap_or_default());
        }
        for (at, formal) in function.output.iter().enumerate() {
            let given = node.output.get(at).filter(|o| !o.is_empty()).cloned();
            names.insert(formal, given.unwrap_or_else(|| format!("{name}/{formal}")));
        }
        let renamed = |names: &HashMap<&str, String>, tensor: &String| match tensor.as_str() {
            "" => String::new(),
            tensor => names.get(tensor).cloned().unwrap_or_else(|| format!("{name}/{tensor}")),
        };
        for (at, body) in function.node.iter().enumerate() {
            if !self.refusals.is_empty() {
                return;
            }
            let own = if body.name().is_empty() { format!("{name}/{at}") } else { format!("{name}/{}", body.name()) };
            let attribute = body.attribute.iter().filter_map(|a| filled(a, &node, function)).collect();
            let inner = NodeProto {
                name: Some(own),
                input: body.input.iter().map(|t| renamed(&names, t)).collect(),
                output: body.output.iter().map(|t| renamed(&names, t)).collect(),
                attribute,
                ..body.clone()
            };
            self.node(inner, depth + 1);
        }
    }
}

/// An attribute of a body as the call sets it; `None` where the call leaves it out and the function has no default.
fn filled(attribute: &AttributeProto, call: &NodeProto, function: &FunctionProto) -> Option<AttributeProto> {
    let reference = attribute.ref_attr_name();
    if reference.is_empty() {
        return Some(attribute.clone());
    }
    let given = call.attribute.iter().chain(&function.attribute_proto).find(|a| a.name() == reference)?;
    Some(AttributeProto { name: attribute.name.clone(), ..given.clone() })
}
