//! One change on its way through a block: only elements that differ are computed anew, and after
//! casts, which absorb most of it, only on the samples where something still does.

use super::super::program::Program;
use super::state::{Block, Change, Parameter, Variants};
use crate::graph::ValueId;
use crate::quant::model::FixedOp;
use crate::simd::{Has, Lane, Vectorized, gather};

/// No column.
const NONE: u32 = u32::MAX;
/// Samples are left out when at most this share of them differs: gathering costs, too.
const FEWER: (usize, usize) = (3, 4);

/// Some elements of a value, each over the samples that are looked at.
#[derive(Default)]
struct Columns {
    /// By element: its column, or [`NONE`].
    slots: Vec<u32>,
    /// By column.
    elements: Vec<u32>,
    data: Vec<f64>,
}

impl Columns {
    fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// Keeps its memory.
    fn clear(&mut self) {
        for &e in &self.elements {
            self.slots[e as usize] = NONE;
        }
        self.elements.clear();
        self.data.clear();
    }

    #[inline(always)]
    fn get(&self, e: usize, samples: usize) -> Option<&[f64]> {
        let slot = *self.slots.get(e)?;
        (slot != NONE).then(|| &self.data[slot as usize * samples..][..samples])
    }

    /// The column of element `e` of `len`; true: it is a new one, of zeros.
    #[inline(always)]
    fn entry(&mut self, e: usize, len: usize, samples: usize) -> (&mut [f64], bool) {
        if self.slots.len() < len {
            self.slots.resize(len, NONE);
        }
        let new = self.slots[e] == NONE;
        if new {
            self.slots[e] = self.elements.len() as u32;
            self.elements.push(e as u32);
            self.data.resize(self.elements.len() * samples, 0.0);
        }
        (&mut self.data[self.slots[e] as usize * samples..][..samples], new)
    }

    /// Only the columns that `keep` names.
    fn retain(&mut self, keep: &[bool], samples: usize) {
        let mut kept = 0;
        for (column, &keep) in keep.iter().enumerate() {
            let e = self.elements[column];
            self.slots[e as usize] = if keep { kept as u32 } else { NONE };
            if keep {
                self.data.copy_within(column * samples..(column + 1) * samples, kept * samples);
                self.elements[kept] = e;
                kept += 1;
            }
        }
        self.elements.truncate(kept);
        self.data.truncate(kept * samples);
    }

    /// Only these of the `samples`, which are in order.
    #[inline(always)]
    fn pick(&mut self, picked: &[u32], samples: usize) {
        let mut to = 0;
        for from in (0..self.elements.len()).map(|column| column * samples) {
            for &s in picked {
                self.data[to] = self.data[from + s as usize];
                to += 1;
            }
        }
        self.data.truncate(to);
    }
}

/// What is needed on the way of a change, kept from one to the next: there are many, and most of
/// them are small.
#[derive(Default)]
pub struct Scratch {
    /// The samples that are looked at; all, if `all`.
    rows: Vec<u32>,
    all: bool,
    samples: usize,
    /// By value.
    changed: Vec<Columns>,
    /// By value: elements that are as they were, on the samples that are looked at.
    unchanged: Vec<Columns>,
    /// Samples that differ (0 or 1), which ones these are, and columns that do.
    mask: Vec<u64>,
    picked: Vec<u32>,
    keep: Vec<bool>,
    difference: Vec<f64>,
}

impl Scratch {
    fn start(&mut self, values: usize, samples: usize) {
        self.changed.resize_with(values, Columns::default);
        self.unchanged.resize_with(values, Columns::default);
        self.changed.iter_mut().chain(&mut self.unchanged).for_each(Columns::clear);
        (self.all, self.samples) = (true, samples);
    }

    fn rows(&self) -> Option<&[u32]> {
        (!self.all).then_some(&self.rows)
    }
}

/// What a change makes of the outputs of a model in a block.
pub struct Outputs<'a> {
    scratch: &'a Scratch,
    outputs: &'a [ValueId],
}

impl<'a> Outputs<'a> {
    pub(super) fn new(scratch: &'a Scratch, outputs: &'a [ValueId]) -> Outputs<'a> {
        Outputs { scratch, outputs }
    }

    /// How many samples differ.
    pub fn samples(&self) -> usize {
        self.scratch.samples
    }

    /// Which ones of the block these are; `None`: all of it.
    pub fn rows(&self) -> Option<&'a [u32]> {
        self.scratch.rows()
    }

    /// Element `e` of an output on these samples, if it differs.
    pub fn column(&self, output: usize, e: usize) -> Option<&'a [f64]> {
        self.scratch.changed[self.outputs[output]].get(e, self.scratch.samples)
    }
}

