//! Compiles a model into a [`Plan`]: buffers, fused stages, gradient wiring and parameter segments.

mod place;
mod wire;

use super::bits::BitTable;
use super::check::check;
use super::kernel::{BLOCK_ROWS, Buffer, Isa};
use super::op::Unary;
use super::op::bias::ChannelGroups;
use super::op::dense::DenseOp;
use super::op::quantizer::{QuantizerOp, is_uniform};
use super::op::saturating::SaturatingOp;
use super::options::LayerOptions;
use super::params::{ParamKind, Params};
use super::plan::*;
use super::quantizer_plan::QuantizerPlan;
use super::slot::Slot;
use super::sources::Sources;
use super::topology::Topology;
use crate::graph::Node;
use crate::ops::{Elementwise, Move};
use crate::quant::{BiasBits, FixedTensor, Model, QDense, QOp, Quantizer, Range, SaturatingDense};
use crate::train::error::{Fault, TrainError};

/// Bounds of f and i after each step (docs/hgq-spec.md#a1-2, #b1); with them `2^±f` is exact and
/// ordinary.
const BITS: (f32, f32) = (-23.0, 23.0);
/// Bounds of `b` (docs/hgq-spec.md#b1).
const TOTAL_BITS: (f32, f32) = (0.0, 24.0);
const FREE: (f32, f32) = (f32::MIN, f32::MAX);

/// Values and gradients of a block of a spatial plan, in bytes: about half of a core's L2 cache.
const BLOCK_BYTES: usize = 1 << 20;

/// What may be trained.
#[derive(Clone, Copy, Debug)]
pub struct Trainable {
    pub weights: bool,
    pub bits: bool,
}

/// # Errors
/// [`TrainError::Model`] with every fault.
pub fn compile(model: &Model, isa: Isa, trainable: Trainable, layers: &[LayerOptions]) -> Result<(Plan, Params), TrainError> {
    check(model)?;
    let mut c = Compiler::new(model, isa, trainable, layers);
    for &input in &model.inputs {
        let slot = c.place(input, 1, model.len_of(input));
        c.plan.inputs.push(slot);
    }
    for (index, node) in model.nodes.iter().enumerate() {
        if let QOp::Quantizer(q) = &node.op {
            c.add_quantizer(index, q);
        }
    }
    for (index, node) in model.nodes.iter().enumerate() {
        if !std::mem::replace(&mut c.done[index], true) {
            c.add_node(index, node);
        }
    }
    c.plan.output = c.output();
    if !c.faults.is_empty() {
        return Err(TrainError::Model(c.faults));
    }
    wire::wire(&mut c.plan);
    if c.spatial {
        let sample: usize = c.plan.buffers.iter().sum();
        let fit = (BLOCK_BYTES / (2 * size_of::<f32>() * sample.max(1))).clamp(1, BLOCK_ROWS);
        // whole register tiles where a layer has one position
        c.plan.block = if fit >= 8 { fit / 8 * 8 } else { fit };
    }
    c.plan.bits = c.sources.finish(c.plan.dense.iter_mut().map(|d| &mut d.bits));
    c.params.allocate();
    for (segment, values) in c.initial.iter().enumerate() {
        c.params.write(segment, values);
    }
    Ok((c.plan, c.params))
}

struct Compiler<'m> {
    model: &'m Model,
    topology: Topology<'m>,
    sources: Sources,
    trainable: Trainable,
    layers: &'m [LayerOptions],
    plan: Plan,
    params: Params,
    /// Initial values of each segment.
    initial: Vec<Vec<f32>>,
    /// Where each value lies, by root.
    slots: Vec<Option<Slot>>,
    /// Copies of values (by root) in other layouts.
    views: Vec<(usize, Slot)>,
    /// Whether some value has several positions.
    spatial: bool,
    /// Plan index of each quantizer node.
    quantizer_of: Vec<Option<usize>>,
    /// Nodes that an earlier stage took in.
    done: Vec<bool>,
    faults: Vec<Fault>,
}

