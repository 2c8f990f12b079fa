//! Walks the exact model and decides what is written when: a dense layer or an activation waits until the quantizer behind it
//! is known (one hls4ml layer); whatever has another reader gets an exact wide `Quant` first, since stock hls4ml merges a
//! `Quant` into an un-quantised producer without looking at its other readers.

use super::build::Builder;
use super::constant::covering;
use super::error::{Fault, LEAKY_LIMIT, Reason};
use super::interval::Span;
use super::linear::Group;
use super::part::{Activation, Base, Part, Stage, State};
use super::{Form, Warning};
use crate::graph::{Node, ValueId};
use crate::onnx::proto::ModelProto;
use crate::quant::{FixedModel, FixedOp, table};

/// The written graph.
pub struct Lowered {
    pub model: ModelProto,
    pub warnings: Vec<Warning>,
}

/// The state of the walk.
pub struct Lower<'a> {
    pub(super) model: &'a FixedModel,
    pub(super) form: Form,
    pub(super) spans: &'a [Vec<Span>],
    pub(super) live: &'a [Vec<bool>],
    pub(super) b: Builder,
    pub(super) faults: Vec<Fault>,
    /// The flat model input; also the operand of layers that read nothing.
    pub(super) raw: Part,
    states: Vec<Option<State<'a>>>,
    /// Reserved names of the outputs that are flat.
    flat_outputs: Vec<(ValueId, String)>,
}

/// Writes the graph. `spans` and `live` belong to `model`.
///
/// # Errors
/// All faults.
pub fn lower(model: &FixedModel, form: Form, spans: &[Vec<Span>], live: &[Vec<bool>]) -> Result<Lowered, Vec<Fault>> {
    let structure = |what: &str| Err(vec![Fault { node: "(graph)".into(), reason: Reason::Structure(what.to_string()) }]);
    let [input] = model.inputs[..] else { return structure("a proxy has exactly one input") };
    if model.outputs.is_empty() || model.outputs.iter().enumerate().any(|(at, o)| model.outputs[..at].contains(o)) {
        return structure("a proxy has at least one output, each listed once");
    }
    if model.values.iter().any(|v| v.is_empty()) {
        return structure("a value has no elements");
    }
    let mut b = Builder::default();
    let input_name = b.name(&model.values[input].name);
    let names: Vec<String> = model.outputs.iter().map(|&o| b.name(&model.values[o].name)).collect();
    let batched = |v: ValueId| [&[1], &model.values[v].shape[..]].concat();
    let count = model.len_of(input);
    let mut tensor = input_name.clone();
    if model.values[input].shape.len() != 1 {
        let flat = b.name(&format!("{input_name}_flat"));
        tensor = b.reshape(tensor, flat, &[1, count]);
    }
    let raw = Part::new(tensor, (0..count).collect(), false);
    let flat_outputs =
        model.outputs.iter().copied().zip(names.iter().cloned()).filter(|(v, _)| model.values[*v].shape.len() == 1);
    let mut walk = Lower {
        model,
        form,
        spans,
        live,
        b,
        faults: Vec::new(),
        raw: raw.clone(),
        states: vec![None; model.values.len()],
        flat_outputs: flat_outputs.collect(),
    };
    walk.states[input] = Some(State::Parts(vec![raw]));
    for node in &model.nodes {
        walk.node(node);
    }
    let mut outputs: Vec<(usize, String, Vec<usize>)> = Vec::new();
    for (&value, name) in model.outputs.iter().zip(&names) {
        walk.output(value, name);
        outputs.push((walk.b.position(name).unwrap_or(0), name.clone(), batched(value)));
    }
    if !walk.faults.is_empty() {
        return Err(walk.faults);
    }
    let mut warnings = Vec::new();
    if !outputs.is_sorted_by_key(|o| o.0) {
        // hls4ml numbers outputs by the node that writes them
        outputs.sort_by_key(|o| o.0);
        let order = outputs.iter().map(|o| o.1.as_str()).collect::<Vec<_>>().join(", ");
        warnings.push(Warning {
            code: "output_order",
            node: "(graph)".into(),
            message: format!("outputs are now in node order: {order}"),
        });
    }
    let outputs: Vec<_> = outputs.into_iter().map(|(_, name, shape)| (name, shape)).collect();
    let title = super::sanitize(if model.name.is_empty() { "proxy_graph" } else { &model.name });
    Ok(Lowered { model: walk.b.finish(&title, &[(input_name, batched(input))], &outputs), warnings })
}

