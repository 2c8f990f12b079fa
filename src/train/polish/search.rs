//! The search itself: rounds of moves that lower the loss, growth beyond the budget, and the way back into it.

use super::layer::Layer;
use super::moves::{self, Move};
use super::objective::Objective;
use crate::quant::exact::variants::{Change, Parameter, Variants};
use crate::quant::kif::{exp2i, floor_log2};
use crate::quant::model::FixedModel;
use rayon::prelude::*;
use std::collections::HashSet;

/// Share of the moves that help which is taken at once.
const TAKEN: usize = 8;
/// A move must lower the mean loss by at least this share of it.
const LEAST_GAIN: f64 = 1e-5;
/// Batches in which a model that is too large comes back into its budget: each chooses anew.
const BATCHES: usize = 6;
/// Weights of 0 that are tried with a value, at most; there is one such round per growth.
const MAX_EMPTY: usize = 4000;

pub struct Search<'a> {
    variants: Variants<'a>,
    fixed: &'a FixedModel,
    layers: &'a [Layer<'a>],
    samples: usize,
    objective: Objective,
    /// Of each sample.
    losses: Vec<f64>,
    /// EBOPs against those of the start.
    ebops: f64,
}

/// Where a search was.
pub struct State {
    changes: Vec<Change>,
    losses: Vec<f64>,
    ebops: f64,
}

