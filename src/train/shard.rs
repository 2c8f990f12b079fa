//! One share of a batch: its rows, block buffers and gradient sums. All layers go forward and backward block by block.

use super::kernel::{BLOCK_ROWS, Buffer, DenseForward, DenseInputGrad, DenseWeightGrad, Isa, QuantizeInto, dispatch};
use super::loss::{LossBlock, LossSum, Targets, TaskLoss};
use super::op::dense::DenseSums;
use super::op::quantizer::{QuantizerOp, Sums};
use super::plan::{Fused, InputGrad, Plan, Prepared, Slot, Step};
use std::mem::take;

/// Rows with their targets, and everything a worker needs to process them.
pub struct Shard {
    /// Compact input rows.
    pub x: Vec<f32>,
    pub targets: Targets,
    pub rows: usize,
    /// Rows of the whole batch.
    pub batch: usize,
    pub loss: TaskLoss,
    values: Vec<Buffer>,
    grads: Vec<Buffer>,
    scratch: Vec<f32>,
    pub dense: Vec<DenseSums>,
    pub quantizers: Vec<Sums>,
    pub sum: LossSum,
    /// Compact outputs of the rows.
    pub outputs: Vec<f32>,
}

impl Shard {
    pub fn new(plan: &Plan) -> Shard {
        let buffers = || (0..plan.slots.len()).map(|s| Buffer::new(BLOCK_ROWS * plan.stride(s))).collect();
        Shard {
            x: Vec::new(),
            targets: Targets::default(),
            rows: 0,
            batch: 1,
            loss: TaskLoss::new(super::loss::LossKind::Mse),
            values: buffers(),
            grads: buffers(),
            scratch: vec![0.0; 2 * plan.stride(plan.output)],
            dense: plan.dense.iter().map(|d| d.op.new_sums()).collect(),
            quantizers: plan.quantizers.iter().map(|q| q.op.new_sums()).collect(),
            sum: LossSum::default(),
            outputs: Vec::new(),
        }
    }

    /// Forward and backward over the shard's rows.
    pub fn run(&mut self, prepared: &Prepared) {
        self.sum = LossSum::default();
        self.outputs.clear();
        for sums in &mut self.dense {
            sums.dw.fill(0.0);
            sums.db.fill(0.0);
        }
        self.quantizers.iter_mut().for_each(Sums::clear);
        for first in (0..self.rows).step_by(BLOCK_ROWS) {
            let rows = BLOCK_ROWS.min(self.rows - first);
            self.load(&prepared.plan, first, rows);
            self.forward(prepared, rows);
            self.evaluate(&prepared.plan, first, rows);
            self.backward(prepared, rows);
        }
    }

    fn load(&mut self, plan: &Plan, first: usize, rows: usize) {
        let (n, stride) = (plan.slots[plan.input], plan.stride(plan.input));
        let from = self.x[first * n..(first + rows) * n].chunks_exact(n);
        for (to, from) in self.values[plan.input].chunks_exact_mut(stride).zip(from) {
            to[..n].copy_from_slice(from);
        }
    }

    fn forward(&mut self, p: &Prepared, rows: usize) {
        let plan = &p.plan;
        for stage in &plan.stages {
            match stage.step {
                Step::Dense { dense, x, z, fused } => {
                    let (op, state) = (&plan.dense[dense].op, &p.dense[dense]);
                    let mut out = take(&mut self.values[z]);
                    let mut y = fused.map(|f| take(&mut self.values[f.y]));
                    let quantize = fused.zip(y.as_mut()).map(|(f, y)| {
                        let how = plan.quantizers[f.quantizer].op.quantize(&p.quantizers[f.quantizer], f.pre_relu, f.post_relu);
                        let sums = &mut self.quantizers[f.quantizer];
                        QuantizeInto { how, y, min: &mut sums.min, max: &mut sums.max }
                    });
                    let (a, a_stride) = (&self.values[x], plan.stride(x));
                    let (inputs, outputs) = (op.inputs, plan.stride(z));
                    let (w, bias) = (&state.wq, &state.bias);
                    dispatch(plan.isa, DenseForward { a, a_stride, inputs, w, bias, outputs, rows, z: &mut out, quantize });
                    self.values[z] = out;
                    if let Some((f, y)) = fused.zip(y) {
                        self.values[f.y] = y;
                    }
                }
                Step::Quantizer { quantizer, x, y, post_relu } => {
                    let mut out = take(&mut self.values[y]);
                    let (state, sums) = (&p.quantizers[quantizer], &mut self.quantizers[quantizer]);
                    plan.quantizers[quantizer].op.forward(plan.isa, state, rows, &self.values[x], &mut out, sums, post_relu);
                    self.values[y] = out;
                }
                Step::Unary { unary, x, y } => {
                    let mut out = take(&mut self.values[y]);
                    let len = rows * plan.stride(y);
                    plan.unary[unary].forward(plan.isa, &self.values[x][..len], &mut out[..len]);
                    self.values[y] = out;
                }
            }
        }
    }