impl<'a> Lower<'a> {
    fn node(&mut self, node: &'a Node<FixedOp>) {
        let result = match node.inputs[..] {
            [source] => self.state_of(node, source),
            _ => Err(Reason::Structure(format!("reads {} values, one is supported", node.inputs.len()))),
        };
        let state = result.unwrap_or_else(|reason| {
            self.faults.push(Fault { node: node.name.clone(), reason });
            State::Parts(self.placeholder(node.output))
        });
        let shared = self.model.outputs.contains(&node.output) || self.model.consumers(node.output).len() != 1;
        self.states[node.output] = Some(state);
        if shared {
            self.parts(node.output);
        }
    }

    fn state_of(&mut self, node: &'a Node<FixedOp>, source: ValueId) -> Result<State<'a>, Reason> {
        match &node.op {
            FixedOp::Quantize(q) => Ok(State::Parts(self.quantize(node, q, source)?)),
            FixedOp::Dense(d) => {
                let parts = self.parts(source);
                Ok(State::Pending(self.stage(node, source, parts, Base::Dense(d))))
            }
            FixedOp::Affine(a) => {
                let mut stage = match self.pending_if(source, |s| s.affine.is_none() && s.activation.is_none()) {
                    Some(stage) => Stage { value: node.output, ..stage },
                    None => self.copy_of(node, source),
                };
                stage.affine = Some(a);
                Ok(State::Pending(stage))
            }
            FixedOp::Relu => Ok(self.activate(node, source, Activation::Relu)),
            &FixedOp::LeakyRelu { log2_slope } => {
                if !(-LEAKY_LIMIT..=0).contains(&log2_slope) {
                    return Err(Reason::LeakySlope(log2_slope));
                }
                Ok(self.activate(node, source, Activation::LeakyRelu { log2_slope }))
            }
            FixedOp::Sigmoid => {
                self.tabulate(node, source, Activation::Sigmoid, "Sigmoid", table::Kind::Sigmoid.max_input_frac())
            }
            FixedOp::Tanh => self.tabulate(node, source, Activation::Tanh, "Tanh", table::Kind::Tanh.max_input_frac()),
            FixedOp::Reshape => Ok(match self.pending(source) {
                Some(stage) => State::Pending(Stage { value: node.output, ..stage }),
                None => State::Parts(self.parts(source)),
            }),
            _ => unimplemented!("convolutions and merges"),
        }
    }

    fn stage(&self, node: &Node<FixedOp>, source: ValueId, parts: Vec<Part>, base: Base<'a>) -> Stage<'a> {
        let base_value = if matches!(base, Base::Dense(_)) { node.output } else { source };
        Stage { node: node.name.clone(), parts, source, base, base_value, affine: None, activation: None, value: node.output }
    }

    fn copy_of(&mut self, node: &Node<FixedOp>, source: ValueId) -> Stage<'a> {
        let parts = self.parts(source);
        self.stage(node, source, parts, Base::Copy)
    }

    fn activate(&mut self, node: &Node<FixedOp>, source: ValueId, activation: Activation) -> State<'a> {
        let mut stage = match self.pending_if(source, |s| s.activation.is_none()) {
            Some(stage) => Stage { value: node.output, ..stage },
            None => self.copy_of(node, source),
        };
        stage.activation = Some(activation);
        State::Pending(stage)
    }

