//! The training engine: gradients of `task loss + β·EBOPs + l1·Σf` (docs/hgq-spec.md#a2-4) over a
//! compiled plan, and Adam.

pub mod bits;
pub mod check;
pub mod compile;
pub mod constants;
pub mod data;
pub mod ebops;
pub mod head;
pub mod kernel;
pub mod loss;
pub mod op;
pub mod options;
pub mod params;
pub mod plan;
pub mod quantizer_plan;
pub mod shard;
pub mod slot;
pub mod sources;
pub mod state;
pub mod topology;
pub mod workers;

use super::engine::bits::BitState;
use super::engine::compile::{Trainable, compile};
use super::engine::data::TrainSet;
use super::engine::ebops::{Ebops, RunningRange};
use super::engine::loss::{LossSum, Targets, TaskLoss};
use super::engine::op::bias;
use super::engine::op::saturating::{SaturatingOp, Widths};
use super::engine::params::Params;
use super::engine::plan::{BiasSource, LayerWidths, Plan, Prepared};
use super::engine::shard::Shard;
use super::engine::workers::Worker;
use super::error::TrainError;
use crate::quant::kif::exp2i;
use crate::quant::{Model, Rounding};
use crate::simd::Isa;
use options::{EngineOptions, LayerOptions};
use std::sync::Arc;

/// More threads than this are refused: a typing error, not a machine.
pub const MAX_THREADS: usize = 256;
/// Fewer rows than this are not worth another thread's wake-up; a sample of several positions
/// counts as that many rows.
const MIN_SHARD_ROWS: usize = 64;

/// What one step computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepStats {
    pub task_loss: f64,
    /// `task_loss + β·EBOPs + l1·Σf`, β times [`LayerOptions::beta_scale`] layer by layer.
    pub total_loss: f64,
    pub ebops: Ebops,
    pub beta: f32,
    /// Correct predictions in the batch, where labels were given.
    pub correct: Option<u32>,
}

/// Trains one model. Not `Clone`: it owns its threads.
pub struct Engine {
    pub(super) params: Params,
    pub(super) prepared: Arc<Prepared>,
    pub(super) ranges: Vec<RunningRange>,
    pub(super) node_names: Vec<String>,
    pub(super) shards: Vec<Shard>,
    workers: Vec<Worker>,
    group_norm: bool,
    /// See [`EngineOptions::loss_exponent`].
    gradient_factor: f32,
    pub(super) layer_ebops: Vec<Ebops>,
    /// Shards the last batch used.
    pub(super) active: usize,
}

impl Engine {
    /// Compiles `model`.
    ///
    /// # Errors
    /// [`TrainError::Model`] naming every node that cannot be trained, [`TrainError::Option`] for
    /// bad options.
    pub fn new(model: &Model, options: &EngineOptions) -> Result<Engine, TrainError> {
        let threads = options.threads;
        let (plan, params) = compiled(model, options)?;
        let workers = (1..threads).map(|_| Worker::start()).collect::<Result<Vec<_>, _>>()?;
        Ok(Engine {
            params,
            ranges: plan.quantizers.iter().map(|q| RunningRange::new(q.op.groups().count())).collect(),
            node_names: model.nodes.iter().map(|n| n.name.clone()).collect(),
            shards: (0..threads).map(|_| Shard::new(&plan, &options.output_exponents, options.loss_exponent)).collect(),
            workers,
            group_norm: options.group_norm,
            gradient_factor: exp2i(-options.loss_exponent) as f32,
            layer_ebops: vec![Ebops::default(); plan.dense.len()],
            prepared: Arc::new(Prepared {
                dense: plan.dense.iter().map(|d| d.op.new_state()).collect(),
                saturating: plan.dense.iter().map(|d| d.saturating().map(SaturatingOp::new_state)).collect(),
                quantizers: plan.quantizers.iter().map(|q| q.op.new_state()).collect(),
                plan,
            }),
            active: 0,
        })
    }

    /// Whether [`Engine::new`] takes the model and the options; no thread is started and nothing is
    /// kept.
    ///
    /// # Errors
    /// Those of [`Engine::new`].
    pub fn accepts(model: &Model, options: &EngineOptions) -> Result<(), TrainError> {
        compiled(model, options).map(drop)
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.plan().isa
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.prepared.plan
    }