impl<'a> Search<'a> {
    pub fn new(fixed: &'a FixedModel, layers: &'a [Layer<'a>], inputs: &[&[f32]], samples: usize, objective: Objective) -> Search<'a> {
        let variants = Variants::new(fixed, inputs, samples);
        let mut search = Search { variants, fixed, layers, samples, objective, losses: Vec::new(), ebops: 0.0 };
        search.losses = search.all_losses();
        search
    }

    pub fn ebops(&self) -> f64 {
        self.ebops
    }

    pub fn loss(&self) -> f64 {
        mean(&self.losses)
    }

    /// All weights and biases that differ from the exact model.
    pub fn changes(&self) -> Vec<Change> {
        let changed = |l: &Layer| -> Vec<Change> {
            let weights = (0..l.dense.weight.ints.len()).map(|e| (Parameter::Weight(e), l.dense.weight.value(e)));
            let biases = (0..l.dense.outputs).map(|o| (Parameter::Bias(o), l.dense.bias.value(o)));
            let node = l.node;
            let now = weights.chain(biases).map(|(what, then)| (what, then, self.variants.value(node, what)));
            now.filter(|(_, then, value)| then != value).map(|(what, _, value)| Change { node, what, value }).collect()
        };
        self.layers.iter().flat_map(changed).collect()
    }

    pub fn state(&self) -> State {
        State { changes: self.changes(), losses: self.losses.clone(), ebops: self.ebops }
    }

    /// Back to `state`.
    pub fn restore(&mut self, state: State) {
        let then = |c: &Change| {
            let layer = self.layers.iter().find(|l| l.node == c.node);
            let value = layer.map_or(c.value, |l| match c.what {
                Parameter::Weight(e) => l.dense.weight.value(e),
                Parameter::Bias(o) => l.dense.bias.value(o),
            });
            Change { value, ..*c }
        };
        let mut changes: Vec<Change> = self.changes().iter().map(then).collect();
        changes.extend(state.changes);
        self.variants.apply(&changes);
        (self.losses, self.ebops) = (state.losses, state.ebops);
    }

    /// One round of moves that lower the loss and keep the model within `budget`; false if there are none.
    pub fn improve(&mut self, budget: f64) -> bool {
        let slack = (budget - self.ebops).max(0.0);
        let moves = self.moves(slack > 0.0, false).filter(|m| m.ebops <= slack).collect();
        let mut helping = self.helping(moves);
        helping.sort_by(|a, b| b.0.total_cmp(&a.0));
        self.take_best(helping, slack)
    }

    /// Spends EBOPs up to `limit` where they lower the loss most: finer weights, and new ones; false if nothing helps.
    pub fn grow(&mut self, limit: f64) -> bool {
        let slack = limit - self.ebops;
        let moves = self.moves(true, true).filter(|m| m.ebops > 0.0 && m.ebops <= slack).collect();
        let mut helping = self.helping(moves);
        helping.sort_by(|a, b| (b.0 / b.1.ebops).total_cmp(&(a.0 / a.1.ebops)));
        self.take_best(helping, slack)
    }

    /// Saves EBOPs until the model is within `budget`, where the loss grows least; false if it cannot.
    pub fn shrink(&mut self, budget: f64) -> bool {
        for batch in 0..BATCHES {
            let excess = self.ebops - budget;
            if excess <= 0.0 {
                break;
            }
            let moves: Vec<Move> = self.moves(false, false).filter(|m| m.ebops < 0.0).collect();
            let gains = self.gains(&moves);
            let mut priced: Vec<(f64, Move)> = gains.into_iter().zip(moves).map(|(g, m)| (g / m.ebops, m)).collect();
            priced.sort_by(|a, b| a.0.total_cmp(&b.0));
            once(&mut priced);
            // half of what is left, all of it in the last batch
            let mut wanted = if batch + 1 < BATCHES { 0.5 * excess } else { excess };
            let enough = |m: &Move| {
                let more = wanted > 0.0;
                wanted += m.ebops;
                more
            };
            let taken: Vec<Move> = priced.into_iter().map(|p| p.1).scan(enough, |enough, m| enough(&m).then_some(m)).collect();
            self.apply(&taken);
        }
        self.ebops <= budget
    }

    /// All moves: of weights and biases, finer ones where `finer`, and of weights that are 0 where `empty`.
    fn moves(&self, finer: bool, empty: bool) -> impl Iterator<Item = Move> {
        let of = move |layer: &'a Layer<'a>| {
            let node = layer.node;
            let value = |what: Parameter| self.variants.value(node, what);
            let usual = if empty { self.usual_magnitudes(layer) } else { Vec::new() };
            let weight = |e: usize| match value(Parameter::Weight(e)) {
                0.0 if layer.bits[e] > 0.0 => moves::empty(node, e, layer.bits[e], &usual, layer.weight_f[e]),
                0.0 => Vec::new(),
                w => moves::weight(node, e, w, layer.bits[e], layer.weight_f[e], finer),
            };
            let bias = |(o, &f): (usize, &i32)| moves::bias(node, o, value(Parameter::Bias(o)), f);
            let weights = (0..layer.weight_f.len()).flat_map(weight);
            weights.chain(layer.bias_f.iter().enumerate().flat_map(bias)).collect::<Vec<Move>>()
        };
        self.layers.iter().flat_map(of)
    }

    /// Powers of two around the weights of a layer, if the weights that are 0 and could have them are few enough to try.
    fn usual_magnitudes(&self, layer: &Layer) -> Vec<f64> {
        let all = (0..layer.weight_f.len()).map(|e| (layer.bits[e], self.variants.value(layer.node, Parameter::Weight(e)).abs()));
        let (mut powers, mut empty) = (Vec::new(), 0);
        for (bits, w) in all {
            if w > 0.0 {
                powers.push(exp2i(floor_log2(w)));
            } else {
                empty += usize::from(bits > 0.0);
            }
        }
        if empty > MAX_EMPTY || powers.is_empty() {
            return Vec::new();
        }
        powers.sort_by(f64::total_cmp);
        let mut usual = vec![powers[powers.len() / 4], powers[powers.len() / 2], powers[powers.len() * 3 / 4]];
        usual.dedup();
        usual
    }

    /// The moves that lower the loss enough, with their gains.
    fn helping(&self, moves: Vec<Move>) -> Vec<(f64, Move)> {
        let least = LEAST_GAIN * self.loss().abs();
        self.gains(&moves).into_iter().zip(moves).filter(|(gain, _)| *gain > least).collect()
    }

    fn gains(&self, moves: &[Move]) -> Vec<f64> {
        moves.par_iter().map(|m| self.gain(&m.change)).collect()
    }

    /// Takes the first eighth of the moves, as far as they cost at most `slack`; less of them if the loss does not fall. False if none is
    /// taken.
    fn take_best(&mut self, mut moves: Vec<(f64, Move)>, slack: f64) -> bool {
        once(&mut moves);
        let before = self.loss();
        let mut count = (moves.len() / TAKEN).max(1).min(moves.len());
        while count > 0 {
            let mut left = slack;
            let mut fits = |m: &Move| {
                let fits = m.ebops <= 0.0 || m.ebops <= left;
                left -= if fits { m.ebops } else { 0.0 };
                fits
            };
            let taken: Vec<Move> = moves[..count].iter().map(|h| h.1).filter(|m| fits(m)).collect();
            let state = (self.losses.clone(), self.ebops);
            let undo: Vec<Change> =
                taken.iter().map(|m| Change { value: self.variants.value(m.change.node, m.change.what), ..m.change }).collect();
            self.apply(&taken);
            if self.loss() < before {
                return true;
            }
            self.variants.apply(&undo);
            (self.losses, self.ebops) = state;
            count = if count == 1 { 0 } else { (count / 4).max(1) };
        }
        false
    }

    fn apply(&mut self, moves: &[Move]) {
        let changes: Vec<Change> = moves.iter().map(|m| m.change).collect();
        self.variants.apply(&changes);
        self.losses = self.all_losses();
        self.ebops += moves.iter().map(|m| m.ebops).sum::<f64>();
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

/// Leaves the first move of every weight and bias.
fn once(moves: &mut Vec<(f64, Move)>) {
    let mut seen = HashSet::new();
    moves.retain(|(_, m)| seen.insert((m.change.node, m.change.what)));
}
