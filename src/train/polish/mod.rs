//! Polishing: a discrete search on the exact model behind gradient training. Formats stay; single weights and biases move by a bit where
//! that lowers the task loss on the training data and costs no EBOPs. What is tried is evaluated exactly and only where it changes
//! something ([`crate::quant::exact::variants`]).
//!
//! Per round all [`moves`] are tried; the best eighth of those that help is taken together; if the loss did not fall, a quarter of it, down
//! to one. It ends when nothing helps any more.

mod moves;
mod objective;

use super::op::bias::ChannelGroups;
use super::topology::Topology;
use super::{LayerOptions, TaskLoss, TrainSet};
use crate::quant::exact::variants::{Change, Parameter, Variants};
use crate::quant::interval::AllBounds;
use crate::quant::model::{FixedDense, FixedModel, FixedOp, Model, QDense, QOp, fractional_bits};
use crate::quant::taps::Taps;
use crate::quant::{BiasBits, Groups, ebops};
use moves::Move;
use objective::Objective;
use rayon::prelude::*;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

/// Rounds at most; the gain of later ones was below that of other seeds.
const ROUNDS: usize = 12;
/// Finest grid of a weight (spec A1.1).
const MAX_F: i32 = 23;
/// Share of the moves that help which is taken at once.
const TAKEN: usize = 8;
/// A move must lower the mean loss by at least this share of it.
const LEAST_GAIN: f64 = 1e-5;
/// Numbers computed per round, at most: seconds on a small machine. Larger models are polished on fewer samples …
const WORK: f64 = 4e8;
/// … but not on less than this: what a few samples like is chance.
const LEAST_SAMPLES: usize = 1000;
/// Numbers held at a time (values of all samples): 512 MiB.
const MAX_VALUES: usize = 1 << 26;
/// Products of one sample, which the tables of readers hold one by one.
const MAX_PRODUCTS: usize = 1 << 24;

/// What is minimised, on what.
pub struct Polishing<'a> {
    pub set: &'a TrainSet<'a>,
    /// Training rows, in an order that a share of them may be taken from.
    pub rows: &'a [u32],
    /// Values per sample of each input.
    pub input_widths: &'a [usize],
    pub loss: &'a TaskLoss,
    /// EBOPs that the model may grow by.
    pub slack: f64,
    /// Layers that keep their weights or their widths: a move may change both, so they stay as they are.
    pub layers: &'a [LayerOptions],
}

/// The model after polishing; `fixed`: the model made exact, `bounds`: its. `None` where there is nothing to gain, or the model is too
/// large for it.
pub fn polish(model: &Model, fixed: &FixedModel, bounds: &AllBounds, how: &Polishing, cancel: &AtomicBool) -> Option<Model> {
    let layers = layers(model, fixed, bounds, how.layers);
    let samples = affordable(fixed, &layers, how.rows.len())?;
    // an even share of the rows
    let rows: Vec<usize> = (0..samples).map(|n| how.rows[n * how.rows.len() / samples] as usize).collect();
    let inputs = columns_of_inputs(how, &rows);
    let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let objective = Objective::new(how.loss, how.set, &rows);
    let mut search = Search {
        variants: Variants::new(fixed, &inputs, samples),
        fixed,
        samples,
        objective,
        finer: how.slack > 0.0,
        losses: Vec::new(),
    };
    search.losses = search.all_losses();
    let mut taken: Vec<Change> = Vec::new();
    let mut slack = how.slack;
    for _ in 0..ROUNDS {
        if cancel.load(Ordering::Relaxed) {
            return None;
        }
        let found = search.round(&layers, slack);
        if found.is_empty() {
            break;
        }
        slack -= found.iter().map(|m| m.ebops).sum::<f64>();
        taken.extend(found.iter().map(|m| m.change));
    }
    (!taken.is_empty()).then(|| with_changes(model, &taken))
}

/// A layer that may change.
struct Layer<'a> {
    node: usize,
    dense: &'a FixedDense,
    /// Bits of the inputs under each entry of the patch, summed over the positions, by weight.
    bits: Vec<f64>,
    /// Grid of each bias.
    bias_f: Vec<i32>,
    /// Finest grid of each weight.
    weight_f: Vec<i32>,
}