/// [`Variants::outputs_with`].
pub(super) struct With<'a> {
    pub variants: &'a Variants<'a>,
    pub block: usize,
    pub change: &'a Change,
    pub scratch: &'a mut Scratch,
}

impl Vectorized for With<'_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lane>(self, _: Has<L>) {
        let With { variants, block, change, scratch } = self;
        let block = &variants.blocks[block];
        scratch.start(variants.model.values.len(), block.samples);
        Pass { variants, block, at: scratch }.run(change);
    }
}

struct Pass<'a> {
    variants: &'a Variants<'a>,
    block: &'a Block,
    at: &'a mut Scratch,
}

/// Marks where a column is not as it was; whether that is anywhere.
#[inline(always)]
fn differs(new: &[f64], old: &[f64], rows: Option<&[u32]>, mask: &mut [u64]) -> bool {
    // as wide as the values: compared by instructions for many
    let mut any = 0;
    match rows {
        None => {
            for (m, (a, b)) in mask.iter_mut().zip(new.iter().zip(old)) {
                let differs = u64::from(a != b);
                *m |= differs;
                any |= differs;
            }
        }
        Some(rows) => {
            for (m, (a, &r)) in mask.iter_mut().zip(new.iter().zip(rows)) {
                let differs = u64::from(*a != old[r as usize]);
                *m |= differs;
                any |= differs;
            }
        }
    }
    any != 0
}

