//! A model and its variants: the same exact evaluation where single weights or biases differ, of
//! only what they change. Values of all samples are kept, in blocks whose columns stay in the
//! cache, `[element][sample]`; a change runs through the network as changed elements on changed
//! samples and ends where casts absorb it. For searches that try thousands of small changes.

mod changes;
pub mod state;

use super::column;
use super::program::{Program, programs};
use crate::graph::ValueId;
use crate::quant::model::{FixedModel, FixedOp};
use crate::simd::{Buffer, Has, Isa, LANES, Lane, Vectorized, dispatch, weighted_sum};
use changes::With;
pub use changes::{Outputs, Scratch};
use rayon::prelude::*;
use state::{BLOCK, Block, Readers};
pub use state::{Change, Parameter, Variants};

impl<'a> Variants<'a> {
    /// Evaluates `model` on `samples` rows of every graph input. Sums are taken in f64: exact for
    /// models that are not [wider](super::Precision::Integer).
    pub fn new(model: &'a FixedModel, inputs: &[&[f32]], samples: usize) -> Variants<'a> {
        let programs = programs(model);
        let dense = |f: &dyn Fn(&crate::quant::model::FixedDense) -> Vec<f64>| -> Vec<Vec<f64>> {
            let of = |op: &FixedOp| if let FixedOp::Dense(d) = op { f(d) } else { Vec::new() };
            model.nodes.iter().map(|n| of(&n.op)).collect()
        };
        let weights = dense(&|d| (0..d.weight.ints.len()).map(|e| d.weight.value(e)).collect());
        let biases = dense(&|d| (0..d.bias.ints.len()).map(|e| d.bias.value(e)).collect());
        let block = |first: usize| {
            let rows = first..samples.min(first + BLOCK);
            let stride = rows.len().next_multiple_of(LANES);
            let mut values = vec![Buffer::default(); model.values.len()];
            for (x, &id) in inputs.iter().zip(&model.inputs) {
                let len = model.len_of(id);
                values[id].resize(len * stride);
                for (e, column) in values[id].chunks_exact_mut(stride).enumerate() {
                    column.iter_mut().zip(rows.clone()).for_each(|(to, s)| *to = f64::from(x[s * len + e]));
                }
            }
            Block { samples: rows.len(), stride, values }
        };
        let blocks = (0..samples).step_by(BLOCK).map(block).collect();
        let readers = (0..model.nodes.len()).map(|n| readers(model, n, &programs[n])).collect();
        let mut last_read = vec![0; model.values.len()];
        for (n, node) in model.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|&v| last_read[v] = n);
        }
        model.outputs.iter().for_each(|&v| last_read[v] = usize::MAX);
        let mut variants = Variants { model, isa: Isa::detect(), programs, weights, biases, blocks, readers, last_read };
        variants.evaluate();
        variants
    }

    /// The weight or bias as it is now.
    pub fn value(&self, node: usize, what: Parameter) -> f64 {
        match what {
            Parameter::Weight(e) => self.weights[node][e],
            Parameter::Bias(o) => self.biases[node][o],
        }
    }

    /// Samples of each block, in order.
    pub fn blocks(&self) -> impl Iterator<Item = usize> {
        self.blocks.iter().map(|b| b.samples)
    }

    /// Element `e` of `value` over the samples of a block.
    pub fn column(&self, block: usize, value: ValueId, e: usize) -> &[f64] {
        self.blocks[block].column(value, e)
    }

    /// Takes changes over.
    pub fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            let Change { node, what, value } = *change;
            match what {
                Parameter::Weight(e) => self.weights[node][e] = value,
                Parameter::Bias(o) => self.biases[node][o] = value,
            }
        }
        self.evaluate();
    }

    /// What `change` makes of the model's outputs in a block.
    pub fn outputs_with<'s>(&'s self, block: usize, change: &Change, scratch: &'s mut Scratch) -> Outputs<'s> {
        dispatch(self.isa, With { variants: self, block, change, scratch });
        Outputs::new(scratch, &self.model.outputs)
    }

    /// What [`Variants::element`] reads.
    #[inline(always)]
    fn each_operand(&self, n: usize, at: usize, mut read: impl FnMut(ValueId, usize)) {
        let node = &self.model.nodes[n];
        match &self.programs[n] {
            Program::Pool(taps, channels) | Program::Average(taps, channels) => {
                taps.under(at / channels, at % channels).for_each(|e| read(node.inputs[0], e));
            }
            Program::Move(map) => map[at].into_iter().for_each(|(which, e)| read(node.inputs[which as usize], e as usize)),
            Program::Plain | Program::Layer(_) => node.inputs.iter().take(2).for_each(|&v| read(v, at)),
        }
    }

    /// Element `at` of a node that is not a layer, from its operands.
    #[inline(always)]
    fn element<'b>(&'b self, n: usize, at: usize, of: &impl Fn(ValueId, usize) -> &'b [f64], to: &mut [f64]) {
        let node = &self.model.nodes[n];
        let first = node.inputs[0];
        match &self.programs[n] {
            Program::Pool(taps, channels) | Program::Average(taps, channels) => {
                column::pooled(&node.op, taps.under(at / channels, at % channels).map(|e| of(first, e)), to);
            }
            Program::Move(map) => match map[at] {
                Some((which, e)) => to.copy_from_slice(of(node.inputs[which as usize], e as usize)),
                None => to.fill(0.0),
            },
            Program::Plain | Program::Layer(_) => {
                let second = node.inputs.get(1).copied().unwrap_or(first);
                column::elementwise(&node.op, at, of(first, at), of(second, at), to);
            }
        }
    }

    /// All values anew.
    fn evaluate(&mut self) {
        let mut blocks = std::mem::take(&mut self.blocks);
        blocks.par_iter_mut().for_each(|block| dispatch(self.isa, Anew { variants: self, block }));
        self.blocks = blocks;
    }

    #[inline(always)]
    fn evaluate_block<L: Lane>(&self, has: Has<L>, block: &mut Block) {
        for n in 0..self.model.nodes.len() {
            let output = self.model.nodes[n].output;
            let mut out = std::mem::take(&mut block.values[output]);
            out.resize(self.model.len_of(output) * block.stride);
            let columns = out.chunks_exact_mut(block.stride.max(1)).map(|to| &mut to[..block.samples]).enumerate();
            if let Program::Layer(layer) = &self.programs[n] {
                let (outputs, input) = (layer.bias.len().max(1), self.model.nodes[n].inputs[0]);
                for (at, to) in columns {
                    let (p, o) = (at / outputs, at % outputs);
                    let element = layer.taps.elements(p, o);
                    let weights = (0..layer.taps.patch).map(|k| (k, self.weights[n][k * outputs + o])).filter(|w| w.1 != 0.0);
                    let terms = weights.filter_map(|(k, w)| Some((w, block.column(input, element(k)?))));
                    weighted_sum(has, self.biases[n][o], terms, to);
                }
            } else {
                let of = |v: ValueId, e: usize| block.column(v, e);
                for (at, to) in columns {
                    self.element(n, at, &of, to);
                }
            }
            block.values[output] = out;
        }
    }
}

