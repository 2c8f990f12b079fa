//! A model on some samples with its loss there, and what single changes would do to it.

use super::objective::Objective;
use crate::quant::exact::variants::{Change, Parameter, Scratch, Variants};
use crate::quant::model::FixedModel;
use rayon::prelude::*;

pub struct View<'a> {
    fixed: &'a FixedModel,
    variants: Variants<'a>,
    objective: Objective,
    samples: usize,
    /// Of each sample.
    losses: Vec<f64>,
}

impl<'a> View<'a> {
    /// `inputs`: the samples of each graph input, which are those of `objective`.
    pub fn new(fixed: &'a FixedModel, inputs: &[Vec<f32>], samples: usize, objective: Objective) -> View<'a> {
        let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
        let variants = Variants::new(fixed, &inputs, samples);
        let mut view = View { fixed, variants, objective, samples, losses: Vec::new() };
        view.losses = view.all_losses();
        view
    }

    /// Mean over the samples.
    pub fn loss(&self) -> f64 {
        self.losses.iter().sum::<f64>() / self.samples.max(1) as f64
    }

    /// The weight or bias as it is now.
    pub fn value(&self, node: usize, what: Parameter) -> f64 {
        self.variants.value(node, what)
    }

    pub fn apply(&mut self, changes: &[Change]) {
        self.variants.apply(changes);
        self.losses = self.all_losses();
    }

    /// By how much each change alone would lower the loss.
    pub fn gains(&self, changes: impl IndexedParallelIterator<Item = Change>) -> Vec<f64> {
        changes.map_init(Default::default, |scratch, c| self.gain(&c, scratch)).collect()
    }

    fn gain(&self, change: &Change, scratch: &mut (Scratch, Vec<bool>, Vec<f64>)) -> f64 {
        let gain: f64 = self.starts().map(|(block, first)| self.gain_in(block, first, change, scratch)).sum();
        gain / self.samples.max(1) as f64
    }

    /// Summed over the samples of a block, which begin at `first`.
    fn gain_in(&self, block: usize, first: usize, change: &Change, scratch: &mut (Scratch, Vec<bool>, Vec<f64>)) -> f64 {
        let (scratch, differs, z) = scratch;
        let with = self.variants.outputs_with(block, change, scratch);
        // samples whose outputs differ
        differs.clear();
        differs.resize(with.samples(), false);
        let mut columns: Vec<(&[f64], Option<&[f64]>)> = Vec::new();
        for (output, &value) in self.fixed.outputs.iter().enumerate() {
            for e in 0..self.fixed.len_of(value) {
                let (old, new) = (self.variants.column(block, value, e), with.column(output, e));
                for (n, &new) in new.into_iter().flatten().enumerate() {
                    differs[n] |= new != old[with.row(n)];
                }
                columns.push((old, new));
            }
        }
        z.resize(columns.len(), 0.0);
        let mut gain = 0.0;
        for n in (0..differs.len()).filter(|&n| differs[n]) {
            let row = with.row(n);
            z.iter_mut().zip(&columns).for_each(|(z, (old, new))| *z = new.map_or_else(|| old[row], |new| new[n]));
            gain += self.losses[first + row] - self.objective.sample(first + row, z);
        }
        gain
    }

    /// The blocks of the samples, and where each begins.
    fn starts(&self) -> impl Iterator<Item = (usize, usize)> {
        let mut next = 0;
        self.variants.blocks().enumerate().map(move |(block, samples)| {
            let first = next;
            next += samples;
            (block, first)
        })
    }

    fn all_losses(&self) -> Vec<f64> {
        let blocks: Vec<(usize, usize)> = self.starts().collect();
        blocks.into_par_iter().flat_map_iter(|(block, first)| self.losses_of(block, first)).collect()
    }

    fn losses_of(&self, block: usize, first: usize) -> Vec<f64> {
        let elements = self.fixed.outputs.iter().flat_map(|&v| (0..self.fixed.len_of(v)).map(move |e| (v, e)));
        let columns: Vec<&[f64]> = elements.map(|(v, e)| self.variants.column(block, v, e)).collect();
        let mut z = vec![0.0; columns.len()];
        let samples = columns.first().map_or(0, |c| c.len());
        let of = |s: usize| {
            z.iter_mut().zip(&columns).for_each(|(z, column)| *z = column[s]);
            self.objective.sample(first + s, &z)
        };
        (0..samples).map(of).collect()
    }
}
