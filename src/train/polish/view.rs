//! A model on some samples with its loss there, and what single changes would do to it.

use super::objective::{Objective, Samples, Work};
use crate::quant::exact::variants::Scratch;
use crate::quant::exact::variants::state::{Change, Parameter, Variants};
use crate::quant::model::FixedModel;
use crate::simd::gather;
use rayon::prelude::*;

pub struct View<'a> {
    fixed: &'a FixedModel,
    variants: Variants<'a>,
    objective: Objective,
    samples: usize,
    /// Of each sample.
    losses: Vec<f64>,
}

/// What is needed to try a change, kept from one to the next.
#[derive(Default)]
struct Trial {
    scratch: Scratch,
    /// Outputs, `[output][sample]`, and their losses.
    z: Vec<f64>,
    losses: Vec<f64>,
    work: Work,
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
        changes.map_init(Trial::default, |trial, c| self.gain(&c, trial)).collect()
    }

    fn gain(&self, change: &Change, trial: &mut Trial) -> f64 {
        let gain: f64 = self.starts().map(|(block, first)| self.gain_in(block, first, change, trial)).sum();
        gain / self.samples.max(1) as f64
    }

    /// Summed over the samples of a block, which begin at `first`.
    fn gain_in(&self, block: usize, first: usize, change: &Change, trial: &mut Trial) -> f64 {
        let Trial { scratch, z, losses, work } = trial;
        let with = self.variants.outputs_with(block, change, scratch);
        let (rows, len) = (with.rows(), with.samples());
        if len == 0 {
            return 0.0;
        }
        z.resize(self.elements().count() * len, 0.0);
        for ((output, e), to) in self.elements().zip(z.chunks_exact_mut(len)) {
            match with.column(output, e) {
                Some(new) => to.copy_from_slice(new),
                None => gather(self.variants.column(block, self.fixed.outputs[output], e), rows, to),
            }
        }
        self.objective.losses(&Samples { first, rows, len, z }, work, losses);
        let before = |n: usize| self.losses[first + rows.map_or(n, |rows| rows[n] as usize)];
        losses.iter().enumerate().map(|(n, loss)| before(n) - loss).sum()
    }

    /// Outputs and their elements.
    fn elements(&self) -> impl Iterator<Item = (usize, usize)> {
        let len = |output: usize| self.fixed.len_of(self.fixed.outputs[output]);
        (0..self.fixed.outputs.len()).flat_map(move |output| (0..len(output)).map(move |e| (output, e)))
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
        let columns = self.elements().map(|(output, e)| self.variants.column(block, self.fixed.outputs[output], e));
        let z: Vec<f64> = columns.flatten().copied().collect();
        let len = z.len() / self.elements().count().max(1);
        let mut losses = Vec::new();
        self.objective.losses(&Samples { first, rows: None, len, z: &z }, &mut Work::default(), &mut losses);
        losses
    }
}
