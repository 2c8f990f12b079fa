//! `Graph → Model`: a quantizer on every weight, bias and activation, from the file's annotations
//! or with HGQ's start.
//!
//! * An annotation is taken over; with `training` off nothing is added that would change a value.
//! * A float tensor starts at absolute fractional bits (`f_w = f_a = 4`, docs/recipe.md#start);
//!   activations and the input saturate at trainable integer bits that cover the data; outputs keep
//!   a traced range (HGQ v1).

mod constants;
mod hgq2;
mod place;
mod pooling;
pub mod rule;

use crate::diagnostic::{Code, Diagnostic};
pub use hgq2::Hgq2;
pub use rule::{Learns, Rule, Settings, matches, settings};

use super::exact::MinMax;
use super::groups::Groups;
use super::model::{Model, QOp};
use super::{Rounding, qonnx};
use crate::graph::channels::per_channel;
use crate::graph::{Affine, Dense, Graph, Node, Op, ValueId};
use crate::ops::{Elementwise, Move};

/// How to build.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    pub training: bool,
    pub rounding: Rounding,
    /// Output positions of a convolution that are computed in parallel; `None`: all.
    pub parallel_factor: Option<usize>,
    /// Settings by the names of nodes.
    pub rules: Vec<Rule>,
}

/// A model and what had to be decided on the way.
#[derive(Clone, Debug)]
pub struct Built {
    pub model: Model,
    pub notes: Vec<Diagnostic>,
    /// True when the file has quantization annotations.
    pub annotated: bool,
    /// What the rules say of the model's nodes, one for each.
    pub settings: Vec<Settings>,
}

/// A node that cannot carry a quantizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildFault {
    pub node: String,
    pub op: &'static str,
    pub reason: String,
}

const SCALE_MOVED: &str =
    "its scale is not a power of two: the factor to one went into the weights around it, the thresholds are the same";
const ACTIVATIONS_NOT_ANNOTATED: &str =
    "weights are quantized in the file, activations are not: these get quantizers as in a float file";

/// Builds the trainable model. `ranges[value]`: smallest and largest value of each element of each
/// graph value on the data.
///
/// # Errors
/// Every node that cannot be quantized.
pub fn build(graph: &Graph, ranges: &[MinMax], options: &BuildOptions) -> Result<Built, Vec<BuildFault>> {
    let rescaled = super::rescale::rescale(graph, ranges);
    let mut options = options.clone();
    let frozen = Some(Learns { weights: false, bits: false });
    options.rules.extend(rescaled.frozen.into_iter().map(|name| Rule { learns: frozen, ..Rule::new(name) }));
    let mut built = build_rescaled(&rescaled.graph, &rescaled.ranges, &options)?;
    built.notes.extend(rescaled.moved.into_iter().map(|node| Diagnostic::at(Code::ScaleMoved, node, SCALE_MOVED)));
    Ok(built)
}

/// Whether the file has quantization annotations.
pub fn is_annotated(graph: &Graph) -> bool {
    let of = |op: &Op| matches!(op, Op::Dense(d) if d.weight_quant.is_some() || d.bias_quant.is_some());
    has_activations(graph) || graph.nodes.iter().any(|n| of(&n.op))
}

/// Whether the file says how activations are quantized. Files whose weights alone are annotated say
/// nothing of them: they get quantizers as those of a float file.
pub fn has_activations(graph: &Graph) -> bool {
    graph.nodes.iter().any(|n| matches!(n.op, Op::Quant(_) | Op::Sign))
}

/// Puts HGQ2's quantizers in place of those that `built` trains.
pub fn with_hgq2(built: &mut Built, how: Hgq2) {
    hgq2::replace(&mut built.model, how);
}

fn build_rescaled(graph: &Graph, ranges: &[MinMax], options: &BuildOptions) -> Result<Built, Vec<BuildFault>> {
    let annotated = is_annotated(graph);
    let mut b = Builder {
        graph,
        ranges,
        options,
        takes_over: has_activations(graph),
        model: Model {
            name: graph.name.clone(),
            values: graph.values.clone(),
            nodes: Vec::new(),
            inputs: graph.inputs.clone(),
            outputs: Vec::new(),
        },
        current: (0..graph.values.len()).collect(),
        notes: Vec::new(),
        faults: Vec::new(),
    };
    if annotated && !b.takes_over {
        b.notes.push(Diagnostic::at(Code::ActivationsNotAnnotated, "(graph)", ACTIVATIONS_NOT_ANNOTATED));
    }
    for &input in &graph.inputs {
        // after a reshape the input may have a width per element
        if !b.is_quantized_next(input) && !b.only_reshaped(input) {
            b.input_quantizer(input, input);
        }
    }
    let mut index = 0;
    while index < graph.nodes.len() {
        index += b.node(index);
    }
    b.model.outputs = graph.outputs.iter().map(|&o| b.current[o]).collect();
    if !b.faults.is_empty() {
        return Err(b.faults);
    }
    let settings = b.model.nodes.iter().map(|n| rule::settings(&b.options.rules, &[&n.name])).collect();
    Ok(Built { model: b.model, notes: b.notes, annotated, settings })
}

