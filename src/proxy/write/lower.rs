//! Walks the exact model and decides what is written when: a dense layer, a convolution or an
//! activation waits until the quantizer after it is known (one hls4ml layer); whatever has another
//! reader gets an exact wide `Quant` first, since stock hls4ml merges a `Quant` into an
//! un-quantised producer without looking at its other readers.

use super::build::Builder;
use super::constant::covering;
use super::part::{Base, Group, NOWHERE, Part, Stage, State, lead_behind, lead_of, only, shape};
use super::{readers, repack, tensor_names};
use crate::diagnostic::{Code, Diagnostic};
use crate::graph::{Node, ValueId};
use crate::onnx::proto::ModelProto;
use crate::ops::{Elementwise, Move};
use crate::proxy::analysis::layout;
use crate::proxy::error::{Fault, Reason};
use crate::proxy::form::Form;
use crate::proxy::target::{Io, Target};
use crate::quant::interval::Span;
use crate::quant::{FixedAffine, FixedModel, FixedOp, FixedQuantizer, FixedTensor, Kif};
use std::rc::Rc;

/// The written graph.
pub struct Lowered {
    pub model: ModelProto,
    pub warnings: Vec<Diagnostic>,
    /// For each output of the file: its place among the outputs of the exact model.
    pub output_order: Vec<usize>,
}

/// The state of the walk.
pub struct Lower<'a> {
    pub(super) model: &'a FixedModel,
    pub(super) form: Form,
    pub(super) target: Target,
    /// Per value and unit (see [`layout`]).
    pub(super) spans: Vec<Vec<Span>>,
    pub(super) live: Vec<Vec<bool>>,
    /// Positions of each value.
    pub(super) leads: Vec<Vec<usize>>,
    pub(super) b: Builder,
    pub(super) faults: Vec<Fault>,
    /// The model inputs; the first one is also the operand of layers that read nothing.
    pub(super) raws: Vec<Part>,
    pub(super) states: Vec<Option<State<'a>>>,
    /// Reserved names of the outputs whose tensors have the output's shape.
    named_outputs: Vec<(ValueId, String)>,
}

/// Writes the graph. `units` are the spans per unit of `model`'s values, `live` flags per element,
/// `port` is that of the inputs.
///
/// # Errors
/// All faults.
pub fn lower(
    model: &FixedModel,
    form: Form,
    target: Target,
    port: Kif,
    units: Vec<Vec<Span>>,
    live: &[Vec<bool>],
) -> Result<Lowered, Vec<Fault>> {
    let structure = |what: &str| Err(vec![Fault { node: "(graph)".into(), reason: Reason::Structure(what.to_string()) }]);
    let twice = |list: &[ValueId]| list.iter().enumerate().any(|(at, v)| list[..at].contains(v));
    if model.inputs.is_empty() || twice(&model.inputs) {
        return structure("a proxy has at least one input, each listed once");
    }
    if model.outputs.is_empty() || twice(&model.outputs) {
        return structure("a proxy has at least one output, each listed once");
    }
    if model.values.iter().any(|v| v.is_empty()) {
        return structure("a value has no elements");
    }
    let mut b = Builder::default();
    let input_names: Vec<String> = model.inputs.iter().map(|&i| b.name(&model.values[i].name)).collect();
    let names: Vec<String> = model.outputs.iter().map(|&o| b.name(&model.values[o].name)).collect();
    let grids = layout::grids(model);
    let leads = layout::leads(model, &grids);
    let live = live.iter().zip(&units).map(|(l, u)| layout::unit_flags(l, u.len())).collect();
    let fitting = |v: ValueId| grids[v] || model.values[v].shape.len() == 1;
    let named_outputs = model.outputs.iter().copied().zip(names.iter().cloned()).filter(|(v, _)| fitting(*v)).collect();
    let states = vec![None; model.values.len()];
    let mut walk =
        Lower { model, form, target, spans: units, live, leads, b, faults: Vec::new(), raws: Vec::new(), states, named_outputs };
    for (&input, name) in model.inputs.iter().zip(&input_names) {
        walk.input(input, name);
    }
    for node in &model.nodes {
        walk.node(node);
    }
    for (&value, name) in model.outputs.iter().zip(&names) {
        walk.output(value, name);
    }
    if !walk.faults.is_empty() {
        return Err(walk.faults);
    }
    let mut b = walk.b;
    if target.io == Io::Stream {
        let shaped = |(name, &v): (&String, &ValueId)| (name.clone(), [&[1], &model.values[v].shape[..]].concat());
        let inputs: Vec<_> = input_names.iter().zip(&model.inputs).map(shaped).collect();
        readers::limit(&mut b, &inputs, &names, port).map_err(|reason| vec![Fault { node: "(graph)".into(), reason }])?;
        repack::flattened(&mut b);
    }
    Ok(finish(b, model, input_names, names))
}

