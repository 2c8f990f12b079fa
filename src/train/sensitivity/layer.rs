//! The weights of one layer with what is known about their sensitivity.

use super::unit::Unit;
use crate::quant::kif::{exp2i, floor_log2};
use crate::quant::model::fractional_bits;
use crate::quant::{Groups, Model, QDense, QOp};
use crate::train::engine::Engine;
use crate::train::engine::plan::DensePlan;
use rayon::prelude::*;

/// Finest grid of a weight (docs/hgq-spec.md#a1-1).
const MAX_F: i32 = 23;
/// Coarsest and finest grid that weights of one group are tried on, from the exponent of the
/// largest.
const GROUP_F: std::ops::RangeInclusive<i32> = 0..=10;
/// Least trust in the curvature of single weights against that of pairs.
const MIN_SHRINK: f32 = 0.1;
/// Bounds of a bias grid.
const BIAS_F: (i32, i32) = (-8, 20);

pub(super) struct Layer {
    pub inputs: usize,
    pub outputs: usize,
    pub trainable: bool,
    /// Segments of weights and biases in the engine's parameters.
    pub segments: (usize, usize),
    parts: usize,
    groups: Groups,
    /// Annotated fractional bits per group.
    annotated: Option<Vec<i32>>,
    /// `[output][entry]`, the bias last.
    source: Vec<f32>,
    weights: Vec<f32>,
    /// `[output][entry][sample]`, the bias last.
    pub gradients: Vec<f32>,
    pub samples: usize,
    /// `[output][entry]`, mean square of the gradient.
    curvature: Vec<f32>,
    /// `[output][entry]`, see [`Layer::finish`].
    damping: Vec<f32>,
}

impl Layer {
    pub fn new(model: &Model, engine: &Engine, plan: &DensePlan) -> Layer {
        let (inputs, outputs) = (plan.op.inputs, plan.op.outputs);
        let (mut source, mut annotated, mut trainable) = (Vec::new(), None, false);
        if let QOp::Dense(d) = &model.nodes[plan.node].op {
            trainable = d.trainable;
            if d.declared.is_some() {
                annotated = Some(d.weight_f.iter().map(|f| f.round_ties_even() as i32).collect());
            }
        }
        let weight = engine.params.read(plan.weight, &engine.params.values);
        let bias = engine.params.read(plan.bias, &engine.params.values);
        for o in 0..outputs {
            source.extend((0..inputs).map(|k| weight[k * outputs + o]));
            source.push(bias[o]);
        }
        Layer {
            inputs,
            outputs,
            trainable,
            segments: (plan.weight, plan.bias),
            parts: plan.op.parts.max(1),
            groups: plan.op.groups.clone(),
            annotated,
            weights: source.clone(),
            source,
            gradients: Vec::new(),
            samples: 0,
            curvature: Vec::new(),
            damping: Vec::new(),
        }
    }

    /// Weights and biases.
    pub fn entries(&self) -> usize {
        (self.inputs + 1) * self.outputs
    }

    /// To be called when [`Layer::gradients`] is complete.
    ///
    /// A weight whose input is there only while its unit is off has no gradient, and may be what
    /// switches it off. Its damping is what it would have if input and unit were independent: the
    /// bias's curvature times the mean square of the input, which is taken from the other units
    /// that read it.
    pub fn finish(&mut self) {
        let n = self.samples.max(1);
        self.curvature = self.gradients.chunks_exact(n).map(|g| g.iter().map(|g| g * g).sum::<f32>() / n as f32).collect();
        let width = self.inputs + 1;
        // per entry of the cost table: Σ curvature of its weights, Σ curvature of the biases of the
        // same units
        let mut sums = vec![(0f32, 0f32); self.inputs * self.parts];
        for (o, h) in self.curvature.chunks_exact(width).enumerate() {
            for (k, own) in h[..self.inputs].iter().enumerate() {
                let sum = &mut sums[self.entry(k, o)];
                *sum = (sum.0 + own, sum.1 + h[self.inputs]);
            }
        }
        self.damping = self.curvature.clone();
        for o in 0..self.outputs {
            let bias = self.curvature[o * width + self.inputs];
            for k in 0..self.inputs {
                let (weights, biases) = sums[self.entry(k, o)];
                let square = if biases > 0.0 { weights / biases } else { 0.0 };
                let d = &mut self.damping[o * width + k];
                *d = d.max(bias * square);
            }
        }
    }

    /// The entry of the engine's cost table that weight `k` of output `o` reads.
    fn entry(&self, k: usize, o: usize) -> usize {
        k * self.parts + o / (self.outputs / self.parts).max(1)
    }

    /// Finest grids per `[output][input]`: annotated, or found for the weights that share one.
    fn limits(&self, price: f64, bits: &[f64]) -> Vec<i32> {
        let group = |k: usize, o: usize| self.groups.of(k * self.outputs + o);
        let of_group: Vec<i32> = match &self.annotated {
            Some(f) => f.clone(),
            None if self.groups.is_elementwise() => return vec![MAX_F; self.inputs * self.outputs],
            None => self.shared(price, bits),
        };
        (0..self.outputs).flat_map(|o| (0..self.inputs).map(move |k| (k, o))).map(|(k, o)| of_group[group(k, o)]).collect()
    }

