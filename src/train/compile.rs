//! Compiles a model into a [`Plan`]: buffers, fused stages, gradient wiring and parameter segments.

use super::check::check;
use super::error::TrainError;
use super::kernel::{Buffer, Isa, pad};
use super::op::Unary;
use super::op::bias::ChannelGroups;
use super::op::dense::DenseOp;
use super::op::quantizer::QuantizerOp;
use super::params::{ParamKind, Params};
use super::plan::*;
use super::topology::Topology;
use crate::graph::Node;
use crate::quant::kif::exp2i;
use crate::quant::{BiasBits, FixedTensor, Model, QDense, QOp, Quantizer, Range};

/// Bounds of f and i after each step (spec A1.2, B1); with them `2^±f` is exact and ordinary.
const BITS: (f32, f32) = (-23.0, 23.0);
const FREE: (f32, f32) = (f32::MIN, f32::MAX);

/// What may be trained.
#[derive(Clone, Copy, Debug)]
pub struct Trainable {
    pub weights: bool,
    pub bits: bool,
}

/// # Errors
/// [`TrainError::Model`] with every fault.
pub fn compile(model: &Model, isa: Isa, trainable: Trainable) -> Result<(Plan, Params), TrainError> {
    check(model)?;
    let mut c = Compiler {
        topology: Topology::new(model),
        model,
        trainable,
        plan: Plan {
            isa,
            stages: Vec::new(),
            slots: Vec::new(),
            input: 0,
            output: 0,
            dense: Vec::new(),
            quantizers: Vec::new(),
            unary: Vec::new(),
        },
        params: Params::default(),
        initial: Vec::new(),
        slot_of: vec![None; model.values.len()],
        quantizer_of: vec![None; model.nodes.len()],
        done: vec![false; model.nodes.len()],
    };
    c.plan.input = c.slot(model.inputs[0]);
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
    c.plan.output = c.slot(model.outputs[0]);
    c.wire();
    c.params.allocate();
    for (segment, values) in c.initial.iter().enumerate() {
        c.params.write(segment, values);
    }
    Ok((c.plan, c.params))
}

struct Compiler<'m> {
    model: &'m Model,
    topology: Topology<'m>,
    trainable: Trainable,
    plan: Plan,
    params: Params,
    /// Initial values of each segment.
    initial: Vec<Vec<f32>>,
    slot_of: Vec<Option<Slot>>,
    /// Plan index of each quantizer node.
    quantizer_of: Vec<Option<usize>>,
    /// Nodes that an earlier stage took in.
    done: Vec<bool>,
}