    fn evaluate(&mut self, plan: &Plan, first: usize, rows: usize) {
        let (stride, outputs) = (plan.stride(plan.output), plan.slots[plan.output]);
        let z = &self.values[plan.output];
        for row in z.chunks_exact(stride).take(rows) {
            self.outputs.extend_from_slice(&row[..outputs]);
        }
        let (dz, targets, batch, scratch) = (&mut self.grads[plan.output][..], &self.targets, self.batch, &mut self.scratch[..]);
        let block = LossBlock { loss: self.loss, z, dz, stride, outputs, rows, targets, first, batch, scratch };
        let sum = block.compute(plan.isa);
        self.sum.loss += sum.loss;
        self.sum.correct += sum.correct;
    }

    fn backward(&mut self, p: &Prepared, rows: usize) {
        let plan = &p.plan;
        for stage in plan.stages.iter().rev().filter(|s| !s.dead) {
            match stage.step {
                Step::Dense { dense, x, z, fused } => {
                    if let Some(f) = fused.filter(|_| !stage.quantizer_done) {
                        let mut dz = take(&mut self.grads[z]);
                        let Shard { values, grads, quantizers, .. } = self;
                        let args = quantizer_args(p, values, &mut quantizers[f.quantizer], f, z, Some(&mut dz), false);
                        QuantizerOp::backward(plan.isa, rows, plan.stride(z), &grads[f.y], args);
                        self.grads[z] = dz;
                    }
                    let op = &plan.dense[dense].op;
                    let (outputs, a_stride, inputs) = (plan.stride(z), plan.stride(x), op.inputs);
                    let DenseSums { dw, db } = &mut self.dense[dense];
                    let (a, dz) = (&self.values[x], &self.grads[z]);
                    dispatch(plan.isa, DenseWeightGrad { a, a_stride, inputs, dz, outputs, rows, dw, db });
                    self.dense_input(p, stage.input_grad, (dense, x, z), rows);
                }
                Step::Quantizer { quantizer, x, y, post_relu } => {
                    if stage.quantizer_done {
                        continue;
                    }
                    let mut dx = take(&mut self.grads[x]);
                    let Shard { values, grads, quantizers, .. } = self;
                    let f = Fused { quantizer, y, pre_relu: false, post_relu };
                    let to = (stage.input_grad != InputGrad::Skip).then_some(&mut dx);
                    let args =
                        quantizer_args(p, values, &mut quantizers[quantizer], f, x, to, stage.input_grad == InputGrad::Add);
                    QuantizerOp::backward(plan.isa, rows, plan.stride(y), &grads[y], args);
                    self.grads[x] = dx;
                }
                Step::Unary { unary, x, y } => {
                    if stage.input_grad == InputGrad::Skip {
                        continue;
                    }
                    let mut dx = take(&mut self.grads[x]);
                    let n = rows * plan.stride(y);
                    let (x_values, y_values, dy) = (&self.values[x][..n], &self.values[y][..n], &self.grads[y][..n]);
                    plan.unary[unary].backward(
                        plan.isa,
                        x_values,
                        y_values,
                        dy,
                        &mut dx[..n],
                        stage.input_grad == InputGrad::Add,
                    );
                    self.grads[x] = dx;
                }
            }
        }
    }

    fn dense_input(&mut self, p: &Prepared, to: InputGrad, (dense, x, z): (usize, Slot, Slot), rows: usize) {
        let plan = &p.plan;
        let outputs = plan.dense[dense].op.outputs;
        let (isa, wt, dz_stride, inputs): (Isa, &[f32], _, _) = (plan.isa, &p.dense[dense].wqt, plan.stride(z), plan.stride(x));
        // the buffer the gradient goes to: the input's, or the one in front of the quantizer that made it
        let through = match to {
            InputGrad::Skip => return,
            InputGrad::Store | InputGrad::Add => None,
            InputGrad::Through(maker) => Some(&plan.stages[maker]),
        };
        let (slot, fused, write) = match through.map(|s| (s.step.clone(), s.input_grad)) {
            None => (x, None, true),
            Some((Step::Dense { z, fused, .. }, _)) => (z, fused, true),
            Some((Step::Quantizer { quantizer, x, y, post_relu }, grad)) => {
                (x, Some(Fused { quantizer, y, pre_relu: false, post_relu }), grad != InputGrad::Skip)
            }
            Some((Step::Unary { x, .. }, _)) => (x, None, true),
        };
        let mut da = take(&mut self.grads[slot]);
        let Shard { values, grads, quantizers, .. } = self;
        let target = match fused {
            Some(f) => {
                let dx = write.then_some(&mut da);
                DenseInputGrad::Through(quantizer_args(p, values, &mut quantizers[f.quantizer], f, slot, dx, false))
            }
            None if to == InputGrad::Add => DenseInputGrad::Add(&mut da),
            None => DenseInputGrad::Store(&mut da),
        };
        dispatch(isa, target.of(&grads[z], dz_stride, outputs, wt, inputs, rows));
        self.grads[slot] = da;
    }
}

/// Kernel arguments of a quantizer that reads `x` and made `f.y`.
fn quantizer_args<'a>(
    p: &'a Prepared,
    values: &'a [Buffer],
    sums: &'a mut Sums,
    f: Fused,
    x: Slot,
    dx: Option<&'a mut Buffer>,
    add: bool,
) -> super::kernel::QuantizerBackward<'a> {
    let op = &p.plan.quantizers[f.quantizer].op;
    let (state, flags) = (&p.quantizers[f.quantizer], (f.pre_relu, f.post_relu));
    op.backward_args(state, sums, &values[x], &values[f.y], dx.map(|d| &mut d[..]), add, flags)
}