/// The file of the nodes written, with the names of the model's inputs and outputs, and all other
/// tensors named after hls4ml's layers. hls4ml numbers outputs by the node that writes them: they
/// are listed in that order.
pub fn finish(mut b: Builder, model: &FixedModel, input_names: Vec<String>, output_names: Vec<String>) -> Lowered {
    tensor_names::after_layers(&mut b, &output_names);
    let batched = |v: ValueId| [&[1], &model.values[v].shape[..]].concat();
    let mut outputs: Vec<(usize, usize, String, Vec<usize>)> = Vec::new();
    for (at, (&value, name)) in model.outputs.iter().zip(output_names).enumerate() {
        outputs.push((b.position(&name).unwrap_or(0), at, name, batched(value)));
    }
    let mut warnings = Vec::new();
    if !outputs.is_sorted_by_key(|o| o.0) {
        outputs.sort_by_key(|o| o.0);
        let order = outputs.iter().map(|o| o.2.as_str()).collect::<Vec<_>>().join(", ");
        warnings.push(Diagnostic::at(Code::OutputOrder, "(graph)", format!("outputs are now in node order: {order}")));
    }
    let output_order = outputs.iter().map(|o| o.1).collect();
    let outputs: Vec<_> = outputs.into_iter().map(|(_, _, name, shape)| (name, shape)).collect();
    let inputs: Vec<_> = input_names.into_iter().zip(&model.inputs).map(|(name, &v)| (name, batched(v))).collect();
    let title = crate::proxy::sanitize(if model.name.is_empty() { "proxy_graph" } else { &model.name });
    Lowered { model: b.finish(&title, &inputs, &outputs), warnings, output_order }
}

impl<'a> Lower<'a> {
    fn node(&mut self, node: &'a Node<FixedOp>) {
        let state = self.written(node).unwrap_or_else(|reason| {
            self.faults.push(Fault { node: node.name.clone(), reason });
            State::Parts(self.placeholder(node.output))
        });
        let shared = self.model.outputs.contains(&node.output) || self.model.consumers(node.output).len() != 1;
        self.states[node.output] = Some(state);
        if shared {
            self.partial(node.output);
        }
    }