/// All values of a block.
struct Anew<'a> {
    variants: &'a Variants<'a>,
    block: &'a mut Block,
}

impl Vectorized for Anew<'_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lane>(self, has: Has<L>) {
        self.variants.evaluate_block(has, self.block);
    }
}

/// See [`Readers`]; by operand.
fn readers(model: &FixedModel, n: usize, program: &Program) -> Vec<Readers> {
    let node = &model.nodes[n];
    let mut lists: Vec<Readers> = node.inputs.iter().map(|&v| vec![Vec::new(); model.len_of(v)]).collect();
    match program {
        Program::Layer(layer) => {
            let outputs = layer.bias.len();
            for (p, k, o) in (0..layer.taps.positions)
                .flat_map(|p| (0..layer.taps.patch).flat_map(move |k| (0..outputs).map(move |o| (p, k, o))))
            {
                if let Some(e) = layer.taps.element(p, k, o) {
                    lists[0][e].push(((p * outputs + o) as u32, (k * outputs + o) as u32));
                }
            }
        }
        Program::Pool(taps, channels) | Program::Average(taps, channels) => {
            for at in 0..taps.positions * channels {
                taps.under(at / channels, at % channels).for_each(|e| lists[0][e].push((at as u32, 0)));
            }
        }
        Program::Move(map) => {
            for (at, from) in map.iter().enumerate() {
                if let Some((which, e)) = *from {
                    lists[which as usize][e as usize].push((at as u32, 0));
                }
            }
        }
        Program::Plain => {
            lists.iter_mut().for_each(|list| list.iter_mut().enumerate().for_each(|(e, to)| to.push((e as u32, 0))));
        }
    }
    lists
}