    /// Gradients of the mean loss over the samples `rows` of `set`. Running ranges widen by this
    /// batch before EBOPs are counted; `beta` is asked once, with the EBOPs of this step.
    ///
    /// # Errors
    /// [`TrainError::Data`] or [`TrainError::Option`] when set, rows and loss do not fit;
    /// [`TrainError::Worker`].
    pub fn gradients(
        &mut self,
        set: &TrainSet,
        rows: &[u32],
        loss: &TaskLoss,
        l1: f32,
        beta: &mut dyn FnMut(Ebops) -> f32,
    ) -> Result<StepStats, TrainError> {
        self.check(set, rows, loss)?;
        self.prepare();
        let sum = self.data_pass(set, rows, loss)?;
        self.merge();
        let plan = self.plan();
        let bits = plan.bits.evaluate(&plan.quantizers, &self.params, &self.ranges);
        let input_bits: Vec<Vec<f32>> = plan.dense.iter().map(|d| d.bits.sums(&bits)).collect();
        let count = |n: usize| constants::layer_ebops(&self.prepared, n, &input_bits[n]);
        self.layer_ebops = (0..plan.dense.len()).map(count).collect();
        let mut total = Ebops::default();
        let mut weighted = 0.0;
        for (e, d) in self.layer_ebops.iter().zip(&self.plan().dense) {
            total.surrogate += e.surrogate;
            total.enclosed += e.enclosed;
            weighted += f64::from(d.beta_scale) * e.surrogate;
        }
        let beta = beta(total);
        let factor = self.gradient_factor;
        let f_sum = self.parameter_gradients(&bits, &input_bits, beta * factor, l1 * factor);
        let total_loss = sum.loss + f64::from(beta) * weighted + f64::from(l1) * f_sum;
        let correct = set.labels.map(|_| sum.correct);
        Ok(StepStats { task_loss: sum.loss, total_loss, ebops: total, beta, correct })
    }

    fn check(&self, set: &TrainSet, rows: &[u32], loss: &TaskLoss) -> Result<(), TrainError> {
        let plan = self.plan();
        let (inputs, outputs) = (plan.input_len(), plan.output_len());
        if (set.inputs, set.outputs) != (inputs, outputs) {
            let what =
                format!("samples of {} inputs and {} outputs for a model of {inputs} and {outputs}", set.inputs, set.outputs);
            return Err(TrainError::Data(what));
        }
        if rows.is_empty() {
            return Err(TrainError::Data("an empty batch".into()));
        }
        if let Some(row) = rows.iter().find(|&&r| r as usize >= set.samples) {
            return Err(TrainError::Data(format!("row {row} of {} samples", set.samples)));
        }
        loss.check(set)
    }

    /// Quantizes weights and biases and computes the scales of all quantizers.
    fn prepare(&mut self) {
        let Prepared { plan, dense, saturating, quantizers } = Arc::make_mut(&mut self.prepared);
        for (q, state) in plan.quantizers.iter().zip(quantizers) {
            q.op.prepare(self.params.get(q.f), q.i.map(|i| self.params.get(i)), state);
        }
        for ((d, state), own) in plan.dense.iter().zip(dense).zip(saturating) {
            let (weight, latent) = (self.params.get(d.weight), self.params.get(d.bias));
            let (f, source) = match &d.widths {
                LayerWidths::F { f, bias } => (*f, bias),
                LayerWidths::Saturating { op, weight: w, bias: b } => {
                    if let Some(own) = own {
                        let widths = |s: usize| Widths { first: self.params.get(s), i: self.params.get(s + 1) };
                        op.prepare(plan.isa, &d.op, (weight, widths(*w)), (latent, widths(*b)), (state, own));
                    }
                    continue;
                }
            };
            d.op.prepare(plan.isa, weight, self.params.get(f), state);
            match source {
                BiasSource::Own(bits) => {
                    for (c, &f) in bits.iter().enumerate() {
                        state.bias[c] = bias::forward(latent[c], f as f32, Rounding::HalfUp);
                    }
                }
                BiasSource::Quantizer { quantizer, channels, rounding } => {
                    let f = self.params.get(plan.quantizers[*quantizer].f);
                    for (c, &b) in latent.iter().enumerate().take(d.op.outputs) {
                        state.bias[c] = bias::forward(b, channels.f(c, f), *rounding);
                    }
                }
            }
        }
    }