struct Builder<'a> {
    graph: &'a Graph,
    ranges: &'a [MinMax],
    options: &'a BuildOptions,
    /// The activations' quantizers are those of the file.
    takes_over: bool,
    model: Model,
    /// Graph value → model value that stands for it.
    current: Vec<ValueId>,
    notes: Vec<Diagnostic>,
    faults: Vec<BuildFault>,
}

impl Builder<'_> {
    /// Handles node `index` and returns how many nodes it took.
    fn node(&mut self, index: usize) -> usize {
        let graph = self.graph;
        let node = &graph.nodes[index];
        let mut taken = 1;
        match &node.op {
            Op::Dense(d) => taken = self.layer(index, node, d),
            Op::Affine(a) => self.scale(node, a),
            Op::Quant(spec) => match qonnx::activation(spec, self.nonnegative(node.inputs[0])) {
                Ok(a) => {
                    let q = self.annotated_quantizer(node, a);
                    self.push(node, QOp::Quantizer(q), node.output);
                }
                Err(reason) => self.fault(node, reason),
            },
            Op::Elementwise(function) => self.elementwise(node, *function),
            Op::Softmax { .. } => {
                self.note(Code::SoftmaxDropped, node, "Softmax is left off: the proxy's outputs are the logits".into());
                self.current[node.output] = self.current[node.inputs[0]];
            }
            Op::Move(Move::Reshape) => {
                let from = node.inputs[0];
                self.push(node, QOp::Move(Move::Reshape), node.output);
                if graph.inputs.contains(&from) && self.only_reshaped(from) && !self.is_quantized_next(from) {
                    self.input_quantizer(from, node.output);
                } else if !self.is_quantized(from) {
                    self.quantize_output(node.output, node);
                }
            }
            Op::Sign => self.push(node, QOp::Sign, node.output),
            Op::MaxPool(window) => {
                self.push(node, QOp::MaxPool(window.clone()), node.output);
                self.quantize_output(node.output, node);
            }
            Op::AveragePool { window, divisor } => {
                let pool = self.average_pool(node, window, *divisor);
                self.push(node, QOp::AveragePool(pool), node.output);
                self.quantize_if_needed(node.output, node);
            }
            Op::Merge(merge) => {
                self.push(node, QOp::Merge(*merge), node.output);
                self.quantize_if_needed(node.output, node);
            }
            Op::Move(Move::Permute { .. }) => self.fault(node, "a permutation that no dense layer absorbs".into()),
            Op::Move(m @ (Move::Concat { .. } | Move::Pad { .. } | Move::Select { .. })) => {
                self.push(node, QOp::Move(m.clone()), node.output);
                self.quantize_output(node.output, node);
            }
            Op::Clip { .. } => self.fault(node, "a bound that no pass has lowered".into()),
        }
        taken
    }

    /// A dense layer or convolution, and how many nodes it took.
    fn layer(&mut self, index: usize, node: &Node<Op>, d: &Dense) -> usize {
        let graph = self.graph;
        // while training, a scale after annotated weights is folded into them and trained with
        // them
        let fold = if self.options.training { following_affine(graph, index) } else { None };
        if let Some((next, affine)) = fold {
            let folded = self.dense(node, d, Some(affine));
            let output = self.graph.nodes[next].output;
            self.push(node, folded, output);
            self.quantize_if_needed(output, node);
            1 + (next - index)
        } else {
            let dense = self.dense(node, d, None);
            self.push(node, dense, node.output);
            self.quantize_if_needed(node.output, node);
            1
        }
    }

    fn scale(&mut self, node: &Node<Op>, a: &Affine) {
        let graph = self.graph;
        let affine = self.affine(node, a);
        let sign = graph.producer(node.inputs[0]).is_some_and(|p| graph.nodes[p].op == Op::Sign);
        let two_valued = sign.then(|| self.two_valued(node.output, &affine, &node.name)).flatten();
        self.push(node, QOp::Affine(affine), node.output);
        match two_valued {
            Some(q) => self.insert(node.output, q, &node.name),
            None => self.quantize_if_needed(node.output, node),
        }
    }

    /// The function that hls4ml has for it, between the quantizers that it needs.
    fn elementwise(&mut self, node: &Node<Op>, asked: Elementwise) {
        let function = match asked.in_hls4ml() {
            Ok(function) => function,
            Err(reason) => return self.fault(node, reason),
        };
        if let (Some(asked), Some(kept)) = (asked.alpha(), function.alpha())
            && asked != kept
        {
            let message = format!("alpha {asked} became {kept}: hls4ml keeps eight bits of it");
            self.note(Code::AlphaRounded, node, message);
        }
        if function.reads_quantized() {
            self.table_input(node, function);
        }
        self.push(node, QOp::Elementwise(function), node.output);
        self.quantize_if_needed(node.output, node);
    }

    fn push(&mut self, node: &Node<Op>, op: QOp, output: ValueId) {
        let inputs = node.inputs.iter().map(|&i| self.current[i]).collect();
        self.model.nodes.push(Node { name: node.name.clone(), op, inputs, output });
        self.current[output] = output;
    }

    fn fault(&mut self, node: &Node<Op>, reason: String) {
        self.faults.push(BuildFault { node: node.name.clone(), op: node.op.kind(), reason });
        self.current[node.output] = node.output;
    }

    fn note(&mut self, code: Code, node: &Node<Op>, message: String) {
        self.notes.push(Diagnostic::at(code, &node.name, message));
    }

    /// Settings of node `name`, of its quantizer too.
    fn settings(&self, name: &str) -> Settings {
        rule::settings(&self.options.rules, &[name, &quantizer_name(name)])
    }

    /// True when every reader of `value` is an annotation, through shapes.
    fn is_quantized_next(&self, value: ValueId) -> bool {
        let consumers = self.graph.consumers(value);
        !consumers.is_empty()
            && !self.graph.outputs.contains(&value)
            && consumers.iter().all(|&c| {
                let node = &self.graph.nodes[c];
                let reshapes = matches!(node.op, Op::Move(Move::Reshape));
                matches!(node.op, Op::Quant(_)) || reshapes && self.is_quantized_next(node.output)
            })
    }

    /// True when `value` has a quantizer, through shapes.
    fn is_quantized(&self, value: ValueId) -> bool {
        let current = self.current[value];
        self.model.nodes.iter().rfind(|n| n.output == current).is_none_or(|n| {
            let reshaped = matches!(n.op, QOp::Move(Move::Reshape)) && self.is_quantized(n.inputs[0]);
            reshaped || matches!(n.op, QOp::Quantizer(_))
        })
    }

    /// True when a reshape is all that reads a graph input of several axes.
    fn only_reshaped(&self, value: ValueId) -> bool {
        let sole = matches!(self.graph.consumers(value)[..], [c] if matches!(self.graph.nodes[c].op, Op::Move(Move::Reshape)));
        sole && !self.graph.outputs.contains(&value)
    }

    /// True when `value` is never negative: after a Relu or a Sigmoid.
    fn nonnegative(&self, value: ValueId) -> bool {
        let Some(node) = self.graph.producer(value).map(|p| &self.graph.nodes[p]) else { return false };
        let all = || node.inputs.iter().all(|&v| self.nonnegative(v));
        match &node.op {
            Op::Elementwise(f) => f.is_never_negative(),
            Op::Softmax { .. } => true,
            Op::Quant(_) | Op::MaxPool(_) | Op::AveragePool { .. } | Op::Move(_) => all(),
            Op::Merge(m) => m.keeps_sign() && all(),
            Op::Dense(_) | Op::Affine(_) | Op::Sign | Op::Clip { .. } => false,
        }
    }
}

/// Name of the quantizer that is put after node `after`.
fn quantizer_name(after: &str) -> String {
    format!("{after}_q")
}

/// A scale after dense layer `index` that only it reads.
fn following_affine(graph: &Graph, index: usize) -> Option<(usize, &Affine)> {
    let output = graph.nodes[index].output;
    if graph.outputs.contains(&output) {
        return None;
    }
    let next = index + 1;
    if graph.consumers(output) != [next] {
        return None;
    }
    let (Op::Affine(a), Op::Dense(d)) = (&graph.nodes[next].op, &graph.nodes[index].op) else { return None };
    // a scale that differs between the positions of a channel is not a scale of the weights
    let alike = |v: &[f64]| per_channel(v, d.outputs).is_some();
    (alike(&a.scale) && alike(&a.shift)).then_some((next, a))
}

/// True when all elements of each group agree.
fn uniform<T: PartialEq + Copy>(groups: &Groups, elements: &[T]) -> bool {
    let mut first: Vec<Option<T>> = vec![None; groups.count()];
    elements.iter().enumerate().all(|(e, &v)| *first[groups.of(e)].get_or_insert(v) == v)
}