impl Pass<'_> {
    #[inline(always)]
    fn run(&mut self, change: &Change) {
        let model = self.variants.model;
        let last = model.nodes.len() - 1;
        self.begin(change);
        if change.node < last {
            self.narrow(change.node, false);
        }
        for (n, node) in model.nodes.iter().enumerate().skip(change.node + 1) {
            if node.inputs.iter().all(|&v| self.at.changed[v].is_empty()) {
                continue;
            }
            if let Program::Layer(_) = &self.variants.programs[n] {
                self.products(n);
            } else {
                self.recompute(n);
                if n < last && matches!(node.op, FixedOp::Quantize(_)) {
                    self.narrow(n, false);
                }
            }
        }
        self.narrow(last, true);
    }

    /// What the change makes of the layer that it is in.
    #[inline(always)]
    fn begin(&mut self, change: &Change) {
        let Variants { model, programs, .. } = self.variants;
        let Program::Layer(layer) = &programs[change.node] else { return };
        let (input, output) = (model.nodes[change.node].inputs[0], model.nodes[change.node].output);
        let outputs = layer.bias.len().max(1);
        let step = change.value - self.variants.value(change.node, change.what);
        for p in 0..layer.taps.positions {
            let (o, x) = match change.what {
                Parameter::Bias(o) => (o, None),
                Parameter::Weight(e) => match layer.taps.element(p, e / outputs, e % outputs) {
                    Some(x) => (e % outputs, Some(x)),
                    None => continue,
                },
            };
            let at = p * outputs + o;
            let (column, _) = self.at.changed[output].entry(at, model.len_of(output), self.at.samples);
            column.copy_from_slice(self.block.column(output, at));
            match x {
                None => column.iter_mut().for_each(|v| *v += step),
                Some(x) => column.iter_mut().zip(self.block.column(input, x)).for_each(|(v, x)| *v += step * x),
            }
        }
    }

    /// What layer `n` makes of changed inputs.
    #[inline(always)]
    fn products(&mut self, n: usize) {
        let variants = self.variants;
        let (input, output) = (variants.model.nodes[n].inputs[0], variants.model.nodes[n].output);
        let len = variants.model.len_of(output);
        let mut result = std::mem::take(&mut self.at.changed[output]);
        let mut difference = std::mem::take(&mut self.at.difference);
        difference.resize(self.at.samples, 0.0);
        let rows = self.at.rows();
        for (column, &e) in self.at.changed[input].elements.iter().enumerate() {
            let new = &self.at.changed[input].data[column * self.at.samples..][..self.at.samples];
            gather(self.block.column(input, e as usize), rows, &mut difference);
            difference.iter_mut().zip(new).for_each(|(d, new)| *d = new - *d);
            for &(at, weight) in &variants.readers[n][0][e as usize] {
                let w = variants.weights[n][weight as usize];
                if w != 0.0 {
                    let (to, new) = result.entry(at as usize, len, self.at.samples);
                    if new {
                        gather(self.block.column(output, at as usize), rows, to);
                    }
                    to.iter_mut().zip(&difference).for_each(|(v, d)| *v += w * d);
                }
            }
        }
        (self.at.changed[output], self.at.difference) = (result, difference);
    }

    /// What node `n`, which is not a layer, makes of changed inputs.
    #[inline(always)]
    fn recompute(&mut self, n: usize) {
        let variants = self.variants;
        let node = &variants.model.nodes[n];
        let len = variants.model.len_of(node.output);
        let mut result = std::mem::take(&mut self.at.changed[node.output]);
        for (operand, &v) in node.inputs.iter().enumerate() {
            for column in 0..self.at.changed[v].elements.len() {
                let e = self.at.changed[v].elements[column] as usize;
                for &(at, _) in &variants.readers[n][operand][e] {
                    let at = at as usize;
                    if result.slots.get(at).is_some_and(|&s| s != NONE) {
                        continue;
                    }
                    if !self.at.all {
                        variants.each_operand(n, at, |v, e| self.gather_unchanged(v, e));
                    }
                    let (to, _) = result.entry(at, len, self.at.samples);
                    let of = |v: ValueId, e: usize| {
                        let changed = self.at.changed[v].get(e, self.at.samples);
                        changed
                            .or_else(|| self.at.unchanged[v].get(e, self.at.samples))
                            .unwrap_or_else(|| self.block.column(v, e))
                    };
                    variants.element(n, at, &of, to);
                }
            }
        }
        self.at.changed[node.output] = result;
    }

    /// Makes an element that did not change ready to be read on the samples that are looked at.
    #[inline(always)]
    fn gather_unchanged(&mut self, v: ValueId, e: usize) {
        let Scratch { rows, samples, changed, unchanged, .. } = &mut *self.at;
        if changed[v].get(e, *samples).is_some() {
            return;
        }
        let (to, new) = unchanged[v].entry(e, self.variants.model.len_of(v), *samples);
        if new {
            gather(self.block.column(v, e), Some(rows), to);
        }
    }

    /// After node `n`: leaves out what did not change, elements and samples, of all that is still
    /// read; `all_of_it`: even where that saves little.
    #[inline(always)]
    fn narrow(&mut self, n: usize, all_of_it: bool) {
        let output = self.variants.model.nodes[n].output;
        let Scratch { rows, all, samples, changed, unchanged, mask, picked, keep, .. } = &mut *self.at;
        mask.clear();
        mask.resize(*samples, 0);
        for (v, columns) in changed.iter_mut().enumerate().filter(|(_, c)| !c.is_empty()) {
            if self.variants.last_read[v] <= n {
                columns.clear();
                continue;
            }
            let looked_at = (!*all).then_some(rows.as_slice());
            keep.clear();
            for (new, &e) in columns.data.chunks_exact(*samples).zip(&columns.elements) {
                keep.push(differs(new, self.block.column(v, e as usize), looked_at, mask));
            }
            // what was kept before still differs
            if (v == output || all_of_it) && keep.contains(&false) {
                columns.retain(keep, *samples);
            }
        }
        let left = mask.iter().sum::<u64>() as usize;
        let (part, of) = if all_of_it { (1, 1) } else { FEWER };
        if left == *samples || left * of > *samples * part {
            return;
        }
        if left == 0 {
            changed.iter_mut().for_each(Columns::clear);
        }
        // without branches, which nobody could foresee
        picked.resize(*samples + 1, 0);
        let mut to = 0;
        for (s, &m) in mask.iter().enumerate() {
            picked[to] = s as u32;
            to += m as usize;
        }
        let picked = &picked[..left];
        changed.iter_mut().for_each(|columns| columns.pick(picked, *samples));
        if std::mem::take(all) {
            rows.clear();
            rows.extend_from_slice(picked);
        } else {
            for (to, &s) in picked.iter().enumerate() {
                rows[to] = rows[s as usize];
            }
            rows.truncate(left);
        }
        *samples = left;
        unchanged.iter_mut().for_each(Columns::clear);
    }
}
