//! The search itself: rounds of moves that lower the loss, growth beyond the budget, and the way
//! back into it.

use super::layer::Layer;
use super::moves::{self, Move};
use super::view::View;
use crate::quant::exact::variants::state::{Change, Parameter};
use crate::quant::kif::{exp2i, floor_log2};
use rayon::prelude::*;
use std::collections::HashSet;

/// Share of the moves that help which is taken at once.
const TAKEN: usize = 8;
/// A move must lower the mean loss by at least this share of it.
const MIN_GAIN: f64 = 1e-5;
/// Batches in which a model that is too large comes back into its budget: each chooses anew.
const BATCHES: usize = 4;
/// Weights of 0 that are tried with a value, at most; there is one such round per growth.
const MAX_EMPTY: usize = 4000;
/// Moves that look best on a few samples and are then tried on all: this share of them …
const PROMISING: usize = 8;
/// … and at least so many.
const MIN_PROMISING: usize = 32;

pub struct Search<'a> {
    layers: &'a [Layer<'a>],
    all: View<'a>,
    /// A share of the samples, to choose what is tried on all.
    few: View<'a>,
    /// EBOPs against those of the start.
    ebops: f64,
}

/// Where a search was: what differs from the start.
pub struct State {
    changes: Vec<Change>,
    ebops: f64,
}

