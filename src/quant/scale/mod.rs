//! The domain of training: every channel at unit spread, by exact powers of two, and inputs about 0
//! (docs/training.md, "Scale").
//!
//! A value `x` of the user's is `x' = x·2^-e − c` in it, with an exponent `e` for each element (the
//! same for all positions of a channel) and, at inputs alone, an offset `c`. Weights and biases
//! take the factors up: `w' = w·2^(e_in − e_out)`. Multiplying by a power of two is exact and
//! changes neither bits nor EBOPs, so start, learning rates and formats mean the same for data of
//! any scale. [`Scales::restore`] puts the factors back into the exact model.
//!
//! [`spread`] measures, [`ties`] finds what must share a factor, [`apply`] brings a graph into the
//! domain, [`data`] its inputs, [`restore`] leads back.

mod apply;
mod data;
mod exponents;
mod offset;
mod restore;
mod spread;
mod ties;

pub use restore::TooFarApart;
pub use spread::Spread;

use super::exact::MinMax;
use crate::graph::{Graph, ValueId};

/// The factors of a graph's values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scales {
    /// By value of the graph: `e` of each element. Empty: all 0.
    exponents: Vec<Vec<i32>>,
    /// By graph input: `c` of each element, in the domain; empty: all 0.
    offsets: Vec<Vec<f64>>,
    /// By output: the exponents of its elements.
    outputs: Vec<Vec<i32>>,
}

/// A graph in the domain, with the ranges of its values.
#[derive(Clone, Debug)]
pub struct Scaled {
    pub graph: Graph,
    pub ranges: Vec<MinMax>,
    pub scales: Scales,
}

/// What of a graph must share factors besides what its operations tie together.
#[derive(Clone, Debug, Default)]
pub struct Sharing {
    /// Outputs whose elements are compared with each other: logits of classes.
    pub alike: Vec<ValueId>,
    /// Values with one format for all of their elements.
    pub uniform: Vec<ValueId>,
    /// Values whose grids are those of the user.
    pub fixed: Vec<ValueId>,
    /// Whether inputs may get offsets.
    pub offsets: bool,
}

/// Brings `graph` into the domain. `outputs`: the values that its outputs stand for; `spreads` and
/// `ranges`: of each value, on the data.
pub fn scale(graph: &Graph, outputs: &[ValueId], spreads: &[Spread], ranges: &[MinMax], sharing: &Sharing) -> Scaled {
    let classes = ties::classes(graph, sharing);
    let exponents = exponents::find(graph, &classes, spreads, ranges);
    let mut scales = Scales {
        outputs: outputs.iter().map(|&o| exponents[o].clone()).collect(),
        offsets: vec![Vec::new(); graph.inputs.len()],
        exponents,
    };
    let mut scaled = apply::graph(graph, &scales.exponents);
    let mut ranges: Vec<MinMax> = ranges.iter().zip(&scales.exponents).map(|(r, e)| apply::range(r, e)).collect();
    if sharing.offsets {
        for (n, &input) in graph.inputs.iter().enumerate() {
            if let Some(found) = offset::find(&scaled, input, &spreads[input], &scales.exponents[input], &ranges[input]) {
                apply::offset(&mut scaled, input, &found);
                offset::shift_ranges(&scaled, input, &found, &mut ranges);
                scales.offsets[n] = found;
            }
        }
    }
    Scaled { graph: scaled, ranges, scales }
}

impl Scales {
    /// The exponents of all outputs, one after the other; `z = z'·2^e`.
    pub fn of_outputs(&self) -> Vec<i32> {
        self.outputs.concat()
    }

    /// Whether anything differs from the user's values at all.
    pub fn is_plain(&self) -> bool {
        self.exponents.iter().flatten().all(|&e| e == 0) && self.offsets.iter().all(Vec::is_empty)
    }

    /// The exponents of a graph's value.
    pub fn of(&self, value: ValueId) -> Option<&[i32]> {
        self.exponents.get(value).map(Vec::as_slice).filter(|e| !e.is_empty())
    }

    /// Outputs in the user's units, from rows of all outputs in the domain.
    pub fn outputs_restored(&self, rows: &mut [f64]) {
        let exponents = self.of_outputs();
        if exponents.iter().all(|&e| e == 0) {
            return;
        }
        for row in rows.chunks_exact_mut(exponents.len().max(1)) {
            row.iter_mut().zip(&exponents).for_each(|(v, &e)| *v *= super::kif::exp2i(e));
        }
    }
}
