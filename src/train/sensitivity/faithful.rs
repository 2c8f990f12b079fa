//! A start that follows the source: the fewest bits for an output error, to first order and without
//! moving a weight.
//!
//! Rounding to `f` fractional bits errs by `4^-f/12`, so a weight adds `½·E[g²]·4^-f/12` to the
//! output error and the values of an activation what was measured at one width, a quarter of it per
//! bit more. An enclosed bit of a weight costs the bits of its inputs, a bit of an activation the
//! enclosed bits of the weights that read it. At one price per EBOP the least sum of both gives
//! every `f` in closed form: the water-filling of rate–distortion theory. Gradients are those of
//! [`super::fisher`], all in one pass.

use super::reference::reference;
use super::{CalibrationSet, fisher, layer};
use crate::ops::Move;
use crate::quant::kif::{exp2i, floor_log2};
use crate::quant::model::fractional_bits;
use crate::quant::{BiasBits, Model, QOp, Quantizer, Range};
use crate::train::engine::Engine;
use crate::train::engine::options::EngineOptions;
use crate::train::error::TrainError;
use std::f64::consts::LN_2;
use std::sync::atomic::AtomicBool;

/// Multiplications for the gradients: about a second.
const WORK: f64 = 5e9;
/// Samples of them.
const SAMPLES: (usize, usize) = (32, 128);
/// Fractional bits at which errors of activations are measured: small enough to add up, large
/// enough to be seen in f32.
const MEASURED_F: i32 = 6;
/// A sum of values on that grid is measured this many bits coarser: on its own grid nothing is
/// rounded.
const COARSER: i32 = 2;
/// Cost of an operand's bit beside one of the sum's: with a sixteenth it gets two bits more.
const OPERAND_COST: f64 = 1.0 / 16.0;
/// Turns between weights and activations: the costs of each follow from the other.
const TURNS: usize = 3;
/// Curvature of a weight that no sample drives, as a share of its layer's (geometric) mean: it may
/// be what other data need.
const MIN_CURVATURE: f64 = 1e-3;
/// Bounds of the widths of weights (docs/hgq-spec.md#a1-1).
const WEIGHT_F: (f64, f64) = (-8.0, 23.0);
/// Widths of an activation that the data never drive (docs/recipe.md#start).
const IDLE_F: f32 = 4.0;
/// Fractional bits of outputs at unit spread: they multiply nothing, and their rounding adds a
/// thousandth.
const OUTPUT_F: f32 = 8.0;

/// Which tensors start elsewhere: by node, as the configuration gave them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given {
    pub weights: bool,
    pub activations: bool,
}

/// The sensitivities of one model.
pub struct Faithful<'m> {
    model: &'m Model,
    engine: Engine,
    /// By dense layer of the plan; none where its widths stay.
    weights: Vec<Option<Weights>>,
    /// By quantizer of the plan.
    widths: Vec<Option<Widths>>,
    given: &'m [Given],
    /// Sums, by quantizers of the plan.
    sums: Vec<(usize, Vec<usize>)>,
}

struct Weights {
    inputs: usize,
    outputs: usize,
    parts: usize,
    /// `½·E[g²]/12`, `[input][output]`.
    curvature: Vec<f64>,
}

/// A quantizer's groups.
struct Widths {
    /// Where errors were measured, and the finest that is of use.
    measured: Vec<i32>,
    finest: Vec<i32>,
    i: Vec<f32>,
    error: Vec<f64>,
}