fn layers<'a>(model: &Model, fixed: &'a FixedModel, bounds: &AllBounds, options: &[LayerOptions]) -> Vec<Layer<'a>> {
    let topology = Topology::new(model);
    let mut found = Vec::new();
    for (node, (exact, latent)) in fixed.nodes.iter().zip(&model.nodes).enumerate() {
        let (FixedOp::Dense(d), Some(q)) = (&exact.op, latent.op.layer()) else { continue };
        let kept = options.iter().any(|l| l.node == latent.name && !(l.weights && l.bits));
        if !q.trainable || kept {
            continue;
        }
        let formats = ebops::wire_formats(fixed, bounds, exact.inputs[0]);
        let taps = Taps::new(d.inputs, d.outputs, d.window.as_ref());
        let bits = |e: usize| taps.sum(e / d.outputs, e % d.outputs, |x| u64::from(formats[x].bits())) as f64 * d.ebops_scale;
        // a group that shares its width keeps it: its other weights would be rounded anew
        let elementwise = q.weight_groups.is_elementwise();
        let weight_f = |e: usize| if elementwise { MAX_F } else { q.weight_f[q.weight_groups.of(e)].round_ties_even() as i32 };
        let elements = 0..d.inputs * d.outputs;
        let (bias_f, weight_f) = match &latent.op {
            // shared widths have a range that others need, too: nothing moves
            QOp::SaturatingDense(s) => {
                let own = |groups: &Groups, f: Vec<i32>| if groups.is_elementwise() { f } else { Vec::new() };
                (own(&s.bias.groups, s.bias.rounded_f()), own(&s.weight.groups, vec![MAX_F; elements.len()]))
            }
            _ => (bias_f(model, &topology, node, q), elements.clone().map(weight_f).collect()),
        };
        found.push(Layer { node, dense: d, bits: elements.map(bits).collect(), bias_f, weight_f });
    }
    found
}

/// Fractional bits of each bias of layer `node`: its own, or those of the quantizer behind the layer.
fn bias_f(model: &Model, topology: &Topology, node: usize, layer: &QDense) -> Vec<i32> {
    match &layer.bias_bits {
        BiasBits::Own(f) => f.clone(),
        BiasBits::Activation => {
            let behind = topology.quantizers_below(model.nodes[node].output);
            let Some(QOp::Quantizer(q)) = behind.first().map(|&n| &model.nodes[n].op) else { return Vec::new() };
            let channels = ChannelGroups::new(&q.groups, layer.outputs);
            (0..layer.outputs).map(|c| channels.f(c, &q.f).round_ties_even() as i32).collect()
        }
    }
}

/// How many samples the search can use.
fn affordable(fixed: &FixedModel, layers: &[Layer], samples: usize) -> Option<usize> {
    let values: usize = (0..fixed.values.len()).map(|v| fixed.len_of(v)).sum();
    let positions = |d: &FixedDense| d.window.as_ref().map_or(1, |w| w.positions());
    let products: usize = layers.iter().map(|l| positions(l.dense) * l.dense.inputs * l.dense.outputs).sum();
    if products > MAX_PRODUCTS || values == 0 {
        return None;
    }
    // a change of a layer touches its positions and, behind it, about as many values as the next layers have
    let behind = |node: usize| fixed.nodes[node..].iter().map(|n| fixed.len_of(n.output)).sum::<usize>();
    let moves = |l: &Layer| 5.0 * l.dense.weight.ints.iter().filter(|&&w| w != 0).count() as f64;
    let work: f64 = layers.iter().map(|l| moves(l) * (positions(l.dense) + behind(l.node)) as f64).sum();
    let affordable = ((WORK / work.max(1.0)) as usize).min(MAX_VALUES / values).min(samples);
    (affordable >= LEAST_SAMPLES.min(samples) && affordable > 0).then_some(affordable)
}

/// The rows of each graph input.
fn columns_of_inputs(how: &Polishing, rows: &[usize]) -> Vec<Vec<f32>> {
    let width: usize = how.input_widths.iter().sum();
    let mut first = 0;
    how.input_widths
        .iter()
        .map(|&len| {
            let part = rows.iter().flat_map(|&r| how.set.x[r * width + first..r * width + first + len].iter().copied()).collect();
            first += len;
            part
        })
        .collect()
}

struct Search<'a> {
    variants: Variants<'a>,
    fixed: &'a FixedModel,
    samples: usize,
    objective: Objective,
    /// Moves that cost EBOPs are tried, too.
    finer: bool,
    /// Of each sample.
    losses: Vec<f64>,
}