    fn written(&mut self, node: &'a Node<FixedOp>) -> Result<State<'a>, Reason> {
        let several = || Err(Reason::Structure(format!("reads {} values", node.inputs.len())));
        if let FixedOp::Move(Move::Concat { axis }) = node.op {
            return self.join(node, axis).map(State::Parts);
        }
        if let FixedOp::Merge(merge) = node.op {
            let &[a, b] = &node.inputs[..] else { return several() };
            return self.merge(node, merge, a, b).map(State::Parts);
        }
        let &[source] = &node.inputs[..] else { return several() };
        self.state_of(node, source)
    }

    fn state_of(&mut self, node: &'a Node<FixedOp>, source: ValueId) -> Result<State<'a>, Reason> {
        match &node.op {
            FixedOp::Quantize(q) => {
                let formats = q.formats[..self.spans[node.output].len()].to_vec();
                Ok(State::Parts(self.quantize(node, &FixedQuantizer { formats, offset: q.offset.clone(), ..*q }, source)?))
            }
            FixedOp::Dense(d) => {
                let parts = self.partial(source);
                Ok(State::Pending(self.stage(node, source, parts, Base::Dense(d))))
            }
            FixedOp::Affine(a) => {
                let mut stage =
                    match self.pending_if(source, |s| s.affine.is_none() && s.activation.is_none() && s.pools.is_empty()) {
                        Some(stage) => Stage { value: node.output, ..stage },
                        None => self.copy_of(node, source),
                    };
                let units = self.spans[node.output].len();
                let of = |t: &FixedTensor| FixedTensor { ints: t.ints[..units].to_vec(), frac: t.frac };
                stage.affine = Some(Rc::new(FixedAffine { scale: of(&a.scale), shift: of(&a.shift) }));
                Ok(State::Pending(stage))
            }
            &FixedOp::Elementwise(function) => {
                checked(function)?;
                match function.reads_quantized() {
                    true => self.tabulate(node, source, function),
                    false => Ok(self.activate(node, source, function)),
                }
            }
            FixedOp::MaxPool(window) => self.max_pool(node, source, window),
            FixedOp::Move(Move::Pad { before, after }) => self.pad(node, source, before, after).map(State::Parts),
            FixedOp::Move(Move::Reshape) => self.reshape(node, source),
            FixedOp::Move(Move::Select { source: elements }) => self.select(node, source, elements).map(State::Parts),
            FixedOp::AveragePool(_) | FixedOp::Merge(_) | FixedOp::Move(Move::Concat { .. } | Move::Permute { .. }) => {
                Err(Reason::Structure("is not lowered as an operation on one value".into()))
            }
        }
    }

    pub(super) fn stage(&self, node: &Node<FixedOp>, source: ValueId, parts: Vec<Part>, base: Base<'a>) -> Stage<'a> {
        let base_value = if matches!(base, Base::Dense(_)) { node.output } else { source };
        let lead = match base {
            Base::Dense(d) => d.window.as_ref().map_or(Vec::new(), |w| lead_behind(w, &self.leads[source])),
            Base::Select => lead_of(&self.leads[source]),
            Base::Copy => self.leads[source].clone(),
        };
        Stage { base, base_value, lead, value: node.output, ..self.selection(&node.name, source, parts) }
    }

    /// A 0/1 matrix on (some parts of) a value that is written.
    pub(super) fn selection(&self, node: &str, value: ValueId, parts: Vec<Part>) -> Stage<'a> {
        Stage {
            node: node.to_string(),
            parts,
            source: value,
            base: Base::Select,
            base_value: value,
            affine: None,
            offset: None,
            activation: None,
            lead: lead_of(&self.leads[value]),
            pools: Vec::new(),
            value,
        }
    }

    /// One tensor of exactly `elements` of a value that is written as `parts`.
    pub(super) fn selected(
        &mut self,
        node: &str,
        value: ValueId,
        parts: Vec<Part>,
        elements: Vec<usize>,
    ) -> Result<Part, Reason> {
        let stage = self.selection(node, value, parts);
        let group = self.exact(value, elements, None);
        only(self.linear(&stage, &[group])?)
    }

    fn copy_of(&mut self, node: &Node<FixedOp>, source: ValueId) -> Stage<'a> {
        let parts = self.parts(source);
        self.stage(node, source, parts, Base::Copy)
    }

    fn activate(&mut self, node: &Node<FixedOp>, source: ValueId, activation: Elementwise) -> State<'a> {
        let mut stage = match self.pending_if(source, |s| s.activation.is_none()) {
            Some(stage) => Stage { value: node.output, ..stage },
            None => self.copy_of(node, source),
        };
        stage.activation = Some(activation);
        State::Pending(stage)
    }