impl<'m> Faithful<'m> {
    /// Measures `model`; `given`: by node. `None` when `cancel` was set.
    ///
    /// # Errors
    /// See [`Engine::new`] and [`Engine::gradients`].
    pub fn measure(
        model: &'m Model,
        given: &'m [Given],
        set: &CalibrationSet,
        cancel: &AtomicBool,
    ) -> Result<Option<Self>, TrainError> {
        let options =
            EngineOptions { group_norm: false, output_exponents: set.output_exponents.to_vec(), ..EngineOptions::default() };
        let mut engine = Engine::new(&reference(&opened(model, given)), &options)?;
        let mut weights: Vec<Option<Weights>> = engine.plan().dense.iter().map(|d| layer_of(model, given, d)).collect();
        let grids = grids(model, set);
        let of = |q: &crate::train::engine::quantizer_plan::QuantizerPlan| widths_of(model, given, q.node, &grids);
        let mut widths: Vec<Option<Widths>> = engine.plan().quantizers.iter().map(of).collect();
        let sums = sums(model, engine.plan());
        for &(n, _) in &sums {
            widths[n].iter_mut().flat_map(|w| &mut w.measured).for_each(|f| *f -= COARSER);
        }
        for (n, w) in widths.iter().enumerate() {
            let Some(w) = w else { continue };
            let open = engine.widths(n);
            engine.set_widths(n, &w.measured.iter().zip(open).map(|(&f, (_, i))| (f as f32, i)).collect::<Vec<_>>());
        }
        let per_sample = 3.0 * fisher::products(model) + 10.0 * engine.params.values.len() as f64;
        let drawn = fisher::drawn(set, ((WORK / per_sample.max(1.0)) as usize).clamp(SAMPLES.0, SAMPLES.1));
        let count = drawn.samples().max(1) as f64;
        let visit = |engine: &Engine, _: usize, factor: f32| {
            let factor = f64::from(factor);
            for (w, plan) in weights.iter_mut().zip(&engine.plan().dense) {
                let Some(w) = w else { continue };
                let segment = &engine.params.segments[plan.weight];
                for (k, row) in w.curvature.chunks_exact_mut(w.outputs).enumerate() {
                    let grads = &engine.params.grads[segment.offset + k * segment.stride..];
                    row.iter_mut().zip(grads).for_each(|(h, &g)| *h += (factor * f64::from(g)).powi(2) / (24.0 * count));
                }
            }
            for (w, plan) in widths.iter_mut().zip(&engine.plan().quantizers) {
                let Some(w) = w else { continue };
                let grads = engine.params.read(plan.f, &engine.params.grads);
                w.error.iter_mut().zip(grads).for_each(|(e, g)| *e += (factor * f64::from(g) / LN_2).powi(2) / (2.0 * count));
            }
        };
        if fisher::each(&mut engine, set, &drawn, cancel, visit)?.is_none() {
            return Ok(None);
        }
        weights.iter_mut().flatten().for_each(Weights::floor);
        Ok(Some(Faithful { model, engine, weights, widths, given, sums }))
    }

    /// The model at `price`: float weights as they are, widths by what they are worth.
    pub fn model(&mut self, price: f64) -> Model {
        let mut out = self.model.clone();
        let f = |w: &Widths| w.measured.iter().map(|&f| f as f32).collect::<Vec<f32>>();
        let mut chosen: Vec<Option<Vec<f32>>> = self.widths.iter().map(|w| w.as_ref().map(f)).collect();
        for _ in 0..TURNS {
            self.set(&chosen);
            let bits = self.engine.input_bits();
            let mut enclosed = Vec::with_capacity(bits.len());
            for ((w, plan), bits) in self.weights.iter().zip(&self.engine.plan().dense).zip(&bits) {
                let QOp::Dense(d) = &mut out.nodes[plan.node].op else {
                    enclosed.push(vec![0.0; bits.len()]);
                    continue;
                };
                if let Some(w) = w {
                    d.weight_f = w.choose(&d.weight_groups, price, bits);
                }
                enclosed.push(enclosed_bits(d, plan.op.parts.max(1)));
            }
            let mut costs = self.engine.width_costs(&enclosed);
            self.share_costs(&mut costs);
            for ((w, chosen), costs) in self.widths.iter().zip(&mut chosen).zip(&costs) {
                if let (Some(w), Some(chosen)) = (w, chosen) {
                    *chosen = (0..w.error.len()).map(|g| w.choose(g, price, costs[g])).collect();
                }
            }
        }
        for (chosen, plan) in chosen.into_iter().zip(&self.engine.plan().quantizers) {
            if let (Some(chosen), QOp::Quantizer(q)) = (chosen, &mut out.nodes[plan.node].op) {
                q.f = chosen;
            }
        }
        for (node, given) in out.nodes.iter_mut().zip(self.given) {
            if let QOp::Quantizer(q) = &mut node.op
                && q.range == Range::Traced
                && !q.annotated
                && !given.activations
            {
                q.f.fill(OUTPUT_F.min(q.max_f));
            }
        }
        out
    }