impl<'m> Compiler<'m> {
    fn new(model: &'m Model, isa: Isa, trainable: Trainable, layers: &'m [LayerOptions]) -> Compiler<'m> {
        Compiler {
            topology: Topology::new(model),
            sources: Sources::new(model),
            model,
            trainable,
            layers,
            plan: Plan {
                isa,
                stages: Vec::new(),
                buffers: Vec::new(),
                block: BLOCK_ROWS,
                inputs: Vec::new(),
                output: Slot::default(),
                dense: Vec::new(),
                quantizers: Vec::new(),
                unary: Vec::new(),
                gathers: Vec::new(),
                taps: Vec::new(),
                bits: BitTable::default(),
            },
            params: Params::default(),
            initial: Vec::new(),
            slots: vec![None; model.values.len()],
            views: Vec::new(),
            spatial: false,
            quantizer_of: vec![None; model.nodes.len()],
            done: vec![false; model.nodes.len()],
            faults: Vec::new(),
        }
    }
}

impl Compiler<'_> {
    fn segment(
        &mut self,
        node: usize,
        kind: ParamKind,
        (rows, cols): (usize, usize),
        learns: bool,
        bounds: (f32, f32),
        values: &[f32],
    ) -> usize {
        let may = if kind.is_bits() { self.trainable.bits } else { self.trainable.weights };
        self.initial.push(values.to_vec());
        self.params.push(node, kind, rows, cols, learns && may, bounds)
    }

    fn add_quantizer(&mut self, index: usize, q: &Quantizer) {
        let count = q.groups.count();
        let (kind, bounds) = match q.range {
            Range::SaturatingKbi { .. } => (ParamKind::ActB, TOTAL_BITS),
            _ => (ParamKind::ActF, (BITS.0, q.max_f.clamp(BITS.0, BITS.1))),
        };
        let f = self.segment(index, kind, (1, count), q.trainable, bounds, &q.f);
        let i = match &q.range {
            Range::Traced => None,
            Range::Saturating { i, .. } | Range::SaturatingKbi { i, .. } => {
                Some(self.segment(index, ParamKind::ActI, (1, count), q.trainable, BITS, i))
            }
            // moved by the data or by nothing, not by a gradient
            Range::Tracked { i } | Range::Declared { i, .. } => {
                Some(self.segment(index, ParamKind::ActI, (1, count), false, BITS, i))
            }
        };
        self.quantizer_of[index] = Some(self.plan.quantizers.len());
        let trainable = q.trainable && self.trainable.bits;
        self.plan.quantizers.push(QuantizerPlan { node: index, op: QuantizerOp::new(q), f, i, trainable });
    }

    fn add_node(&mut self, index: usize, node: &Node<QOp>) {
        let x = self.slot(node.inputs[0]);
        match &node.op {
            QOp::Dense(d) => {
                let (weight, bias) = self.constants(index, d);
                let widths = self.v1_widths(index, node, d);
                self.dense(index, node, d, (weight, bias, widths));
            }
            QOp::SaturatingDense(s) => {
                let (weight, bias) = self.constants(index, &s.layer);
                let widths = self.saturating_widths(index, s);
                self.dense(index, node, &s.layer, (weight, bias, widths));
            }
            QOp::Quantizer(_) => {
                let quantizer = self.quantizer_of[index].unwrap_or(0);
                self.plan.quantizers[quantizer].op.lay_out(x.positions, x.channels);
                let (post_relu, last) = self.relu_behind(node.output);
                let y = self.place_like(last, x);
                self.push(Step::Quantizer { quantizer, x, y, post_relu });
            }
            QOp::Elementwise(f) => self.unary(Unary::Elementwise(*f), x, node.output),
            QOp::Sign => self.unary(Unary::Sign, x, node.output),
            QOp::Affine(a) => {
                let (scale, shift) = (padded(&a.scale, x), padded(&a.shift, x));
                self.unary(Unary::Affine { scale, shift }, x, node.output)
            }
            QOp::MaxPool(w) => self.pool(node, w, None),
            QOp::AveragePool(a) => self.pool(node, &a.window, Some(a.reciprocal.value(0) as f32)),
            QOp::Merge(merge) => {
                let second = node.inputs.get(1).copied().unwrap_or(node.inputs[0]);
                let inputs = [x, self.view(&node.name, second, x.positions, x.channels)];
                let y = self.place_like(node.output, x);
                self.push(Step::Merge { merge: *merge, inputs, y });
            }
            // a root is looked up through them
            QOp::Move(Move::Reshape) => {}
            QOp::Move(m) => self.moved(node, m),
        }
    }

    fn unary(&mut self, op: Unary, x: Slot, output: usize) {
        self.plan.unary.push(op);
        let y = self.place_like(output, x);
        self.push(Step::Unary { unary: self.plan.unary.len() - 1, x, y });
    }

    /// All outputs in one flat row.
    fn output(&mut self) -> Slot {
        let model = self.model;
        if let [only] = model.outputs[..] {
            return self.view(&model.values[only].name, only, 1, model.len_of(only));
        }
        let inputs: Vec<Slot> = model.outputs.iter().map(|&v| self.slot(v)).collect();
        let sources: Vec<(usize, usize)> =
            inputs.iter().enumerate().flat_map(|(n, s)| (0..s.elements()).map(move |e| (n, e))).collect();
        let y = self.new_slot(1, sources.len());
        self.gather(&model.name, inputs, y, sources.into_iter().map(Some));
        y
    }

    /// The Relu that alone reads `value`, taken in; the value to go on with.
    fn relu_behind(&mut self, value: usize) -> (bool, usize) {
        match self.topology.sole_reader(value) {
            Some(reader) if self.model.nodes[reader].op == QOp::Elementwise(Elementwise::Relu) => {
                self.done[reader] = true;
                (true, self.model.nodes[reader].output)
            }
            _ => (false, value),
        }
    }

    /// Whether weights and widths of a layer are trained.
    fn learns(&self, index: usize, d: &QDense) -> (bool, bool) {
        let options = self.layers.iter().find(|l| l.node == self.model.nodes[index].name);
        let learns = |part: fn(&LayerOptions) -> bool| d.trainable && options.is_none_or(part);
        (learns(|l| l.weights), learns(|l| l.bits))
    }

    /// Segments of weights and bias.
    fn constants(&mut self, index: usize, d: &QDense) -> (usize, usize) {
        let (learns, _) = self.learns(index, d);
        let weight = self.segment(index, ParamKind::Weight, (d.inputs, d.outputs), learns, FREE, &d.weight);
        let bias = self.segment(index, ParamKind::Bias, (1, d.outputs), learns, FREE, &d.bias);
        (weight, bias)
    }

    fn v1_widths(&mut self, index: usize, node: &Node<QOp>, d: &QDense) -> LayerWidths {
        let elementwise = d.weight_groups.is_elementwise();
        let shape = if elementwise { (d.inputs, d.outputs) } else { (1, d.weight_f.len()) };
        let (_, learns) = self.learns(index, d);
        let f = self.segment(index, ParamKind::WeightF, shape, learns, BITS, &d.weight_f);
        let bias = match &d.bias_bits {
            BiasBits::Own(bits) => BiasSource::Own(bits.clone()),
            BiasBits::Activation => self.bias_source(node.output, d.outputs),
        };
        LayerWidths::F { f, bias }
    }

    fn saturating_widths(&mut self, index: usize, s: &SaturatingDense) -> LayerWidths {
        let (_, learns) = self.learns(index, &s.layer);
        let mut pair = |q: &Quantizer, [f, b, integer]: [ParamKind; 3]| {
            let shape = (1, q.groups.count());
            let bounds = q.saturation();
            let (kind, range) = if bounds.is_some_and(|s| s.kbi) { (b, TOTAL_BITS) } else { (f, BITS) };
            let first = self.segment(index, kind, shape, learns && q.trainable, range, &q.f);
            self.segment(index, integer, shape, learns && q.trainable, BITS, bounds.map_or(&[], |s| s.i));
            first
        };
        let weight = pair(&s.weight, [ParamKind::WeightF, ParamKind::WeightB, ParamKind::WeightI]);
        let bias = pair(&s.bias, [ParamKind::BiasF, ParamKind::BiasB, ParamKind::BiasI]);
        LayerWidths::Saturating { op: Box::new(SaturatingOp::new(s)), weight, bias }
    }

    fn dense(&mut self, index: usize, node: &Node<QOp>, d: &QDense, (weight, bias, widths): (usize, usize, LayerWidths)) {
        let (positions, parts) = d.window.as_ref().map_or((1, 1), |w| (w.positions(), w.groups.max(1)));
        self.plan.dense.push(DensePlan {
            node: index,
            op: DenseOp { inputs: d.inputs, outputs: d.outputs, groups: d.weight_groups.clone(), parts },
            weight,
            bias,
            widths,
            bits: self.sources.layer(node.inputs[0], d),
            ebops_scale: d.ebops_scale,
            parallel: d.ebops_scale * positions as f64,
            trainable: self.learns(index, d).1 && self.trainable.bits,
            beta_scale: self.layers.iter().find(|l| l.node == node.name).map_or(1.0, |l| l.beta_scale),
        });
        let dense = self.plan.dense.len() - 1;
        let step = match &d.window {
            Some(w) if parts > 1 => {
                let (x, taps) = self.grouped(node, w, d.outputs);
                let z = self.place(node.output, positions, d.outputs);
                Step::Grouped { dense, taps, x, z }
            }
            window => {
                let x = match window {
                    Some(w) => self.patches(node, w),
                    None => self.view(&node.name, node.inputs[0], 1, d.inputs),
                };
                let z = self.place(node.output, positions, d.outputs);
                Step::Dense { dense, x, z, fused: self.fuse(node.output, z) }
            }
        };
        self.push(step);
    }

    fn bias_source(&self, output: usize, channels: usize) -> BiasSource {
        let found = self.topology.quantizers_below(output);
        let node = found.first().copied().unwrap_or(0);
        let (QOp::Quantizer(q), Some(quantizer)) = (&self.model.nodes[node].op, self.quantizer_of[node]) else {
            // `check` has made sure that there is one
            return BiasSource::Own(vec![0; channels]);
        };
        BiasSource::Quantizer { quantizer, channels: ChannelGroups::new(&q.groups, channels), rounding: q.rounding }
    }

    /// Takes `[Relu →] Quantizer [→ Relu]` after a dense output into its epilogue, where the widths
    /// are the same at all positions.
    fn fuse(&mut self, output: usize, z: Slot) -> Option<Fused> {
        let mut reader = self.topology.sole_reader(output)?;
        let mut pre_relu = None;
        if self.model.nodes[reader].op == QOp::Elementwise(Elementwise::Relu) {
            pre_relu = Some(reader);
            reader = self.topology.sole_reader(self.model.nodes[reader].output)?;
        }
        let quantizer = self.quantizer_of[reader]?;
        let op = &mut self.plan.quantizers[quantizer].op;
        if !is_uniform(op.groups(), z.channels) {
            return None;
        }
        op.lay_out(z.positions, z.channels);
        for node in pre_relu.into_iter().chain([reader]) {
            self.done[node] = true;
        }
        let (post_relu, last) = match pre_relu {
            Some(_) => (false, self.model.nodes[reader].output),
            None => self.relu_behind(self.model.nodes[reader].output),
        };
        Some(Fused { quantizer, y: self.place_like(last, z), pre_relu: pre_relu.is_some(), post_relu })
    }
}

/// Exact constants as one padded sample that lies as `slot`.
fn padded(t: &FixedTensor, slot: Slot) -> Buffer {
    let mut sample = Buffer::new(slot.stride());
    for e in 0..t.ints.len() {
        sample[slot.offset(e)] = t.value(e) as f32;
    }
    sample
}
