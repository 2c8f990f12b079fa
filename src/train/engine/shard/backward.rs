//! The backward pass of a block of samples. Stages run in reverse; the wiring says where each
//! leaves the gradients of its inputs.

use super::super::kernel::{Buffer, DenseInputGrad, DenseWeightGrad, PoolBackward, QuantizerBackward, TapsBackward, dispatch};
use super::super::op::dense::DenseSums;
use super::super::op::merge;
use super::super::op::quantizer::{QuantizerOp, Sums};
use super::super::plan::{Fused, InputGrad, Prepared, Stage, Step};
use super::super::slot::Slot;
use super::Shard;
use crate::ops::Merge;
use std::mem::take;

impl Shard {
    pub(super) fn backward(&mut self, p: &Prepared, samples: usize) {
        let plan = &p.plan;
        for stage in plan.stages.iter().rev().filter(|s| !s.dead) {
            let to = stage.input_grad(0);
            match &stage.step {
                Step::Dense { dense, x, z, fused } => self.dense_backward(p, stage, (*dense, *x, *z), *fused, samples),
                Step::Grouped { dense, taps, x, z } => {
                    let mut dx = self.start(stage, 0, samples);
                    let DenseSums { dw, db } = &mut self.dense[*dense];
                    let (x, dz, w) = (&self.values[x.buffer], &self.grads[z.buffer], &p.dense[*dense].wq);
                    let (taps, into) = (&plan.taps[*taps], dx.as_mut().map(|d| &mut d[..]));
                    dispatch(plan.isa, TapsBackward { taps, samples, x, w, dz, dw, db, dx: into });
                    self.end(stage, 0, dx);
                }
                Step::Quantizer { quantizer, x, y, post_relu } => {
                    if stage.quantizer_done {
                        continue;
                    }
                    let f = Fused { quantizer: *quantizer, y: *y, pre_relu: false, post_relu: *post_relu };
                    self.quantizer_backward(p, to, *x, f, samples);
                }
                Step::Unary { unary, x, y } => {
                    if to == InputGrad::Skip {
                        continue;
                    }
                    let mut dx = take(&mut self.grads[x.buffer]);
                    let n = samples * y.stride();
                    let (x_values, y_values) = (&self.values[x.buffer][..n], &self.values[y.buffer][..n]);
                    let (dy, add) = (&self.grads[y.buffer][..n], to == InputGrad::Add);
                    plan.unary[*unary].backward(plan.isa, x_values, y_values, dy, &mut dx[..n], add);
                    self.grads[x.buffer] = dx;
                }
                Step::Gather { gather, inputs, y } => {
                    for (which, x) in inputs.iter().enumerate() {
                        let Some(mut dx) = self.start(stage, which, samples) else { continue };
                        let dy = (&self.grads[y.buffer][..], y.stride());
                        plan.gathers[*gather].backward(plan.isa, which, samples, (&mut dx, x.stride()), dy);
                        self.end(stage, which, Some(dx));
                    }
                }
                Step::Pool { taps, reciprocal, x, y } => {
                    let Some(mut dx) = self.start(stage, 0, samples) else { continue };
                    let (x, y, dy) = (&self.values[x.buffer], &self.values[y.buffer], &self.grads[y.buffer]);
                    let (taps, factor) = (&plan.taps[*taps], *reciprocal);
                    dispatch(plan.isa, PoolBackward { taps, samples, x, y, dy, dx: &mut dx, factor });
                    self.end(stage, 0, Some(dx));
                }
                Step::Merge { merge, inputs, y } => self.merge_backward(p, stage, *merge, (*inputs, *y), samples),
            }
        }
    }

    fn dense_backward(
        &mut self,
        p: &Prepared,
        stage: &Stage,
        (dense, x, z): (usize, Slot, Slot),
        fused: Option<Fused>,
        samples: usize,
    ) {
        let plan = &p.plan;
        let rows = samples * z.positions;
        if let Some(f) = fused.filter(|_| !stage.quantizer_done) {
            let mut dz = take(&mut self.grads[z.buffer]);
            let Shard { values, grads, quantizers, .. } = self;
            let args = quantizer_args(p, values, &mut quantizers[f.quantizer], f, z, Some(&mut dz), false);
            QuantizerOp::backward(plan.isa, rows, z.row(), &grads[f.y.buffer], args);
            self.grads[z.buffer] = dz;
        }
        let inputs = plan.dense[dense].op.inputs;
        let DenseSums { dw, db } = &mut self.dense[dense];
        let (a, a_stride) = (&self.values[x.buffer], x.row());
        let (dz, outputs) = (&self.grads[z.buffer], z.row());
        dispatch(plan.isa, DenseWeightGrad { a, a_stride, inputs, dz, outputs, rows, dw, db });
        self.dense_input(p, stage.input_grad(0), (dense, x, z), rows);
    }