    /// A bit of an operand multiplies nothing, but bits far below those of the sum are lost in it.
    fn share_costs(&self, costs: &mut [Vec<f64>]) {
        for (n, operands) in self.sums.iter().rev() {
            let of_sum = costs[*n].clone();
            let mean = of_sum.iter().sum::<f64>() / of_sum.len().max(1) as f64;
            for &operand in operands {
                let alike = costs[operand].len() == of_sum.len();
                for (g, cost) in costs[operand].iter_mut().enumerate() {
                    *cost += OPERAND_COST * if alike { of_sum[g] } else { mean };
                }
            }
        }
    }

    fn set(&mut self, chosen: &[Option<Vec<f32>>]) {
        for (n, chosen) in chosen.iter().enumerate() {
            if let (Some(f), Some(w)) = (chosen, &self.widths[n]) {
                self.engine.set_widths(n, &f.iter().zip(&w.i).map(|(&f, &i)| (f, i)).collect::<Vec<_>>());
            }
        }
    }
}

impl Weights {
    /// What no sample drives counts a little.
    fn floor(&mut self) {
        let driven = || self.curvature.iter().filter(|h| **h > 0.0);
        let mean = (driven().map(|h| h.ln()).sum::<f64>() / driven().count().max(1) as f64).exp();
        if driven().next().is_some() {
            self.curvature.iter_mut().for_each(|h| *h = h.max(MIN_CURVATURE * mean));
        }
    }

    /// Fractional bits of each group.
    fn choose(&self, groups: &crate::quant::Groups, price: f64, bits: &[f64]) -> Vec<f32> {
        let (mut curvature, mut cost) = (vec![0f64; groups.count()], vec![0f64; groups.count()]);
        for k in 0..self.inputs {
            for o in 0..self.outputs {
                let (at, entry) = (k * self.outputs + o, k * self.parts + o / (self.outputs / self.parts).max(1));
                curvature[groups.of(at)] += self.curvature[at];
                cost[groups.of(at)] += bits[entry];
            }
        }
        let best = |(h, c): (&f64, &f64)| best_f(*h, price * c.max(1.0)).clamp(WEIGHT_F.0, WEIGHT_F.1) as f32;
        curvature.iter().zip(&cost).map(best).collect()
    }
}

impl Widths {
    /// Fractional bits of group `g`, one of which costs `cost` EBOPs.
    fn choose(&self, g: usize, price: f64, cost: f64) -> f32 {
        if self.error[g] <= 0.0 {
            return IDLE_F.min(self.finest[g] as f32);
        }
        let at_one = self.error[g] * exp2i(2 * self.measured[g]);
        let f = best_f(at_one, price * cost.max(1.0)) as f32;
        // the finest is that of a table, also for values smaller than its step
        f.max(1.0 - self.i[g].round_ties_even()).min(self.finest[g] as f32)
    }
}

/// Quantizers of the plan after sums, with those in front.
fn sums(model: &Model, plan: &crate::train::engine::plan::Plan) -> Vec<(usize, Vec<usize>)> {
    let of = |node: &usize| plan.quantizers.iter().position(|q| q.node == *node);
    let all = super::merged::all(model).into_iter();
    all.filter_map(|m| Some((of(&m.node)?, m.operands.iter().filter_map(of).collect()))).collect()
}

/// `model` with everything that gets its widths here as if it were trained.
fn opened(model: &Model, given: &[Given]) -> Model {
    let mut open = model.clone();
    for (node, given) in open.nodes.iter_mut().zip(given) {
        if let QOp::Dense(d) = &mut node.op {
            d.trainable = !given.weights;
        } else if let QOp::Quantizer(q) = &mut node.op {
            q.trainable = !given.activations;
        }
    }
    open
}

/// The integer next to where the derivative of `error·4^-f + price·f` is 0.
fn best_f(error: f64, price: f64) -> f64 {
    if error <= 0.0 || price <= 0.0 { WEIGHT_F.1 } else { (0.5 * (error * 2.0 * LN_2 / price).log2()).round() }
}

fn layer_of(model: &Model, given: &[Given], plan: &crate::train::engine::plan::DensePlan) -> Option<Weights> {
    let QOp::Dense(d) = &model.nodes[plan.node].op else { return None };
    let free = d.declared.is_none() && !given[plan.node].weights;
    let curvature = vec![0.0; d.inputs * d.outputs];
    free.then_some(Weights { inputs: d.inputs, outputs: d.outputs, parts: plan.op.parts.max(1), curvature })
}