    /// Deals the rows out in contiguous shares and runs them.
    fn data_pass(&mut self, set: &TrainSet, rows: &[u32], loss: &TaskLoss) -> Result<LossSum, TrainError> {
        let (positions, block) = (self.plan().positions(), self.plan().block);
        let active = self.shards.len().min((rows.len() * positions).div_ceil(MIN_SHARD_ROWS)).max(1);
        // whole register tiles, and whole blocks where there are many
        let tile = if positions == 1 { 8 } else { 1 };
        let unit = if rows.len() >= 4 * block * active { block } else { tile };
        let share = rows.len().div_ceil(active).next_multiple_of(unit);
        let mut parts = rows.chunks(share);
        let first = parts.next().unwrap_or(&[]);
        let mut sent = 0;
        for part in parts {
            // taken from the end: shard 0 stays here; they come back in the order they went
            let Some(mut shard) = self.shards.pop() else { return Err(TrainError::Worker) };
            fill(&mut shard, set, part, rows.len(), loss);
            self.workers[sent].send(shard, Arc::clone(&self.prepared))?;
            sent += 1;
        }
        let Some(shard) = self.shards.first_mut() else { return Err(TrainError::Worker) };
        fill(shard, set, first, rows.len(), loss);
        shard.run(&self.prepared);
        let mut sum = shard.sum;
        let mut back = Vec::with_capacity(sent);
        for worker in &self.workers[..sent] {
            let shard = worker.receive()?;
            sum.loss += shard.sum.loss;
            sum.correct += shard.sum.correct;
            back.push(shard);
        }
        // shards 1..=sent in the order of the rows
        self.shards.splice(1..1, back);
        self.active = 1 + sent;
        Ok(sum)
    }

    /// Joins the shards' sums into shard 0, in order, and widens the running ranges.
    fn merge(&mut self) {
        let Some((first, rest)) = self.shards[..self.active].split_first_mut() else { return };
        for shard in rest {
            for (a, b) in first.dense.iter_mut().zip(&shard.dense) {
                a.dw.iter_mut().zip(b.dw.iter()).for_each(|(a, b)| *a += b);
                a.db.iter_mut().zip(b.db.iter()).for_each(|(a, b)| *a += b);
            }
            first.quantizers.iter_mut().zip(&shard.quantizers).for_each(|(a, b)| a.merge(b));
        }
        for ((q, range), sums) in self.prepared.plan.quantizers.iter().zip(&mut self.ranges).zip(&first.quantizers) {
            range.widen(&q.op, &sums.min, &sums.max);
            if let (true, Some(i)) = (q.op.is_tracked() && q.trainable, q.i) {
                let (f, i) = (self.params.segments[q.f].range(), self.params.segments[i].range());
                let (low, high) = self.params.values.split_at_mut(i.start);
                q.op.track(&low[f], sums, &mut high[..i.end - i.start]);
            }
        }
    }

    /// Fills the gradient vector; returns `Σf` over the trainable widths.
    fn parameter_gradients(&mut self, bits: &BitState, input_bits: &[Vec<f32>], beta: f32, l1: f32) -> f64 {
        let Prepared { plan, dense, saturating, quantizers } = &*self.prepared;
        let sums = &self.shards[0];
        let params = &mut self.params;
        params.grads.fill(0.0);
        let mut f_sum = 0.0;
        let norm = |n: f32| if self.group_norm { 1.0 / n.sqrt() } else { 1.0 };
        let norms: Vec<f32> = plan.quantizers.iter().map(|q| norm(q.op.groups().degeneracy() as f32)).collect();
        for ((q, state), sums) in plan.quantizers.iter().zip(quantizers).zip(&sums.quantizers) {
            let (df, di) = params.grads_of_quantizer(q.f, q.i);
            q.op.gradients(state, sums, df, di);
            if q.trainable {
                df[..q.op.groups().count()].iter_mut().for_each(|g| *g += l1);
            }
        }
        for (n, ((d, state), sums)) in plan.dense.iter().zip(dense).zip(&sums.dense).enumerate() {
            let bias_beta = beta * d.beta_scale;
            let beta = bias_beta * d.ebops_scale as f32;
            let strengths: Vec<f32> = norms.iter().map(|norm| beta * norm).collect();
            d.bits.gradient((&plan.bits, bits), &state.row_bits, &strengths, &plan.quantizers, params);
            let l1 = if d.trainable { l1 } else { 0.0 };
            let (f, bias_source) = match &d.widths {
                LayerWidths::F { f, bias } => (*f, bias),
                LayerWidths::Saturating { op, weight, bias } => {
                    if let Some(own) = &saturating[n] {
                        let costs = op.weight_costs(&d.op, &input_bits[n], beta);
                        let of = (&op.weight, &own.weight, &costs[..]);
                        f_sum += constants::gradients(plan.isa, of, &state.wq, &sums.dw, (d.weight, *weight), l1, params);
                        let costs = op.bias_costs(bias_beta);
                        let of = (&op.bias, &own.bias, &costs[..]);
                        f_sum += constants::gradients(plan.isa, of, &state.bias, &sums.db, (d.bias, *bias), l1, params);
                    }
                    continue;
                }
            };
            params.grad(d.weight).0.copy_from_slice(&sums.dw);
            params.grad(d.bias).0.copy_from_slice(&sums.db);
            let strength = beta * norm(d.op.groups.degeneracy() as f32 * d.parallel as f32);
            let weight = params.segments[d.weight].range();
            let (df, values) = params.grad(f);
            d.op.gradients_f(state, &values[weight], &sums.dw, &input_bits[n], strength, l1, df);
            if let BiasSource::Quantizer { quantizer, channels, .. } = bias_source {
                let target = plan.quantizers[*quantizer].f;
                let (latent, f) = (params.segments[d.bias].range(), params.segments[target].range());
                let (df, values) = params.grad(target);
                let (latent, f) = (&values[latent], &values[f]);
                for (c, &b) in latent.iter().enumerate().take(d.op.outputs) {
                    channels.spread(c, f, bias::gradient_f(b, state.bias[c], sums.db[c]), df);
                }
            }
        }
        for s in params.segments.iter().filter(|s| s.trainable && s.kind.is_bits() && !s.kind.is_integer()) {
            let values = &params.values[s.range()];
            for row in values.chunks_exact(s.stride) {
                f_sum += row[..s.cols].iter().map(|&f| f64::from(f)).sum::<f64>();
            }
        }
        f_sum
    }

