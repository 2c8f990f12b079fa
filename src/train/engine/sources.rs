//! Which quantizer gives each element of each value its width: looked for up through everything
//! that keeps widths (docs/hgq-spec.md#a2-3).

use super::bits::{BitTable, BitVar, LayerBits};
use crate::graph::Window;
use crate::ops::Elementwise;
use crate::quant::taps::Taps;
use crate::quant::{Model, QDense, QOp};
use std::collections::{HashMap, HashSet};
use std::hash::Hash;

/// The set without members: an element that is always 0.
const ZERO: u32 = 0;

/// Widths per element of all values; sets of widths are numbered.
pub struct Sources {
    sets: Vec<Vec<BitVar>>,
    index: HashMap<Vec<BitVar>, u32>,
    /// Of each value the set of each element; `None`: something without a quantizer.
    of: Vec<Option<Vec<u32>>>,
}

impl Sources {
    /// `model` must have passed the checks of each node.
    pub fn new(model: &Model) -> Sources {
        let mut s = Sources { sets: Vec::new(), index: HashMap::new(), of: vec![None; model.values.len()] };
        s.number(Vec::new());
        let mut quantizers = 0;
        for node in &model.nodes {
            let x = s.of[node.inputs[0]].as_ref();
            s.of[node.output] = match &node.op {
                QOp::Quantizer(q) => {
                    let var = |group| BitVar { quantizer: quantizers, group: group as u32, relu: false };
                    let groups: Vec<u32> = (0..q.groups.count()).map(|g| s.number(vec![var(g)])).collect();
                    quantizers += 1;
                    Some(q.groups.expand(&groups))
                }
                QOp::Elementwise(Elementwise::Relu) => x.cloned().map(|sets| s.relu(sets)),
                QOp::Elementwise(f) => x.filter(|_| f.keeps_widths()).cloned(),
                QOp::MaxPool(w) => x.cloned().map(|sets| s.widest(&sets, w)),
                QOp::AveragePool(a) => x.cloned().map(|sets| s.widest(&sets, &a.window)),
                QOp::Move(m) => {
                    let sets: Option<Vec<&[u32]>> = node.inputs.iter().map(|&v| s.of[v].as_deref()).collect();
                    sets.map(|sets| m.apply(&sets, &model.shapes(&node.inputs), ZERO))
                }
                QOp::Dense(_) | QOp::SaturatingDense(_) | QOp::Affine(_) | QOp::Sign | QOp::Merge(_) => None,
            };
        }
        s
    }

    /// Whether each element of `value` has a width.
    pub fn known(&self, value: usize) -> bool {
        self.of[value].is_some()
    }

    fn number(&mut self, set: Vec<BitVar>) -> u32 {
        if let Some(&n) = self.index.get(&set) {
            return n;
        }
        let n = self.sets.len() as u32;
        self.sets.push(set.clone());
        self.index.insert(set, n);
        n
    }

    fn relu(&mut self, sets: Vec<u32>) -> Vec<u32> {
        let mut known: HashMap<u32, u32> = HashMap::new();
        let mut out = Vec::with_capacity(sets.len());
        for set in sets {
            let new = match known.get(&set) {
                Some(&n) => n,
                None => {
                    let behind = self.sets[set as usize].iter().map(|v| BitVar { relu: true, ..*v }).collect();
                    self.number(behind)
                }
            };
            known.insert(set, new);
            out.push(new);
        }
        out
    }

    /// The union of the sets under each window, each member once, in the order of the window.
    fn widest(&mut self, sets: &[u32], window: &Window) -> Vec<u32> {
        let (taps, channels) = (Taps::pooling(window), window.input[2].max(1));
        let mut out = Vec::with_capacity(taps.positions * channels);
        for at in 0..taps.positions * channels {
            let under = taps.under(at / channels, at % channels).map(|e| sets[e]);
            let distinct = unique(under);
            out.push(match distinct[..] {
                [] => ZERO,
                [one] => one,
                _ => {
                    let members = distinct.iter().flat_map(|&set| self.sets[set as usize].iter().copied());
                    let union = unique(members);
                    self.number(union)
                }
            });
        }
        out
    }

    /// The widths under each entry of the patch of layer `d` that reads `value`, with the numbers
    /// of this table.
    pub fn layer(&self, value: usize, d: &QDense) -> LayerBits {
        let taps = Taps::new(d.inputs, d.outputs, d.window.as_ref());
        let parts = d.window.as_ref().map_or(1, |w| w.groups.max(1));
        let mut bits = LayerBits::default();
        let Some(sets) = &self.of[value] else { return bits };
        for k in 0..d.inputs {
            for part in 0..parts {
                let o = part * (d.outputs / parts);
                let under = (0..taps.positions).filter_map(|p| taps.element(p, k, o)).map(|e| sets[e]);
                let mut under: Vec<u32> = under.filter(|&set| set != ZERO).collect();
                under.sort_unstable();
                bits.terms.extend(under.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as u32)));
                bits.ends.push(bits.terms.len() as u32);
            }
        }
        bits
    }

    /// The table of the sets that `layers` use, in whose numbers they are afterwards.
    pub fn finish<'a>(&self, layers: impl Iterator<Item = &'a mut LayerBits>) -> BitTable {
        let mut table = BitTable::default();
        let (mut set_of, mut var_of) = (HashMap::new(), HashMap::new());
        for (set, _) in layers.flat_map(|l| &mut l.terms) {
            let old = *set;
            *set = *set_of.entry(old).or_insert_with(|| {
                let members = self.sets[old as usize].iter().map(|&var| {
                    *var_of.entry(var).or_insert_with(|| {
                        table.vars.push(var);
                        table.vars.len() as u32 - 1
                    })
                });
                let members: Vec<u32> = members.collect();
                table.sets.push(members);
                table.sets.len() as u32 - 1
            });
        }
        table
    }
}

/// Each item once, in the order of its first occurrence.
fn unique<T: Copy + Eq + Hash>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = HashSet::new();
    let mut last = None;
    // neighbours are mostly alike
    items.filter(|&item| last.replace(item) != Some(item) && seen.insert(item)).collect()
}