    fn tabulate(
        &mut self,
        node: &Node<FixedOp>,
        source: ValueId,
        activation: Activation,
        function: &'static str,
        limit: i32,
    ) -> Result<State<'a>, Reason> {
        let found = (0..self.model.len_of(source))
            .filter(|&e| self.live[node.output][e])
            .map(|e| self.spans[source][e].frac)
            .max()
            .unwrap_or(0);
        if found > limit {
            return Err(Reason::TableInput { function, limit, found });
        }
        let mut stage = self.copy_of(node, source);
        stage.activation = Some(activation);
        Ok(State::Pending(stage))
    }

    /// Takes the layer that waits at `value`, if one does.
    pub(super) fn pending(&mut self, value: ValueId) -> Option<Stage<'a>> {
        self.pending_if(value, |_| true)
    }

    fn pending_if(&mut self, value: ValueId, fits: impl Fn(&Stage<'a>) -> bool) -> Option<Stage<'a>> {
        match self.states[value].take() {
            Some(State::Pending(stage)) if fits(&stage) => Some(stage),
            other => {
                self.states[value] = other;
                None
            }
        }
    }

    /// The tensors of `value`; a layer that waits is written with an exact wide `Quant` behind it.
    pub(super) fn parts(&mut self, value: ValueId) -> Vec<Part> {
        if let Some(stage) = self.pending(value) {
            let parts = self.materialise(&Stage { value, ..stage });
            self.states[value] = Some(State::Parts(parts));
        }
        match &self.states[value] {
            Some(State::Parts(parts)) => parts.clone(),
            _ => Vec::new(),
        }
    }

    /// Writes a stage without a quantizer of its own.
    pub(super) fn materialise(&mut self, stage: &Stage<'a>) -> Vec<Part> {
        let elements: Vec<usize> = (0..self.model.len_of(stage.value)).filter(|&e| self.live[stage.value][e]).collect();
        let written = if matches!(stage.base, Base::Copy) {
            self.copy(stage, None)
        } else if elements.is_empty() {
            Ok(Vec::new())
        } else {
            let name = self.name_of_whole(stage.value, &elements);
            self.linear(stage, &[self.exact(stage.value, elements, name)])
        };
        self.or_fault(&stage.node, stage.value, written)
    }

    fn or_fault(&mut self, node: &str, value: ValueId, written: Result<Vec<Part>, Reason>) -> Vec<Part> {
        written.unwrap_or_else(|reason| {
            self.faults.push(Fault { node: node.to_string(), reason });
            self.placeholder(value)
        })
    }

    /// Stands for a value that cannot be written, so that the walk finds the other faults.
    fn placeholder(&self, value: ValueId) -> Vec<Part> {
        vec![Part::new(String::new(), (0..self.model.len_of(value)).collect(), false)]
    }

    /// The group of an exact wide `Quant`.
    pub(super) fn exact(&self, value: ValueId, elements: Vec<usize>, name: Option<String>) -> Group {
        let kif = covering(elements.iter().map(|&e| &self.spans[value][e]));
        Group::exact(elements, kif, name)
    }

    /// The name of the model output that one tensor with `elements` is, if it is one.
    pub(super) fn name_of_whole(&self, value: ValueId, elements: &[usize]) -> Option<String> {
        if !elements.iter().copied().eq(0..self.model.len_of(value)) {
            return None;
        }
        self.flat_outputs.iter().find(|(v, _)| *v == value).map(|(_, name)| name.clone())
    }

    fn output(&mut self, value: ValueId, name: &str) {
        let len = self.model.len_of(value);
        let mut parts = self.parts(value);
        let flat = self.model.values[value].shape.len() == 1;
        if !matches!(&parts[..], [p] if p.is_whole(len)) || (flat && parts[0].tensor != name) {
            // constants filled in, order restored
            let stage = Stage {
                node: name.to_string(),
                source: value,
                base: Base::Select,
                base_value: value,
                affine: None,
                activation: None,
                value,
                parts,
            };
            let group = self.exact(value, (0..len).collect(), flat.then(|| name.to_string()));
            let written = match &stage.parts[..] {
                [p] if p.is_whole(len) => self.copy(&Stage { base: Base::Copy, ..stage.clone() }, Some(&[group])),
                _ => self.linear(&stage, &[group]),
            };
            parts = self.or_fault(name, value, written);
        }
        if let (false, Some(part)) = (flat, parts.first()) {
            let shape = [&[1], &self.model.values[value].shape[..]].concat();
            self.b.reshape(part.tensor.clone(), name.to_string(), &shape);
        }
    }
}