impl Compiler<'_> {
    fn slot(&mut self, value: usize) -> Slot {
        let root = self.topology.root(value);
        *self.slot_of[root].get_or_insert_with(|| {
            self.plan.slots.push(self.model.len_of(root));
            self.plan.slots.len() - 1
        })
    }

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
        let bounds = (BITS.0, q.max_f.clamp(BITS.0, BITS.1));
        let f = self.segment(index, ParamKind::ActF, (1, count), q.trainable, bounds, &q.f);
        let i = match &q.range {
            Range::Traced => None,
            Range::Saturating { i, .. } => Some(self.segment(index, ParamKind::ActI, (1, count), q.trainable, BITS, i)),
        };
        self.quantizer_of[index] = Some(self.plan.quantizers.len());
        let trainable = q.trainable && self.trainable.bits;
        self.plan.quantizers.push(QuantizerPlan { node: index, op: QuantizerOp::new(q), f, i, trainable });
    }

    fn add_node(&mut self, index: usize, node: &Node<QOp>) {
        let x = self.slot(node.inputs[0]);
        let step = match &node.op {
            QOp::Reshape => return,
            QOp::Dense(d) => self.dense(index, node, d, x),
            QOp::Quantizer(_) => {
                let (post_relu, last) = self.relu_behind(node.output);
                Step::Quantizer { quantizer: self.quantizer_of[index].unwrap_or(0), x, y: self.slot(last), post_relu }
            }
            QOp::Relu => self.unary(Unary::Relu, x, node.output),
            QOp::LeakyRelu { log2_slope } => self.unary(Unary::LeakyRelu { slope: exp2i(*log2_slope) as f32 }, x, node.output),
            QOp::Sigmoid => self.unary(Unary::Sigmoid, x, node.output),
            QOp::Tanh => self.unary(Unary::Tanh, x, node.output),
            QOp::Affine(a) => {
                let (scale, shift) = (padded(&a.scale), padded(&a.shift));
                self.unary(Unary::Affine { scale, shift }, x, node.output)
            }
            _ => unimplemented!("convolutions and merges"),
        };
        self.plan.stages.push(Stage { step, input_grad: InputGrad::Skip, quantizer_done: false, dead: false });
    }

    fn unary(&mut self, op: Unary, x: Slot, output: usize) -> Step {
        self.plan.unary.push(op);
        Step::Unary { unary: self.plan.unary.len() - 1, x, y: self.slot(output) }
    }

    /// The Relu that alone reads `value`, taken in; the value to go on with.
    fn relu_behind(&mut self, value: usize) -> (bool, usize) {
        match self.topology.sole_reader(value) {
            Some(reader) if self.model.nodes[reader].op == QOp::Relu => {
                self.done[reader] = true;
                (true, self.model.nodes[reader].output)
            }
            _ => (false, value),
        }
    }

    fn dense(&mut self, index: usize, node: &Node<QOp>, d: &QDense, x: Slot) -> Step {
        let z = self.slot(node.output);
        let elementwise = d.weight_groups.is_elementwise();
        let shape = (d.inputs, d.outputs);
        let weight = self.segment(index, ParamKind::Weight, shape, d.trainable, FREE, &d.weight);
        let bias = self.segment(index, ParamKind::Bias, (1, d.outputs), d.trainable, FREE, &d.bias);
        let f_shape = if elementwise { shape } else { (1, d.weight_f.len()) };
        let f = self.segment(index, ParamKind::WeightF, f_shape, d.trainable, BITS, &d.weight_f);
        let bias_source = match &d.bias_bits {
            BiasBits::Own(bits) => BiasSource::Own(bits.clone()),
            BiasBits::Activation => self.bias_source(node.output, d.outputs),
        };
        let (above, input_relu) = self.topology.quantizer_above(node.inputs[0]).unwrap_or((0, false));
        self.plan.dense.push(DensePlan {
            node: index,
            op: DenseOp { inputs: d.inputs, outputs: d.outputs, groups: d.weight_groups.clone() },
            weight,
            bias,
            f,
            bias_source,
            input_quantizer: self.quantizer_of[above].unwrap_or(0),
            input_relu,
            trainable: d.trainable && self.trainable.bits,
        });
        Step::Dense { dense: self.plan.dense.len() - 1, x, z, fused: self.fuse(node.output) }
    }

    fn bias_source(&self, output: usize, channels: usize) -> BiasSource {
        let found = self.topology.quantizers_below(output);
        let node = found.first().copied().unwrap_or(0);
        match (&self.model.nodes[node].op, self.quantizer_of[node]) {
            (QOp::Quantizer(q), Some(quantizer)) => {
                BiasSource::Quantizer { quantizer, channels: ChannelGroups::new(&q.groups, channels), rounding: q.rounding }
            }
            // `check` has made sure that there is one
            _ => BiasSource::Own(vec![0; channels]),
        }
    }

    /// Takes `[Relu →] Quantizer [→ Relu]` behind a dense output into its epilogue.
    fn fuse(&mut self, output: usize) -> Option<Fused> {
        let mut reader = self.topology.sole_reader(output)?;
        let mut pre_relu = None;
        if self.model.nodes[reader].op == QOp::Relu {
            pre_relu = Some(reader);
            reader = self.topology.sole_reader(self.model.nodes[reader].output)?;
        }
        let quantizer = self.quantizer_of[reader]?;
        for node in pre_relu.into_iter().chain([reader]) {
            self.done[node] = true;
        }
        let (post_relu, last) = match pre_relu {
            Some(_) => (false, self.model.nodes[reader].output),
            None => self.relu_behind(self.model.nodes[reader].output),
        };
        Some(Fused { quantizer, y: self.slot(last), pre_relu: pre_relu.is_some(), post_relu })
    }

    /// Decides where gradients go.
    fn wire(&mut self) {
        let n = self.plan.slots.len();
        // which buffers lead back to something that learns
        let mut learns = vec![false; n];
        for stage in &self.plan.stages {
            learns[stage.output()] = learns[stage.input()]
                || match stage.step {
                    Step::Dense { .. } | Step::Quantizer { .. } => true,
                    Step::Unary { .. } => false,
                };
        }
        let mut readers = vec![0usize; n];
        let mut maker = vec![None; n];
        for (index, stage) in self.plan.stages.iter().enumerate() {
            readers[stage.input()] += 1;
            maker[stage.output()] = Some(index);
        }
        readers[self.plan.output] += 1;
        let mut written = vec![false; n];
        written[self.plan.output] = true;
        for index in (0..self.plan.stages.len()).rev() {
            let (x, y) = (self.plan.stages[index].input(), self.plan.stages[index].output());
            if !written[y] {
                self.plan.stages[index].dead = true;
                continue;
            }
            if !learns[x] {
                continue;
            }
            let through = matches!(self.plan.stages[index].step, Step::Dense { .. })
                .then(|| maker[x].filter(|&m| readers[x] == 1 && self.fusible_backward(m, &readers)))
                .flatten();
            self.plan.stages[index].input_grad = match through {
                Some(m) => {
                    self.plan.stages[m].quantizer_done = true;
                    InputGrad::Through(m)
                }
                None if written[x] => InputGrad::Add,
                None => InputGrad::Store,
            };
            written[x] = true;
        }
    }

    /// Whether the quantizer of stage `m` may run backward inside its consumer: its own input gradient must not be shared.
    fn fusible_backward(&self, m: usize, readers: &[usize]) -> bool {
        match self.plan.stages[m].step {
            Step::Dense { fused, .. } => fused.is_some(),
            Step::Quantizer { x, .. } => readers[x] == 1,
            Step::Unary { .. } => false,
        }
    }
}

/// Exact constants as one padded row of floats.
fn padded(t: &FixedTensor) -> Buffer {
    let mut row = Buffer::new(pad(t.ints.len()));
    for (e, to) in row.iter_mut().enumerate().take(t.ints.len()) {
        *to = t.value(e) as f32;
    }
    row
}