    /// For each group of several weights the grid that gives the least error and cost.
    fn shared(&self, price: f64, bits: &[f64]) -> Vec<i32> {
        let mut top = vec![0f32; self.groups.count()];
        let all = || (0..self.outputs).flat_map(|o| (0..self.inputs).map(move |k| (k, o)));
        let of = |k: usize, o: usize| (self.groups.of(k * self.outputs + o), o * (self.inputs + 1) + k);
        for (k, o) in all() {
            let (g, at) = of(k, o);
            top[g] = top[g].max(self.source[at].abs());
        }
        let base: Vec<i32> = top.iter().map(|&t| if t > 0.0 { -floor_log2(f64::from(t)) } else { 0 }).collect();
        let (mut best, mut least) = (base.clone(), vec![f64::INFINITY; base.len()]);
        for step in GROUP_F {
            let mut total = vec![0f64; base.len()];
            for (k, o) in all() {
                let (g, at) = of(k, o);
                let (w, h, f) = (f64::from(self.source[at]), f64::from(self.curvature[at]), base[g] + step);
                let q = (w * exp2i(f) + 0.5).floor() * exp2i(-f);
                total[g] += 0.5 * h * (q - w) * (q - w) + price * bits[self.entry(k, o)] * f64::from(enclosed(q as f32));
            }
            for (g, &total) in total.iter().enumerate() {
                if total < least[g] {
                    (best[g], least[g]) = ((base[g] + step).min(MAX_F), total);
                }
            }
        }
        best
    }

    /// Back to the source's weights.
    pub fn reset(&mut self) {
        self.weights.copy_from_slice(&self.source);
    }

    /// Quantizes the weights for `price`, an enclosed bit of entry `e` costing `bits[e]` EBOPs.
    pub fn descend(&mut self, price: f64, bits: &[f64]) {
        if !self.trainable || self.samples == 0 {
            return;
        }
        let limits = self.limits(price, bits);
        let (inputs, outputs, parts, samples) = (self.inputs, self.outputs, self.parts, self.samples);
        let shrink = MIN_SHRINK.max(inputs as f32 / (inputs + samples) as f32);
        let Layer { gradients, curvature, damping, source, weights, .. } = self;
        weights.par_chunks_exact_mut(inputs + 1).enumerate().for_each(|(o, weights)| {
            let entries = o * (inputs + 1)..(o + 1) * (inputs + 1);
            let unit = Unit {
                gradients: &gradients[entries.start * samples..entries.end * samples],
                samples,
                curvature: &curvature[entries.clone()],
                damping: &damping[entries.clone()],
                source: &source[entries],
                shrink,
                limits: &limits[o * inputs..(o + 1) * inputs],
            };
            let part = o / (outputs / parts).max(1);
            let costs: Vec<f64> = (0..inputs).map(|k| price * bits[k * parts + part]).collect();
            unit.descend(weights, &costs);
        });
    }

    /// Enclosed bits of the weights of each entry of the cost table.
    pub fn enclosed(&self) -> Vec<f32> {
        let mut sums = vec![0f32; self.inputs * self.parts];
        for (o, unit) in self.weights.chunks_exact(self.inputs + 1).enumerate() {
            for (k, &w) in unit[..self.inputs].iter().enumerate() {
                sums[self.entry(k, o)] += enclosed(w) as f32;
            }
        }
        sums
    }

    /// Fractional bits per output at which rounding the bias costs less than one EBOP.
    pub fn bias_grid(&self, price: f64) -> Vec<i32> {
        let grid = |o: usize| {
            let h = self.curvature.get(o * (self.inputs + 1) + self.inputs).copied().unwrap_or(0.0);
            // ½·h·(2^-f)²/12 ≤ price
            let f = (f64::from(h) / (24.0 * price.max(f64::MIN_POSITIVE))).log2() / 2.0;
            (f.ceil() as i32).clamp(BIAS_F.0, BIAS_F.1)
        };
        (0..self.outputs).map(grid).collect()
    }

    /// Writes the quantized weights into `d`.
    pub fn write(&self, d: &mut QDense) {
        d.declared = None;
        let mut finest: Vec<Option<i32>> = vec![None; self.groups.count()];
        for (o, unit) in self.weights.chunks_exact(self.inputs + 1).enumerate() {
            for (k, &w) in unit[..self.inputs].iter().enumerate() {
                let at = k * self.outputs + o;
                d.weight[at] = w;
                if w != 0.0 {
                    let (f, known) = (fractional_bits(f64::from(w)), &mut finest[self.groups.of(at)]);
                    *known = Some(known.map_or(f, |k: i32| k.max(f)));
                }
            }
            d.bias[o] = unit[self.inputs];
        }
        for (f, found) in d.weight_f.iter_mut().zip(finest) {
            *f = found.unwrap_or(0) as f32;
        }
    }
}

pub(super) fn enclosed(w: f32) -> i32 {
    if w == 0.0 { 0 } else { floor_log2(f64::from(w.abs())) + fractional_bits(f64::from(w)) + 1 }
}
