//! `Graph → Model`: a quantizer on every weight, bias and activation, from the file's annotations or with HGQ's start.
//!
//! * An annotation is taken over; with `training` off nothing is added that would change a value.
//! * A float tensor starts at absolute fractional bits (training recipe: `f_w = f_a = 4`); activations and the input saturate at
//!   trainable integer bits that cover the data; outputs keep a traced range (HGQ v1).

use super::exact::MinMax;
use super::groups::{Granularity, Groups};
use super::kif::{Kif, floor_log2};
use super::model::{BiasBits, Declared, FixedAffine, FixedTensor, Model, QDense, QOp, Quantizer, Range, fractional_bits};
use super::qonnx;
use super::rounding::Rounding;
use super::table::Kind;
use crate::graph::{Affine, Dense, Graph, Node, Op, ValueId};

/// Finest grid of an input: hls4ml's default port `fixed<32,16>` truncates to `2^-16`, and rounding half up needs one bit more.
pub const INPUT_MAX_F: f32 = 15.0;
/// Finest grid in general (spec A1.1).
const MAX_F: f32 = 23.0;
/// Fractional bits kept of a float bias or shift: far below the step of any accumulator that fits the executor.
const MAX_CONSTANT_F: i32 = 32;
/// The same where training moves the constant anyway.
const TRAINED_CONSTANT_F: i32 = 12;
/// Fractional bits kept of a float scale (BatchNormalization behind annotated weights).
const MAX_SCALE_F: i32 = 26;
/// Integer bits of a unit that the data never drive (training recipe).
const DEAD_UNIT_I: f32 = -2.0;

/// How to build.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    pub training: bool,
    pub weights: Granularity,
    pub activations: Granularity,
    pub init_weight_f: f32,
    pub init_activation_f: f32,
    pub rounding: Rounding,
    /// Node names whose parameters stay; `*` at the end matches a prefix.
    pub freeze: Vec<String>,
}

/// A model and what had to be decided on the way.
#[derive(Clone, Debug)]
pub struct Built {
    pub model: Model,
    pub notes: Vec<BuildNote>,
    /// True when the file has quantization annotations.
    pub annotated: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildNote {
    pub code: &'static str,
    pub node: String,
    pub message: String,
}

/// A node that cannot carry a quantizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildFault {
    pub node: String,
    pub op: &'static str,
    pub reason: String,
}

/// Builds the trainable model. `ranges[value]`: smallest and largest value of each element of each graph value on the data.
///
/// # Errors
/// Every node that cannot be quantized.
pub fn build(graph: &Graph, ranges: &[MinMax], options: &BuildOptions) -> Result<Built, Vec<BuildFault>> {
    let rescaled = super::rescale::rescale(graph, ranges);
    let mut options = options.clone();
    options.freeze.extend(rescaled.frozen);
    let mut built = build_rescaled(&rescaled.graph, &rescaled.ranges, &options)?;
    built.notes.extend(rescaled.moved.into_iter().map(|node| BuildNote {
        code: "scale_moved",
        node,
        message:
            "its scale is no power of two: the factor to one went into the weights around it, the thresholds are the same".into(),
    }));
    Ok(built)
}

fn build_rescaled(graph: &Graph, ranges: &[MinMax], options: &BuildOptions) -> Result<Built, Vec<BuildFault>> {
    let annotated = graph.nodes.iter().any(|n| match &n.op {
        Op::Quant(_) => true,
        Op::Dense(d) => d.weight_quant.is_some() || d.bias_quant.is_some(),
        _ => false,
    });
    let mut b = Builder {
        graph,
        ranges,
        options,
        annotated,
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
    for &input in &graph.inputs {
        if !b.is_quantized_next(input) {
            b.input_quantizer(input);
        }
    }
    let mut index = 0;
    while index < graph.nodes.len() {
        index += b.node(index);
    }
    b.model.outputs = graph.outputs.iter().map(|&o| b.current[o]).collect();
    if b.faults.is_empty() { Ok(Built { model: b.model, notes: b.notes, annotated }) } else { Err(b.faults) }
}

struct Builder<'a> {
    graph: &'a Graph,
    ranges: &'a [MinMax],
    options: &'a BuildOptions,
    annotated: bool,
    model: Model,
    /// Graph value → model value that stands for it.
    current: Vec<ValueId>,
    notes: Vec<BuildNote>,
    faults: Vec<BuildFault>,
}

