//! The forward pass of a block of samples.

use super::super::kernel::{DenseForward, PoolForward, QuantizeInto, TapsForward, dispatch};
use super::super::op::merge;
use super::super::plan::{Fused, Prepared, Step};
use super::super::slot::Slot;
use super::Shard;
use std::mem::take;

impl Shard {
    pub(super) fn forward(&mut self, p: &Prepared, samples: usize) {
        let plan = &p.plan;
        for stage in &plan.stages {
            match &stage.step {
                Step::Dense { dense, x, z, fused } => self.dense_forward(p, *dense, (*x, *z), *fused, samples),
                Step::Grouped { dense, taps, x, z } => {
                    let mut out = take(&mut self.values[z.buffer]);
                    let (state, x) = (&p.dense[*dense], &self.values[x.buffer]);
                    let (taps, w, bias, z_out) = (&plan.taps[*taps], &state.wq, &state.bias, &mut out);
                    dispatch(plan.isa, TapsForward { taps, samples, x, w, bias, z: z_out });
                    self.values[z.buffer] = out;
                }
                Step::Quantizer { quantizer, x, y, post_relu } => {
                    let mut out = take(&mut self.values[y.buffer]);
                    let op = &plan.quantizers[*quantizer].op;
                    let (state, sums) = (&p.quantizers[*quantizer], &mut self.quantizers[*quantizer]);
                    let rows = samples * x.stride() / op.stride();
                    op.forward(plan.isa, state, rows, &self.values[x.buffer], &mut out, sums, *post_relu);
                    self.values[y.buffer] = out;
                }
                Step::Unary { unary, x, y } => {
                    let mut out = take(&mut self.values[y.buffer]);
                    let len = samples * y.stride();
                    plan.unary[*unary].forward(plan.isa, &self.values[x.buffer][..len], &mut out[..len]);
                    self.values[y.buffer] = out;
                }
                Step::Gather { gather, inputs, y } => {
                    let mut out = take(&mut self.values[y.buffer]);
                    for (which, x) in inputs.iter().enumerate() {
                        let from = (&self.values[x.buffer][..], x.stride());
                        plan.gathers[*gather].forward(plan.isa, which, samples, from, (&mut out, y.stride()));
                    }
                    self.values[y.buffer] = out;
                }
                Step::Pool { taps, reciprocal, x, y } => {
                    let mut out = take(&mut self.values[y.buffer]);
                    let (taps, x, factor) = (&plan.taps[*taps], &self.values[x.buffer], *reciprocal);
                    dispatch(plan.isa, PoolForward { taps, samples, x, y: &mut out, factor });
                    self.values[y.buffer] = out;
                }
                Step::Merge { merge, inputs: [a, b], y } => {
                    let mut out = take(&mut self.values[y.buffer]);
                    let len = samples * y.stride();
                    let (a, b) = (&self.values[a.buffer][..len], &self.values[b.buffer][..len]);
                    merge::forward(plan.isa, *merge, a, b, &mut out[..len]);
                    self.values[y.buffer] = out;
                }
            }
        }
    }

    fn dense_forward(&mut self, p: &Prepared, dense: usize, (x, z): (Slot, Slot), fused: Option<Fused>, samples: usize) {
        let plan = &p.plan;
        let (op, state) = (&plan.dense[dense].op, &p.dense[dense]);
        let mut out = take(&mut self.values[z.buffer]);
        let mut y = fused.map(|f| take(&mut self.values[f.y.buffer]));
        let quantize = fused.zip(y.as_mut()).map(|(f, y)| {
            let how = plan.quantizers[f.quantizer].op.quantize(&p.quantizers[f.quantizer], f.pre_relu, f.post_relu);
            let sums = &mut self.quantizers[f.quantizer];
            QuantizeInto { how, y, min: &mut sums.min, max: &mut sums.max }
        });
        let (a, a_stride, rows) = (&self.values[x.buffer], x.row(), samples * z.positions);
        let (inputs, outputs, w, bias) = (op.inputs, z.row(), &state.wq, &state.bias);
        dispatch(plan.isa, DenseForward { a, a_stride, inputs, w, bias, outputs, rows, z: &mut out, quantize });
        self.values[z.buffer] = out;
        if let Some((f, y)) = fused.zip(y) {
            self.values[f.y.buffer] = y;
        }
    }
}