impl<'a> Search<'a> {
    pub fn new(layers: &'a [Layer<'a>], all: View<'a>, few: View<'a>) -> Search<'a> {
        Search { layers, all, few, ebops: 0.0 }
    }

    pub fn ebops(&self) -> f64 {
        self.ebops
    }

    pub fn loss(&self) -> f64 {
        self.all.loss()
    }

    /// All weights and biases that differ from the exact model.
    pub fn changes(&self) -> Vec<Change> {
        let changed = |l: &Layer| -> Vec<Change> {
            let parameters =
                (0..l.dense.weight.ints.len()).map(Parameter::Weight).chain((0..l.dense.outputs).map(Parameter::Bias));
            let now = parameters.map(|what| Change { node: l.node, what, value: self.all.value(l.node, what) });
            now.filter(|c| c.value != l.value(c.what)).collect()
        };
        self.layers.iter().flat_map(changed).collect()
    }

    pub fn state(&self) -> State {
        State { changes: self.changes(), ebops: self.ebops }
    }

    /// Back to `state`.
    pub fn restore(&mut self, state: &State) {
        let then = |c: &Change| {
            let layer = self.layers.iter().find(|l| l.node == c.node);
            Change { value: layer.map_or(c.value, |l| l.value(c.what)), ..*c }
        };
        let mut changes: Vec<Change> = self.changes().iter().map(then).collect();
        changes.extend(&state.changes);
        self.apply(&changes, state.ebops - self.ebops);
    }

    /// One round of moves that lower the loss and keep the model within `budget`; false if there
    /// are none.
    pub fn improve(&mut self, budget: f64) -> bool {
        let slack = (budget - self.ebops).max(0.0);
        let moves = self.moves(slack > 0.0, false).filter(|m| m.ebops <= slack).collect();
        self.take_best(self.helping(moves, |gain, _| gain), slack)
    }

    /// Spends EBOPs up to `limit` where they lower the loss most: finer weights, and new ones;
    /// false if nothing helps.
    pub fn grow(&mut self, limit: f64) -> bool {
        let slack = limit - self.ebops;
        let moves = self.moves(true, true).filter(|m| m.ebops > 0.0 && m.ebops <= slack).collect();
        self.take_best(self.helping(moves, |gain, m| gain / m.ebops), slack)
    }

    /// Saves EBOPs until the model is within `budget`, where the loss may_exceed least; false if it
    /// cannot.
    pub fn shrink(&mut self, budget: f64) -> bool {
        for batch in 0..BATCHES {
            let excess = self.ebops - budget;
            if excess <= 0.0 {
                break;
            }
            let moves: Vec<Move> = self.moves(false, false).filter(|m| m.ebops < 0.0).collect();
            // the least loss per saved bit first
            let mut priced = self.promising(moves, |gain, m| gain / -m.ebops);
            once(&mut priced);
            // half of what is left, all of it in the last batch
            let mut wanted = if batch + 1 < BATCHES { 0.5 * excess } else { excess };
            let enough = |m: &Move| {
                let more = wanted > 0.0;
                wanted += m.ebops;
                more
            };
            let taken: Vec<Move> = priced.into_iter().map(|p| p.1).scan(enough, |enough, m| enough(&m).then_some(m)).collect();
            self.take(&taken);
        }
        self.ebops <= budget
    }

    /// All moves: of weights and biases, finer ones where `finer`, and of weights that are 0 where
    /// `empty`.
    fn moves(&self, finer: bool, empty: bool) -> impl Iterator<Item = Move> {
        let of = move |layer: &'a Layer<'a>| {
            let node = layer.node;
            let value = |what: Parameter| self.all.value(node, what);
            let usual = if empty { self.usual_magnitude(layer) } else { None };
            let weight = |e: usize| match value(Parameter::Weight(e)) {
                0.0 if layer.bits[e] > 0.0 => moves::empty(node, e, layer.bits[e], usual, layer.weight_f[e]),
                0.0 => Vec::new(),
                w => moves::weight(node, e, w, layer.bits[e], layer.weight_f[e], finer),
            };
            let bias = |(o, &f): (usize, &i32)| moves::bias(node, o, value(Parameter::Bias(o)), f);
            let weights = (0..layer.weight_f.len()).flat_map(weight);
            weights.chain(layer.bias_f.iter().enumerate().flat_map(bias)).collect::<Vec<Move>>()
        };
        self.layers.iter().flat_map(of)
    }

    /// The median power of two below the weights of a layer, if the weights that are 0 and could
    /// have it are few enough to try.
    fn usual_magnitude(&self, layer: &Layer) -> Option<f64> {
        let all = (0..layer.weight_f.len()).map(|e| (layer.bits[e], self.all.value(layer.node, Parameter::Weight(e)).abs()));
        let (mut powers, mut empty) = (Vec::new(), 0);
        for (bits, w) in all {
            if w > 0.0 {
                powers.push(exp2i(floor_log2(w)));
            } else {
                empty += usize::from(bits > 0.0);
            }
        }
        if empty > MAX_EMPTY || powers.is_empty() {
            return None;
        }
        powers.sort_by(f64::total_cmp);
        Some(powers[powers.len() / 2])
    }

    /// The promising moves that lower the loss enough, with their gains, the best first.
    fn helping(&self, moves: Vec<Move>, worth: impl Fn(f64, &Move) -> f64) -> Vec<(f64, Move)> {
        let least = MIN_GAIN * self.loss().abs();
        self.promising(moves, worth).into_iter().filter(|(gain, _)| *gain > least).collect()
    }

    /// Those that are `worth` most by their gain on a few samples, with their gains on all, in the
    /// order of what they are worth there.
    fn promising(&self, moves: Vec<Move>, worth: impl Fn(f64, &Move) -> f64) -> Vec<(f64, Move)> {
        let guessed = self.few.gains(moves.par_iter().map(|m| m.change));
        let mut order: Vec<(f64, usize)> = guessed.iter().zip(&moves).map(|(&g, m)| worth(g, m)).zip(0..).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0));
        order.truncate((moves.len() / PROMISING).max(MIN_PROMISING));
        let tried: Vec<Move> = order.into_iter().map(|(_, n)| moves[n]).collect();
        let gains = self.all.gains(tried.par_iter().map(|m| m.change));
        let mut found: Vec<(f64, Move)> = gains.into_iter().zip(tried).collect();
        found.sort_by(|a, b| worth(b.0, &b.1).total_cmp(&worth(a.0, &a.1)));
        found
    }

    /// Takes the first eighth of the moves, as far as they cost at most `slack`; less of them if
    /// the loss does not fall. False if none is taken.
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
            let undo: Vec<Change> =
                taken.iter().map(|m| Change { value: self.all.value(m.change.node, m.change.what), ..m.change }).collect();
            self.take(&taken);
            if self.loss() < before {
                return true;
            }
            self.apply(&undo, -taken.iter().map(|m| m.ebops).sum::<f64>());
            count = if count == 1 { 0 } else { (count / 4).max(1) };
        }
        false
    }

    fn take(&mut self, moves: &[Move]) {
        let changes: Vec<Change> = moves.iter().map(|m| m.change).collect();
        self.apply(&changes, moves.iter().map(|m| m.ebops).sum::<f64>());
    }

    fn apply(&mut self, changes: &[Change], ebops: f64) {
        self.all.apply(changes);
        self.few.apply(changes);
        self.ebops += ebops;
    }
}

/// Leaves the first move of every weight and bias.
fn once(moves: &mut Vec<(f64, Move)>) {
    let mut seen = HashSet::new();
    moves.retain(|(_, m)| seen.insert((m.change.node, m.change.what)));
}