impl Builder<'_> {
    /// Handles node `index` and returns how many nodes it took.
    fn node(&mut self, index: usize) -> usize {
        let graph = self.graph;
        let node = &graph.nodes[index];
        let mut taken = 1;
        match &node.op {
            Op::Dense(d) => {
                // while training, a scale behind annotated weights is folded into them and trained with them
                let fold = if self.options.training { following_affine(graph, index) } else { None };
                if let Some((next, affine)) = fold {
                    let folded = self.dense(node, d, Some(affine));
                    let output = self.graph.nodes[next].output;
                    self.push(node, folded, output);
                    taken = 1 + (next - index);
                    self.quantize_if_needed(output, node);
                } else {
                    let dense = self.dense(node, d, None);
                    self.push(node, dense, node.output);
                    self.quantize_if_needed(node.output, node);
                }
            }
            Op::Affine(a) => {
                let affine = QOp::Affine(self.affine(node, a));
                self.push(node, affine, node.output);
                self.quantize_if_needed(node.output, node);
            }
            Op::Quant(spec) => match qonnx::activation(spec, self.nonnegative(node.inputs[0])) {
                Ok(a) => {
                    let q = self.annotated_quantizer(node, a);
                    self.push(node, QOp::Quantizer(q), node.output);
                }
                Err(reason) => self.fault(node, reason),
            },
            Op::Relu => {
                self.push(node, QOp::Relu, node.output);
                self.quantize_if_needed(node.output, node);
            }
            Op::LeakyRelu { alpha } => {
                if !(*alpha > 0.0 && *alpha < 16.0 && *alpha > 1e-6) {
                    self.fault(node, format!("slope {alpha} is not between 1e-6 and 16"));
                    return 1;
                }
                let log2_slope = alpha.log2().round() as i32;
                if (log2_slope as f32).exp2() != *alpha {
                    self.note(
                        "leaky_relu_slope",
                        node,
                        format!("slope {alpha} became 2^{log2_slope}: hls4ml is exact for powers of two only"),
                    );
                }
                self.push(node, QOp::LeakyRelu { log2_slope }, node.output);
                self.quantize_if_needed(node.output, node);
            }
            Op::Sigmoid | Op::Tanh => {
                let (op, kind) =
                    if matches!(node.op, Op::Sigmoid) { (QOp::Sigmoid, Kind::Sigmoid) } else { (QOp::Tanh, Kind::Tanh) };
                self.table_input(node, kind);
                self.push(node, op, node.output);
                self.quantize_if_needed(node.output, node);
            }
            Op::Softmax => {
                self.note("softmax_dropped", node, "Softmax is left off: the proxy's outputs are the logits".into());
                self.current[node.output] = self.current[node.inputs[0]];
            }
            Op::Reshape => self.push(node, QOp::Reshape, node.output),
            Op::Permute { .. } => self.fault(node, "a permutation that no dense layer absorbs".into()),
        }
        taken
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

    fn note(&mut self, code: &'static str, node: &Node<Op>, message: String) {
        self.notes.push(BuildNote { code, node: node.name.clone(), message });
    }

    fn frozen(&self, name: &str) -> bool {
        self.options.freeze.iter().any(|p| p.strip_suffix('*').map_or(p == name, |prefix| name.starts_with(prefix)))
    }

    /// True when every reader of `value` is an annotation, through shapes.
    fn is_quantized_next(&self, value: ValueId) -> bool {
        let consumers = self.graph.consumers(value);
        !consumers.is_empty()
            && !self.graph.outputs.contains(&value)
            && consumers.iter().all(|&c| match self.graph.nodes[c].op {
                Op::Quant(_) => true,
                Op::Reshape => self.is_quantized_next(self.graph.nodes[c].output),
                _ => false,
            })
    }

    /// True when `value` is never negative: behind a Relu or a Sigmoid.
    fn nonnegative(&self, value: ValueId) -> bool {
        self.graph.producer(value).is_some_and(|p| match &self.graph.nodes[p].op {
            Op::Relu | Op::Sigmoid | Op::Softmax => true,
            Op::Quant(_) | Op::Reshape => self.nonnegative(self.graph.nodes[p].inputs[0]),
            _ => false,
        })
    }

    /// Adds the quantizer that a float graph needs behind `value`: where an activation function ends, or in front of a product.
    fn quantize_if_needed(&mut self, value: ValueId, node: &Node<Op>) {
        let consumers = self.graph.consumers(value);
        let is_output =
            self.graph.outputs.contains(&value) || consumers.iter().any(|&c| matches!(self.graph.nodes[c].op, Op::Softmax));
        if self.annotated && (is_output || !self.options.training) {
            return;
        }
        let table = matches!(node.op, Op::Sigmoid | Op::Tanh);
        if is_output {
            let f =
                if table { self.options.init_activation_f.min(self.table_output_f()) } else { self.options.init_activation_f };
            let q = self.quantizer(value, f, Range::Traced, if table { self.table_output_f() } else { MAX_F });
            self.insert(value, q, &node.name);
            return;
        }
        let reaches_product = consumers.iter().any(|&c| self.needs_grid(c));
        if reaches_product {
            let nonnegative = self.nonnegative(value);
            let max_f = if table { self.table_output_f() } else { MAX_F };
            let q = self.saturating(value, self.options.init_activation_f.min(max_f), nonnegative, max_f);
            self.insert(value, q, &node.name);
        }
    }

    /// Half up through a table of 10 fractional bits leaves 9.
    fn table_output_f(&self) -> f32 {
        if self.options.rounding == Rounding::Floor { 10.0 } else { 9.0 }
    }

    fn needs_grid(&self, consumer: usize) -> bool {
        match self.graph.nodes[consumer].op {
            Op::Dense(_) | Op::Affine(_) => true,
            Op::Reshape => self.graph.consumers(self.graph.nodes[consumer].output).iter().any(|&c| self.needs_grid(c)),
            _ => false,
        }
    }

    /// Puts a quantizer behind graph value `value`; later readers see its output.
    fn insert(&mut self, value: ValueId, q: Quantizer, after: &str) {
        let name = format!("{}_q", self.graph.values[value].name);
        let output = self.model.add_value(name, self.graph.values[value].shape.clone());
        let trainable = q.trainable && !self.frozen(after);
        self.model.nodes.push(Node {
            name: format!("{after}_q"),
            op: QOp::Quantizer(Quantizer { trainable, ..q }),
            inputs: vec![self.current[value]],
            output,
        });
        self.current[value] = output;
    }

    fn quantizer(&self, value: ValueId, f: f32, range: Range, max_f: f32) -> Quantizer {
        let groups = Groups::new(self.options.activations, &self.graph.values[value].shape);
        Quantizer {
            f: vec![f; groups.count()],
            groups,
            range,
            rounding: self.options.rounding,
            max_f,
            trainable: true,
            annotated: false,
        }
    }

    /// A saturating quantizer whose integer bits cover the data (`i = ⌊log2 max⌋ + 1`).
    fn saturating(&self, value: ValueId, f: f32, nonnegative: bool, max_f: f32) -> Quantizer {
        let mut q = self.quantizer(value, f, Range::Traced, max_f);
        let (mut keep, mut top) = (vec![false; q.groups.count()], vec![0f64; q.groups.count()]);
        for e in 0..q.groups.elements() {
            let (g, min, max) = (q.groups.of(e), self.ranges[value].min[e], self.ranges[value].max[e]);
            keep[g] |= min < 0.0 && !nonnegative;
            top[g] = top[g].max(max).max(if nonnegative { 0.0 } else { -min });
        }
        let i = top.iter().map(|&t| if t > 0.0 && t.is_finite() { (floor_log2(t) + 1) as f32 } else { DEAD_UNIT_I }).collect();
        q.range = Range::Saturating { keep_negative: keep, i, symmetric: false };
        q
    }

    fn input_quantizer(&mut self, input: ValueId) {
        let name = self.graph.values[input].name.clone();
        if self.annotated && !self.options.training {
            // nothing annotated here: keep all that hls4ml's port keeps
            let q = self.wide_input(input);
            self.notes.push(BuildNote {
                code: "input_not_annotated",
                node: name.clone(),
                message: "the input has no quantizer: it is truncated to hls4ml's port, 16 fractional bits".into(),
            });
            self.insert(input, q, &name);
            return;
        }
        let q = self.saturating(input, self.options.init_activation_f.min(INPUT_MAX_F), false, INPUT_MAX_F);
        self.insert(input, q, &name);
    }

    fn wide_input(&self, input: ValueId) -> Quantizer {
        let n = self.graph.len_of(input);
        let i = (0..n)
            .map(|e| {
                let top = self.ranges[input].max[e].abs().max(self.ranges[input].min[e].abs());
                // one bit above the data: values a little beyond the calibration stay as they are
                if top > 0.0 && top.is_finite() { (floor_log2(top) + 2) as f32 } else { 1.0 }
            })
            .collect();
        Quantizer {
            f: vec![INPUT_MAX_F + 1.0; n],
            range: Range::Saturating { keep_negative: vec![true; n], i, symmetric: false },
            rounding: Rounding::Floor,
            max_f: INPUT_MAX_F + 1.0,
            trainable: false,
            annotated: true,
            groups: Groups::elementwise(n),
        }
    }

    /// A table takes inputs of 6 (sigmoid) or 7 (tanh) fractional bits: caps the quantizer before it, or adds one.
    fn table_input(&mut self, node: &Node<Op>, kind: Kind) {
        let limit = kind.max_input_frac() as f32;
        let value = node.inputs[0];
        let current = self.current[value];
        let before = self.model.nodes.iter().rposition(|n| n.output == current);
        if let Some(QOp::Quantizer(q)) = before.map(|b| &mut self.model.nodes[b].op) {
            let over = q.f.iter().any(|&f| f.round_ties_even() > limit);
            if over && !self.options.training {
                self.fault(
                    node,
                    format!("its input has more than {limit} fractional bits; hls4ml's table takes at most {limit}"),
                );
                return;
            }
            q.max_f = q.max_f.min(limit);
            q.f.iter_mut().for_each(|f| *f = f.min(limit));
        } else if self.annotated && !self.options.training {
            self.fault(node, format!("its input has no quantizer; put one with at most {limit} fractional bits before it"));
        } else {
            let q = self.saturating(value, self.options.init_activation_f.min(limit), false, limit);
            self.insert(value, q, &format!("{}_input", node.name));
        }
    }

    fn annotated_quantizer(&mut self, node: &Node<Op>, a: qonnx::Annotation) -> Quantizer {
        if !a.exact {
            self.note("scale_regridded", node, "its scale is no power of two: a finer power-of-two grid takes its place".into());
        }
        if a.ties_differ {
            self.note(
                "half_up_ties",
                node,
                "HALF_UP on signed values: exact negative ties go up (AP_RND), QONNX takes them away from zero".into(),
            );
        }
        let shape = &self.graph.values[node.output].shape;
        let wanted = Groups::new(self.options.activations, shape);
        let groups = if uniform(&wanted, &a.formats) { wanted } else { Groups::elementwise(a.formats.len()) };
        let mut first = vec![Kif::ZERO; groups.count()];
        for (e, &k) in a.formats.iter().enumerate() {
            first[groups.of(e)] = k;
        }
        let is_input = self.graph.inputs.contains(&node.inputs[0]);
        let max_f = if is_input && self.options.training {
            INPUT_MAX_F
        } else {
            MAX_F.max(first.iter().map(|k| k.fractional).max().unwrap_or(0) as f32)
        };
        Quantizer {
            f: first.iter().map(|k| k.fractional as f32).collect(),
            range: Range::Saturating {
                keep_negative: first.iter().map(|k| k.keep_negative).collect(),
                i: first.iter().map(|k| k.integer as f32).collect(),
                symmetric: a.symmetric,
            },
            rounding: a.rounding,
            max_f,
            trainable: self.options.training && !self.frozen(&node.name),
            annotated: true,
            groups,
        }
    }

    fn dense(&mut self, node: &Node<Op>, d: &Dense, fold: Option<&Affine>) -> QOp {
        let mut weight: Vec<f64> = d.weight.iter().map(|&w| w as f64).collect();
        let mut bias: Vec<f64> = d.bias.iter().map(|&b| b as f64).collect();
        let mut weight_f: Option<Vec<i32>> = None;
        let mut bias_f: Option<Vec<i32>> = None;
        let mut declared = None;
        if let Some(spec) = &d.weight_quant {
            match qonnx::constant(spec, &d.weight) {
                Ok(c) => {
                    if !c.exact {
                        self.note("scale_regridded", node, "the scale of its weights is no power of two: each weight gets a grid three bits finer than the annotated step".into());
                    }
                    (weight, weight_f) = (c.values, Some(c.f));
                    declared = Some(Declared { weight: c.declared, bias: vec![Kif::ZERO; d.outputs] });
                }
                Err(reason) => self.faults.push(BuildFault { node: spec.node.clone(), op: "Quant", reason }),
            }
        }
        if let Some(spec) = &d.bias_quant {
            match qonnx::constant(spec, &d.bias) {
                Ok(c) => {
                    if let Some(d) = &mut declared {
                        d.bias = c.declared;
                    }
                    (bias, bias_f) = (c.values, Some(c.f));
                }
                Err(reason) => self.faults.push(BuildFault { node: spec.node.clone(), op: "Quant", reason }),
            }
        }
        if let Some(a) = fold {
            for (e, w) in weight.iter_mut().enumerate() {
                let s = a.scale[e % d.outputs];
                *w *= s;
                if let (Some(f), true) = (&mut weight_f, s != 0.0) {
                    // a step finer than the folded one
                    f[e] += 1 - floor_log2(s.abs());
                }
            }
            for (o, b) in bias.iter_mut().enumerate() {
                *b = *b * a.scale[o] + a.shift[o];
            }
            (declared, bias_f) = (None, None);
        }
        let wanted = Groups::new(self.options.weights, &[d.inputs, d.outputs]);
        let init = self.options.init_weight_f;
        let (weight_groups, weight_f) = match weight_f {
            None => (wanted.clone(), vec![init; wanted.count()]),
            Some(f) if uniform(&wanted, &f) => {
                let mut grouped = vec![0.0; wanted.count()];
                for (e, &f) in f.iter().enumerate() {
                    grouped[wanted.of(e)] = f as f32;
                }
                (wanted, grouped)
            }
            Some(f) => (Groups::elementwise(f.len()), f.iter().map(|&f| f as f32).collect()),
        };
        let bias_bits = match bias_f {
            Some(f) => BiasBits::Own(f),
            None if self.trained_quantizer_follows(node) => BiasBits::Activation,
            None => {
                let most = if self.options.training { TRAINED_CONSTANT_F } else { MAX_CONSTANT_F };
                BiasBits::Own(bias.iter().map(|&b| own_bias_f(b).min(most)).collect())
            }
        };
        QOp::Dense(QDense {
            inputs: d.inputs,
            outputs: d.outputs,
            weight: weight.iter().map(|&w| w as f32).collect(),
            weight_groups,
            weight_f,
            bias: bias.iter().map(|&b| b as f32).collect(),
            bias_bits,
            declared,
            trainable: self.options.training && !self.frozen(&node.name),
        })
    }

    /// True when the bias can follow the fractional bits of a quantizer behind the layer (spec A1.4).
    fn trained_quantizer_follows(&self, node: &Node<Op>) -> bool {
        // an annotated network rounds its biases far finer than its activations, if at all
        if self.annotated {
            return false;
        }
        let mut value = node.output;
        loop {
            let consumers = self.graph.consumers(value);
            let output = self.graph.outputs.contains(&value);
            if output || consumers.iter().any(|&c| matches!(self.graph.nodes[c].op, Op::Softmax)) {
                return true;
            }
            let [next] = consumers[..] else { return false };
            match &self.graph.nodes[next].op {
                Op::Quant(_) | Op::Dense(_) | Op::Sigmoid | Op::Tanh => return true,
                Op::Relu | Op::LeakyRelu { .. } | Op::Reshape | Op::Affine(_) => value = self.graph.nodes[next].output,
                _ => return false,
            }
        }
    }

    fn affine(&mut self, node: &Node<Op>, a: &Affine) -> FixedAffine {
        let grid = |v: f64, most: i32| {
            let v = v as f32 as f64;
            if v == 0.0 { 0.0 } else { super::model::round_half_up(v, fractional_bits(v).min(most)) }
        };
        let tensor =
            |values: &[f64], most: i32| FixedTensor::from_f64(&values.iter().map(|&v| grid(v, most)).collect::<Vec<_>>());
        match (tensor(&a.scale, MAX_SCALE_F), tensor(&a.shift, MAX_CONSTANT_F)) {
            (Some(scale), Some(shift)) => FixedAffine { scale, shift },
            _ => {
                self.fault(node, "its scale or shift does not fit one 62-bit grid".into());
                FixedAffine { scale: FixedTensor { ints: vec![], frac: 0 }, shift: FixedTensor { ints: vec![], frac: 0 } }
            }
        }
    }
}

/// A scale behind dense layer `index` that only it reads.
fn following_affine(graph: &Graph, index: usize) -> Option<(usize, &Affine)> {
    let output = graph.nodes[index].output;
    if graph.outputs.contains(&output) {
        return None;
    }
    match graph.consumers(output)[..] {
        [next] if next == index + 1 => match &graph.nodes[next].op {
            Op::Affine(a) => Some((next, a)),
            _ => None,
        },
        _ => None,
    }
}

/// Fractional bits that hold a float bias, at most [`MAX_CONSTANT_F`].
fn own_bias_f(b: f64) -> i32 {
    if b == 0.0 || !b.is_finite() { 0 } else { fractional_bits(b as f32 as f64).min(MAX_CONSTANT_F) }
}

/// True when all elements of each group agree.
fn uniform<T: PartialEq + Copy>(groups: &Groups, elements: &[T]) -> bool {
    let mut first: Vec<Option<T>> = vec![None; groups.count()];
    elements.iter().enumerate().all(|(e, &v)| *first[groups.of(e)].get_or_insert(v) == v)
}