fn widths_of(model: &Model, given: &[Given], node: usize, grids: &[Option<Vec<i32>>]) -> Option<Widths> {
    let QOp::Quantizer(q) = &model.nodes[node].op else { return None };
    let (Range::Saturating { i, .. } | Range::Declared { i, .. }) = &q.range else { return None };
    if q.annotated || given[node].activations {
        return None;
    }
    let limit = (q.max_f.round_ties_even() as i32).min(bias_limit(model, model.nodes[node].inputs[0]));
    let own = grid_of(q, grids[model.nodes[node].inputs[0]].as_deref());
    let finest: Vec<i32> = own.iter().map(|f| f.map_or(limit, |f| f.min(limit))).collect();
    let measured = own.iter().zip(&finest).map(|(f, &finest)| f.map_or(MEASURED_F, |f| MEASURED_F.min(f - 1)).min(finest));
    Some(Widths { measured: measured.collect(), error: vec![0.0; finest.len()], finest, i: i.clone() })
}

/// Fractional bits up to which the bias of the layer that gives `value`, which has those of the
/// quantizer after it, is a float32 with half a step more.
fn bias_limit(model: &Model, value: usize) -> i32 {
    const BIAS_BITS: i32 = 22;
    let Some(node) = model.producer(value).map(|n| &model.nodes[n]) else { return i32::MAX };
    match &node.op {
        QOp::Dense(d) if d.bias_bits == BiasBits::Activation => {
            let top = d.bias.iter().fold(0f32, |m, b| m.max(b.abs()));
            if top > 0.0 { BIAS_BITS - 1 - floor_log2(top.into()) } else { i32::MAX }
        }
        QOp::Elementwise(_) | QOp::MaxPool(_) | QOp::Move(Move::Reshape) => bias_limit(model, node.inputs[0]),
        QOp::Dense(_)
        | QOp::Quantizer(_)
        | QOp::SaturatingDense(_)
        | QOp::Affine(_)
        | QOp::Sign
        | QOp::AveragePool(_)
        | QOp::Merge(_)
        | QOp::Move(Move::Concat { .. } | Move::Pad { .. } | Move::Permute { .. } | Move::Select { .. }) => i32::MAX,
    }
}

/// By value of the model: fractional bits that hold all of the data of its elements, of inputs and
/// their other shapes.
fn grids(model: &Model, set: &CalibrationSet) -> Vec<Option<Vec<i32>>> {
    let mut grids = vec![None; model.values.len()];
    let mut first = 0;
    for &input in &model.inputs {
        let len = model.len_of(input);
        let mut finest = vec![i32::MIN; len];
        for row in set.x.chunks_exact(set.inputs.max(1)) {
            for (f, &x) in finest.iter_mut().zip(&row[first..first + len]).filter(|(_, x)| **x != 0.0) {
                *f = (*f).max(fractional_bits(f64::from(x)));
            }
        }
        grids[input] = Some(finest);
        first += len;
    }
    for node in &model.nodes {
        if matches!(node.op, QOp::Move(Move::Reshape)) {
            grids[node.output] = grids[node.inputs[0]].clone();
        }
    }
    grids
}

/// The grid of each group; none where it is not known.
fn grid_of(q: &Quantizer, elements: Option<&[i32]>) -> Vec<Option<i32>> {
    let Some(elements) = elements else { return vec![None; q.groups.count()] };
    let mut of = vec![i32::MIN; q.groups.count()];
    for (e, &f) in elements.iter().enumerate() {
        of[q.groups.of(e)] = of[q.groups.of(e)].max(f);
    }
    of.into_iter().map(|f| (f != i32::MIN).then_some(f)).collect()
}

/// Enclosed bits of the weights of each entry of the engine's cost table.
fn enclosed_bits(d: &crate::quant::QDense, parts: usize) -> Vec<f32> {
    let mut sums = vec![0f32; d.inputs * parts];
    for (at, &w) in d.weight.iter().enumerate() {
        let (k, o) = (at / d.outputs, at % d.outputs);
        let f = d.weight_f[d.weight_groups.of(at)].round_ties_even() as i32;
        let q = (f64::from(w) * exp2i(f) + 0.5).floor() * exp2i(-f);
        sums[k * parts + o / (d.outputs / parts).max(1)] += layer::enclosed(q as f32) as f32;
    }
    sums
}