impl Search<'_> {
    /// One round; the moves taken, which cost at most `slack` EBOPs.
    fn round(&mut self, layers: &[Layer], slack: f64) -> Vec<Move> {
        let moves: Vec<Move> = layers.iter().flat_map(|l| self.moves(l)).filter(|m| m.ebops <= slack.max(0.0)).collect();
        let gains: Vec<f64> = moves.par_iter().map(|m| self.gain(&m.change)).collect();
        let before = mean(&self.losses);
        let least = LEAST_GAIN * before.abs();
        let mut helping: Vec<(f64, Move)> =
            gains.iter().zip(&moves).filter(|(g, _)| **g > least).map(|(&g, &m)| (g, m)).collect();
        helping.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut seen = HashSet::new();
        helping.retain(|(_, m)| seen.insert((m.change.node, m.change.what)));
        let mut count = (helping.len() / TAKEN).max(1).min(helping.len());
        while count > 0 {
            let mut left = slack;
            let mut fits = |m: &Move| {
                let fits = m.ebops <= 0.0 || m.ebops <= left;
                left -= if fits { m.ebops } else { 0.0 };
                fits
            };
            let taken: Vec<Move> = helping[..count].iter().map(|h| h.1).filter(|m| fits(m)).collect();
            let changes: Vec<Change> = taken.iter().map(|m| m.change).collect();
            let undo: Vec<Change> = changes.iter().map(|c| Change { value: self.variants.value(c.node, c.what), ..*c }).collect();
            self.variants.apply(&changes);
            let losses = self.all_losses();
            if mean(&losses) < before {
                self.losses = losses;
                return taken;
            }
            self.variants.apply(&undo);
            count = if count == 1 { 0 } else { (count / 4).max(1) };
        }
        Vec::new()
    }

    fn moves(&self, layer: &Layer) -> Vec<Move> {
        let node = layer.node;
        let value = |what: Parameter| self.variants.value(node, what);
        let weight = |e: usize| moves::weight(node, e, value(Parameter::Weight(e)), layer.bits[e], layer.weight_f[e], self.finer);
        let bias = |(o, &f): (usize, &i32)| moves::bias(node, o, value(Parameter::Bias(o)), f);
        let weights = (0..layer.weight_f.len()).flat_map(weight);
        weights.chain(layer.bias_f.iter().enumerate().flat_map(bias)).collect()
    }

    /// By how much a change lowers the mean loss.
    fn gain(&self, change: &Change) -> f64 {
        let changed = self.variants.outputs_with(change);
        let outputs = &self.fixed.outputs;
        // samples whose outputs differ
        let mut differs = vec![false; self.samples];
        for (elements, &value) in changed.iter().zip(outputs) {
            for (&e, column) in elements {
                let old = self.variants.column(value, e);
                differs.iter_mut().zip(column.iter().zip(old)).for_each(|(d, (a, b))| *d |= a != b);
            }
        }
        let mut z = Vec::new();
        let mut gain = 0.0;
        for s in (0..self.samples).filter(|&s| differs[s]) {
            z.clear();
            for (elements, &value) in changed.iter().zip(outputs) {
                let of = |e: usize| elements.get(&e).map_or_else(|| self.variants.column(value, e), Vec::as_slice)[s];
                z.extend((0..self.fixed.len_of(value)).map(of));
            }
            gain += self.losses[s] - self.objective.sample(s, &z);
        }
        gain / self.samples as f64
    }

    fn all_losses(&self) -> Vec<f64> {
        let outputs = &self.fixed.outputs;
        let of = |s: usize| {
            let z = outputs.iter().flat_map(|&v| (0..self.fixed.len_of(v)).map(move |e| (v, e)));
            let z: Vec<f64> = z.map(|(v, e)| self.variants.column(v, e)[s]).collect();
            self.objective.sample(s, &z)
        };
        (0..self.samples).into_par_iter().map(of).collect()
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The latent model with these values, on the coarsest grids that hold them.
fn with_changes(model: &Model, changes: &[Change]) -> Model {
    let mut model = model.clone();
    for &Change { node, what, value } in changes {
        let d = match &mut model.nodes[node].op {
            QOp::Dense(d) => d,
            QOp::SaturatingDense(s) => {
                match what {
                    Parameter::Bias(o) => {
                        s.layer.bias[o] = value as f32;
                        s.bias.hold(o, value);
                    }
                    Parameter::Weight(e) => {
                        s.layer.weight[e] = value as f32;
                        s.weight.hold(e, value);
                    }
                }
                continue;
            }
            _ => continue,
        };
        d.declared = None;
        match what {
            Parameter::Bias(o) => d.bias[o] = value as f32,
            Parameter::Weight(e) => {
                d.weight[e] = value as f32;
                if value != 0.0 && d.weight_groups.is_elementwise() {
                    d.weight_f[d.weight_groups.of(e)] = fractional_bits(value) as f32;
                }
            }
        }
    }
    model
}