    /// One Adam step with the gradients of the last call of [`Engine::gradients`]; widths are
    /// clipped to their bounds.
    pub fn adam(&mut self, lr_weights: f32, lr_bits: f32) {
        let isa = self.isa();
        self.params.adam(isa, lr_weights, lr_bits);
    }

    /// Empties the running ranges (start of an epoch, docs/hgq-spec.md#a4).
    pub fn reset_ranges(&mut self) {
        for range in &mut self.ranges {
            range.min.fill(f32::INFINITY);
            range.max.fill(f32::NEG_INFINITY);
        }
    }

    /// Fresh Adam moments and step count.
    pub fn reset_moments(&mut self) {
        self.params.reset_moments();
    }
}

/// The plan of `model` and its parameters, after a check of all options.
fn compiled(model: &Model, options: &EngineOptions) -> Result<(Plan, Params), TrainError> {
    let threads = options.threads;
    if threads == 0 || threads > MAX_THREADS {
        return Err(TrainError::Option { option: "threads", what: format!("{threads} is not in 1..={MAX_THREADS}") });
    }
    let isa = options.isa.unwrap_or_else(Isa::detect);
    if !isa.available() {
        return Err(TrainError::Option { option: "isa", what: format!("this processor has no {}", isa.name()) });
    }
    check_layers(model, &options.layers)?;
    let columns: usize = model.outputs.iter().map(|&o| model.len_of(o)).sum();
    if !options.output_exponents.is_empty() && options.output_exponents.len() != columns {
        let what = format!("{} exponents for {columns} output columns", options.output_exponents.len());
        return Err(TrainError::Option { option: "output_exponents", what });
    }
    let trainable = Trainable { weights: options.train_weights, bits: options.train_bits };
    compile(model, isa, trainable, &options.layers)
}

/// Whether the options of layers name layers that multiply, each once, with usable factors.
fn check_layers(model: &Model, layers: &[LayerOptions]) -> Result<(), TrainError> {
    let fail = |what: String| Err(TrainError::Option { option: "layers", what });
    for (at, layer) in layers.iter().enumerate() {
        let name = &layer.node;
        if !model.nodes.iter().any(|n| n.name == *name && n.op.layer().is_some()) {
            return fail(format!("no layer that multiplies is called `{name}`"));
        }
        if layers[..at].iter().any(|l| l.node == *name) {
            return fail(format!("`{name}` is named twice"));
        }
        if !(layer.beta_scale.is_finite() && layer.beta_scale >= 0.0) {
            return fail(format!("`{name}`: beta_scale {} is negative or not finite", layer.beta_scale));
        }
    }
    Ok(())
}

/// Copies the samples `rows` into a shard.
fn fill(shard: &mut Shard, set: &TrainSet, rows: &[u32], batch: usize, loss: &TaskLoss) {
    shard.rows = rows.len();
    shard.batch = batch;
    shard.loss = *loss;
    gather(&mut shard.x, Some(set.x), set.inputs, rows);
    let Targets { labels, values, teacher } = &mut shard.targets;
    shard.heads.clear();
    shard.heads.extend_from_slice(set.heads);
    gather(labels, set.labels, set.labels_per_sample(), rows);
    gather(values, set.values, set.outputs, rows);
    gather(teacher, set.teacher, set.outputs, rows);
}

fn gather<T: Copy>(to: &mut Vec<T>, from: Option<&[T]>, width: usize, rows: &[u32]) {
    to.clear();
    if let Some(from) = from {
        for &r in rows {
            to.extend_from_slice(&from[r as usize * width..][..width]);
        }
    }
}
