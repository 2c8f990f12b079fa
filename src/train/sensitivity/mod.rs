//! Bit widths and quantized weights from calibration data alone: no labels, no training steps.
//!
//! The error of the outputs against the source is `½·Σ_layers E[(g·Δw)²] + ½·Σ_widths E[(g·Δa)²]`
//! to second order, `g` the gradient of one sample's loss with its target drawn from the source's
//! own output distribution (Fisher information): [`fisher`]. A price per EBOP turns that error and
//! the exact EBOPs into one number, which is minimised alternately over the weights of each unit
//! ([`mod@unit`]: error feedback between them, as in Optimal Brain Surgeon, Hassibi and Stork 1993,
//! and GPTQ, arXiv 2210.17323) and over the widths of each activation ([`width`]). Small prices
//! give exact models, large ones small models.

mod cost;
mod faithful;
mod fisher;
mod layer;
mod merged;
mod reference;
mod unit;
mod width;

use super::engine::Engine;
use super::engine::options::EngineOptions;
use super::error::TrainError;
use crate::quant::{BiasBits, Model, QOp, Range};
pub use faithful::{Faithful, Given};
use layer::Layer;
use reference::reference;
use std::sync::atomic::AtomicBool;
use width::{Choice, Widths};

/// Turns of the alternation between weights and activation widths; more change nothing (measured on
/// digits).
const TURNS: usize = 3;
/// Bits of every activation before the first turn.
const FIRST_BITS: i32 = 4;
/// Additional fractional bits of an output that the file does not annotate: it multiplies nothing,
/// so its bits cost no EBOPs.
const OUTPUT_EXTRA_F: f32 = 4.0;

/// What the output error is measured in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// Kullback–Leibler divergence from the source's `softmax(z/temperature)`, in nats.
    Divergence { temperature: f32 },
    /// Mean squared error divided by the variance of the source's outputs.
    SquaredError { variance: f64 },
}

/// Calibration data with the source's outputs.
#[derive(Clone, Copy, Debug)]
pub struct CalibrationSet<'a> {
    /// samples × `inputs`
    pub x: &'a [f32],
    /// samples × `outputs`
    pub teacher: &'a [f32],
    pub inputs: usize,
    pub outputs: usize,
    pub measure: Measure,
    pub seed: u64,
    /// See [`EngineOptions::output_exponents`].
    pub output_exponents: &'a [i32],
}

/// The sensitivities of one model, from which models for any price follow.
pub struct Sensitivity<'m> {
    model: &'m Model,
    engine: Engine,
    /// One for each dense layer of the engine's plan.
    layers: Vec<Layer>,
    /// One for each quantizer of the engine's plan.
    widths: Vec<Option<Widths>>,
}

impl<'m> Sensitivity<'m> {
    /// Measures `model`; `None` when `cancel` was set.
    ///
    /// # Errors
    /// See [`Engine::new`] and [`Engine::gradients`].
    pub fn measure(model: &'m Model, set: &CalibrationSet, cancel: &AtomicBool) -> Result<Option<Self>, TrainError> {
        let reference = reference(model);
        let options =
            EngineOptions { group_norm: false, output_exponents: set.output_exponents.to_vec(), ..EngineOptions::default() };
        let mut engine = Engine::new(&reference, &options)?;
        let mut layers: Vec<Layer> = engine.plan().dense.iter().map(|d| Layer::new(model, &engine, d)).collect();
        if fisher::weights(&mut engine, set, &mut layers, cancel)?.is_none() {
            return Ok(None);
        }
        let Some(widths) = fisher::widths(&mut engine, model, set, cancel)? else { return Ok(None) };
        Ok(Some(Sensitivity { model, engine, layers, widths }))
    }

    /// The model that minimises `error + price·EBOPs`: quantized weights with their fractional
    /// bits, widths of the activations. Annotated widths and integer bits are upper limits; what is
    /// not trainable stays. `width_share`: the price for widths of activations as a share of that
    /// for weights. It makes up for what the second order leaves out: errors of activations add up
    /// over the layers, and below 1 fewer of them arise.
    pub fn allocate(&mut self, price: f64, width_share: f64) -> Model {
        let first = |w: &Widths| (0..w.groups()).map(|g| w.start(g, FIRST_BITS)).collect();
        let mut choices: Vec<Option<Vec<Choice>>> = self.widths.iter().map(|w| w.as_ref().map(first)).collect();
        self.layers.iter_mut().for_each(Layer::reset);
        for _ in 0..TURNS {
            for (n, c) in choices.iter().enumerate() {
                if let Some(c) = c {
                    self.engine.set_widths(n, &c.iter().map(|c| (c.f, c.i)).collect::<Vec<_>>());
                }
            }
            let bits = self.engine.input_bits();
            for (layer, bits) in self.layers.iter_mut().zip(&bits) {
                layer.descend(price, bits);
            }
            // with widths above 0 everywhere: a switched-off unit must know what switching it on
            // again costs
            for (n, w) in self.widths.iter().enumerate() {
                if let Some(w) = w {
                    let open: Vec<(f32, f32)> = (0..w.groups()).map(|g| w.start(g, FIRST_BITS)).map(|c| (c.f, c.i)).collect();
                    self.engine.set_widths(n, &open);
                }
            }
            let enclosed: Vec<Vec<f32>> = self.layers.iter().map(Layer::enclosed).collect();
            let costs = self.engine.width_costs(&enclosed);
            for ((w, c), cost) in self.widths.iter().zip(&mut choices).zip(&costs) {
                if let (Some(w), Some(c)) = (w, c) {
                    *c = (0..w.groups()).map(|g| w.choose(g, price * width_share, cost[g])).collect();
                }
            }
        }
        self.write(price, &choices)
    }

    /// Multiplications of one sample.
    pub fn products(&self) -> f64 {
        fisher::products(self.model)
    }

    fn write(&self, price: f64, choices: &[Option<Vec<Choice>>]) -> Model {
        let mut out = self.model.clone();
        for (layer, plan) in self.layers.iter().zip(&self.engine.plan().dense) {
            if let QOp::Dense(d) = &mut out.nodes[plan.node].op {
                if !layer.trainable {
                    continue;
                }
                layer.write(d);
                if d.bias_bits == BiasBits::Activation {
                    d.bias_bits = BiasBits::Own(layer.bias_grid(price));
                }
            }
        }
        for (choice, plan) in choices.iter().zip(&self.engine.plan().quantizers) {
            let (Some(choice), QOp::Quantizer(q)) = (choice, &mut out.nodes[plan.node].op) else { continue };
            for (g, c) in choice.iter().enumerate() {
                q.annotated &= q.f[g] == c.f;
                q.f[g] = c.f;
                if let Range::Saturating { i, .. } = &mut q.range {
                    q.annotated &= i[g] == c.i;
                    i[g] = c.i;
                }
            }
        }
        for node in &mut out.nodes {
            if let QOp::Quantizer(q) = &mut node.op
                && q.range == Range::Traced
                && q.trainable
                && !q.annotated
            {
                q.f.iter_mut().for_each(|f| *f = (*f + OUTPUT_EXTRA_F).min(q.max_f));
            }
        }
        out
    }
}
