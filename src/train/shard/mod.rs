//! One share of a batch: its rows, block buffers and gradient sums. All layers go forward and backward block by block.

mod backward;
mod forward;

use super::kernel::Buffer;
use super::loss::{Head, LossBlock, LossSum, Targets, TaskLoss};
use super::op::dense::DenseSums;
use super::op::quantizer::Sums;
use super::plan::{Plan, Prepared};

/// Rows with their targets, and everything a worker needs to process them.
pub struct Shard {
    /// Compact input rows.
    pub x: Vec<f32>,
    pub targets: Targets,
    pub rows: usize,
    /// Rows of the whole batch.
    pub batch: usize,
    pub loss: TaskLoss,
    pub heads: Vec<Head>,
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
        let buffers = || plan.buffers.iter().map(|stride| Buffer::new(plan.block * stride)).collect();
        Shard {
            x: Vec::new(),
            targets: Targets::default(),
            rows: 0,
            batch: 1,
            loss: TaskLoss::new(super::loss::LossKind::Mse),
            heads: Vec::new(),
            values: buffers(),
            grads: buffers(),
            scratch: vec![0.0; 2 * plan.output.stride()],
            dense: plan.dense.iter().map(|d| d.op.new_sums()).collect(),
            quantizers: plan.quantizers.iter().map(|q| q.op.new_sums()).collect(),
            sum: LossSum::default(),
            outputs: Vec::new(),
        }
    }

    /// Forward and backward over the shard's rows.
    pub fn run(&mut self, prepared: &Prepared) {
        let block = prepared.plan.block;
        self.sum = LossSum::default();
        self.outputs.clear();
        for sums in &mut self.dense {
            sums.dw.fill(0.0);
            sums.db.fill(0.0);
        }
        self.quantizers.iter_mut().for_each(Sums::clear);
        for first in (0..self.rows).step_by(block) {
            let rows = block.min(self.rows - first);
            self.load(&prepared.plan, first, rows);
            self.forward(prepared, rows);
            self.evaluate(&prepared.plan, first, rows);
            self.backward(prepared, rows);
        }
    }

    fn load(&mut self, plan: &Plan, first: usize, rows: usize) {
        let (len, mut start) = (plan.input_len(), 0);
        for slot in &plan.inputs {
            let n = slot.elements();
            let from = self.x[first * len..(first + rows) * len].chunks_exact(len);
            for (to, from) in self.values[slot.buffer].chunks_exact_mut(slot.stride()).zip(from) {
                to[..n].copy_from_slice(&from[start..start + n]);
            }
            start += n;
        }
    }

    fn evaluate(&mut self, plan: &Plan, first: usize, rows: usize) {
        let (stride, outputs) = (plan.output.stride(), plan.output_len());
        let z = &self.values[plan.output.buffer];
        for row in z.chunks_exact(stride).take(rows) {
            self.outputs.extend_from_slice(&row[..outputs]);
        }
        let dz = &mut self.grads[plan.output.buffer][..];
        let (targets, heads, batch, scratch) = (&self.targets, &self.heads[..], self.batch, &mut self.scratch[..]);
        let block = LossBlock { loss: self.loss, heads, z, dz, stride, outputs, rows, targets, first, batch, scratch };
        let sum = block.compute(plan.isa);
        self.sum.loss += sum.loss;
        self.sum.correct += sum.correct;
    }
}