    fn quantizer_backward(&mut self, p: &Prepared, to: InputGrad, x: Slot, f: Fused, samples: usize) {
        let plan = &p.plan;
        let mut dx = take(&mut self.grads[x.buffer]);
        let stride = plan.quantizers[f.quantizer].op.stride();
        let Shard { values, grads, quantizers, .. } = self;
        let into = (to != InputGrad::Skip).then_some(&mut dx);
        let args = quantizer_args(p, values, &mut quantizers[f.quantizer], f, x, into, to == InputGrad::Add);
        QuantizerOp::backward(plan.isa, samples * f.y.stride() / stride, stride, &grads[f.y.buffer], args);
        self.grads[x.buffer] = dx;
    }

    fn merge_backward(&mut self, p: &Prepared, stage: &Stage, merge: Merge, (inputs, y): ([Slot; 2], Slot), samples: usize) {
        let n = samples * y.stride();
        for (which, x) in inputs.iter().enumerate() {
            let to = stage.input_grad(which);
            if to == InputGrad::Skip {
                continue;
            }
            let mut dx = take(&mut self.grads[x.buffer]);
            let [a, b] = inputs.map(|x| &self.values[x.buffer][..n]);
            let (dy, keep) = (&self.grads[y.buffer][..n], if to == InputGrad::Add { 1.0 } else { 0.0 });
            merge::backward(p.plan.isa, merge, which, (a, b), dy, &mut dx[..n], keep);
            self.grads[x.buffer] = dx;
        }
    }

    /// Takes the gradient of input `n` of `stage` to add to it, emptied where this is the first;
    /// `None` where nobody needs it.
    fn start(&mut self, stage: &Stage, n: usize, samples: usize) -> Option<Buffer> {
        let (x, to) = (stage.inputs()[n], stage.input_grad(n));
        if to == InputGrad::Skip {
            return None;
        }
        let mut dx = take(&mut self.grads[x.buffer]);
        if to != InputGrad::Add {
            dx[..samples * x.stride()].fill(0.0);
        }
        Some(dx)
    }

    /// Gives back what [`Shard::start`] took.
    fn end(&mut self, stage: &Stage, n: usize, dx: Option<Buffer>) {
        if let Some(dx) = dx {
            self.grads[stage.inputs()[n].buffer] = dx;
        }
    }

    fn dense_input(&mut self, p: &Prepared, to: InputGrad, (dense, x, z): (usize, Slot, Slot), rows: usize) {
        let plan = &p.plan;
        let outputs = plan.dense[dense].op.outputs;
        // the value the gradient goes to: the input, or what lies in front of the quantizer that
        // made it
        let through = match to {
            InputGrad::Skip => return,
            InputGrad::Store | InputGrad::Add => None,
            InputGrad::Through(maker) => Some(&plan.stages[maker]),
        };
        let (slot, fused, write) = match through.map(|s| (&s.step, s.input_grad(0))) {
            Some((Step::Dense { z, fused, .. }, _)) => (*z, *fused, true),
            Some((&Step::Quantizer { quantizer, x, y, post_relu }, grad)) => {
                (x, Some(Fused { quantizer, y, pre_relu: false, post_relu }), grad != InputGrad::Skip)
            }
            Some((
                Step::Grouped { .. } | Step::Unary { .. } | Step::Gather { .. } | Step::Pool { .. } | Step::Merge { .. },
                _,
            ))
            | None => (x, None, true),
        };
        let mut da = take(&mut self.grads[slot.buffer]);
        let Shard { values, grads, quantizers, .. } = self;
        let target = match fused {
            Some(f) => {
                let dx = write.then_some(&mut da);
                DenseInputGrad::Through(quantizer_args(p, values, &mut quantizers[f.quantizer], f, slot, dx, false))
            }
            None if to == InputGrad::Add => DenseInputGrad::Add(&mut da),
            None => DenseInputGrad::Store(&mut da),
        };
        let wt = &p.dense[dense].wqt;
        dispatch(plan.isa, target.of(&grads[z.buffer], z.row(), outputs, wt, x.row(), rows));
        self.grads[slot.buffer] = da;
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
) -> QuantizerBackward<'a> {
    let op = &p.plan.quantizers[f.quantizer].op;
    let (state, flags) = (&p.quantizers[f.quantizer], (f.pre_relu, f.post_relu));
    op.backward_args(state, sums, &values[x.buffer], &values[f.y.buffer], dx.map(|d| &mut d[..]), add, flags)
}
