//! One share of a batch: its rows, block buffers and gradient sums. All layers go forward and
//! backward block by block.

mod backward;
mod forward;

use super::kernel::Buffer;
use super::loss::{Head, LossBlock, LossSum, Targets, TaskLoss};
use super::op::dense::DenseSums;
use super::op::quantizer::Sums;
use super::plan::{Plan, Prepared};
use crate::quant::kif::exp2i;

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
    /// By output column: what the loss sees it multiplied with; empty: all 1.
    factors: Vec<f32>,
    /// By output column: what the gradients of the loss are multiplied with; empty: all 1.
    back: Vec<f32>,
    /// Outputs as the loss sees them, where they have factors.
    scaled: Vec<f32>,
    pub dense: Vec<DenseSums>,
    pub quantizers: Vec<Sums>,
    pub sum: LossSum,
    /// Compact outputs of the rows.
    pub outputs: Vec<f32>,
}

impl Shard {
    /// `exponents`, `loss_exponent`: see [`crate::train::EngineOptions`].
    pub fn new(plan: &Plan, exponents: &[i32], loss_exponent: i32) -> Shard {
        let buffers = || plan.buffers.iter().map(|stride| Buffer::new(plan.block * stride)).collect();
        Shard {
            x: Vec::new(),
            targets: Targets::default(),
            rows: 0,
            batch: 1,
            loss: TaskLoss::new(super::head::LossKind::Mse),
            heads: Vec::new(),
            values: buffers(),
            grads: buffers(),
            scratch: vec![0.0; 2 * plan.output.stride()],
            factors: factors(plan, exponents, 0),
            back: factors(plan, exponents, loss_exponent),
            scaled: Vec::new(),
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
        let mut z = &self.values[plan.output.buffer][..];
        if !self.factors.is_empty() {
            self.scaled.clear();
            let scaled =
                z[..rows * stride].chunks_exact(stride).flat_map(|row| row.iter().zip(&self.factors).map(|(z, f)| z * f));
            self.scaled.extend(scaled);
            z = &self.scaled;
        }
        for row in z.chunks_exact(stride).take(rows) {
            self.outputs.extend_from_slice(&row[..outputs]);
        }
        let dz = &mut self.grads[plan.output.buffer][..];
        let (targets, heads, batch, scratch) = (&self.targets, &self.heads[..], self.batch, &mut self.scratch[..]);
        let block = LossBlock { loss: self.loss, heads, z, dz, stride, outputs, rows, targets, first, batch, scratch };
        let sum = block.compute(plan.isa);
        for row in self.grads[plan.output.buffer].chunks_exact_mut(stride).take(rows) {
            row.iter_mut().zip(&self.back).for_each(|(dz, f)| *dz *= f);
        }
        self.sum.loss += sum.loss;
        self.sum.correct += sum.correct;
    }
}

/// `2^(e − less)` for each column of the output buffer, padding included; none where all are 1.
fn factors(plan: &Plan, exponents: &[i32], less: i32) -> Vec<f32> {
    if less == 0 && exponents.iter().all(|&e| e == 0) {
        return Vec::new();
    }
    let columns = exponents.iter().copied().chain(std::iter::repeat(0));
    columns.take(plan.output.stride()).map(|e| exp2i(e - less) as f32).collect()
}