    fn tabulate(&mut self, node: &Node<FixedOp>, source: ValueId, function: Elementwise) -> Result<State<'a>, Reason> {
        let found = (0..self.spans[source].len())
            .filter(|&e| self.live[node.output][e])
            .map(|e| self.spans[source][e].frac)
            .max()
            .unwrap_or(0);
        if let Some(limit) = function.max_input_frac().filter(|&limit| found > limit) {
            return Err(Reason::TableInput { function: function.onnx(), limit, found });
        }
        let mut stage = self.copy_of(node, source);
        stage.activation = Some(function);
        Ok(State::Pending(stage))
    }

    /// Takes the layer that waits at `value`, if one does.
    pub(super) fn pending(&mut self, value: ValueId) -> Option<Stage<'a>> {
        self.pending_if(value, |_| true)
    }

    pub(super) fn pending_if(&mut self, value: ValueId, fits: impl Fn(&Stage<'a>) -> bool) -> Option<Stage<'a>> {
        match self.states[value].take() {
            Some(State::Pending(stage)) if fits(&stage) => Some(stage),
            other => {
                self.states[value] = other;
                None
            }
        }
    }

    /// The tensors of `value`; a layer that waits is written with an exact wide `Quant` after it.
    pub(super) fn parts(&mut self, value: ValueId) -> Vec<Part> {
        let parts = self.partial(value);
        if !parts.iter().any(|p| p.elements.contains(&NOWHERE)) {
            return parts;
        }
        let whole = parts.into_iter().map(|part| self.without_nowhere(value, part)).collect();
        let name = self.model.values[value].name.clone();
        let whole = self.or_fault(&name, value, whole);
        self.states[value] = Some(State::Parts(whole.clone()));
        whole
    }

    /// Writes a stage without a quantizer of its own.
    pub(super) fn materialise(&mut self, stage: &Stage<'a>) -> Vec<Part> {
        let elements = self.live_units(stage.value);
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

    pub(super) fn or_fault(&mut self, node: &str, value: ValueId, written: Result<Vec<Part>, Reason>) -> Vec<Part> {
        written.unwrap_or_else(|reason| {
            self.faults.push(Fault { node: node.to_string(), reason });
            self.placeholder(value)
        })
    }

    /// Stands for a value that cannot be written, so that the walk finds the other faults.
    fn placeholder(&self, value: ValueId) -> Vec<Part> {
        vec![Part::new(String::new(), &self.leads[value], (0..self.spans[value].len()).collect(), false, true)]
    }

    /// The units of `value` that must exist.
    pub(super) fn live_units(&self, value: ValueId) -> Vec<usize> {
        (0..self.live[value].len()).filter(|&e| self.live[value][e]).collect()
    }

    /// The shape of a tensor of some units of `value`, batch included.
    pub(super) fn shape_of(&self, value: ValueId, units: usize) -> Vec<usize> {
        shape(&self.leads[value], units)
    }

    /// The group of an exact wide `Quant`.
    pub(super) fn exact(&self, value: ValueId, elements: Vec<usize>, name: Option<String>) -> Group {
        let kif = covering(elements.iter().map(|&e| &self.spans[value][e]));
        Group::exact(elements, kif, name)
    }

    /// The name of the model output that one tensor with `elements` is, if it is one.
    pub(super) fn name_of_whole(&self, value: ValueId, elements: &[usize]) -> Option<String> {
        if !elements.iter().copied().eq(0..self.spans[value].len()) {
            return None;
        }
        self.named_outputs.iter().find(|(v, _)| *v == value).map(|(_, name)| name.clone())
    }
}

/// Refuses a function with another parameter than hls4ml keeps.
pub fn checked(function: Elementwise) -> Result<(), Reason> {
    let refused = |what| Err(Reason::Parameter { function: function.onnx(), what });
    match function.in_hls4ml() {
        Ok(kept) if kept == function => Ok(()),
        Ok(_) => refused("its parameter has more bits than hls4ml keeps".into()),
        Err(what) => refused(what),
    }
}
