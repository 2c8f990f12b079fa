//! A permutation that nothing absorbs: a dense layer of zeros and ones.

use super::{Place, Walk};
use crate::graph::{Dense, Node, Op, ValueId};
use crate::ops::Move;

/// Largest permutation that becomes a matrix: 64 MiB of f32.
const MAX_AS_MATRIX: usize = 4096;
/// Most elements of all such matrices of a model: 256 MiB.
const MAX_IN_MATRICES: usize = 1 << 26;

impl Walk<'_> {
    /// Puts the elements of `value` in their order; returns the value that then holds them. Too
    /// large ones stay a permutation, which the import refuses.
    pub(super) fn materialize(&mut self, value: ValueId) -> ValueId {
        let Place { stored, pending, .. } = self.places[value].clone();
        let len = self.graph.len_of(stored);
        let source: Vec<usize> = pending.map_or_else(|| (0..len).collect(), |p| p.to_vec());
        let name = self.graph.values[value].name.clone();
        // the shape that the value should have
        let shape = self.from.values.get(value).map_or_else(|| vec![len], |v| v.shape.clone());
        let ordered = if stored == value {
            // the value is computed in the wrong order under its own name: the ordered one takes
            // the name
            self.graph.values[value].name.push_str("_unordered");
            self.value(name.clone(), shape.clone())
        } else {
            self.graph.values[value].shape = shape.clone();
            value
        };
        let matrix = len.saturating_mul(len);
        if len > MAX_AS_MATRIX || self.matrices + matrix > MAX_IN_MATRICES {
            self.push(name, Op::Move(Move::Permute { source }), stored, ordered);
        } else {
            self.matrices += matrix;
            let mut weight = vec![0.0; matrix];
            for (to, &from) in source.iter().enumerate() {
                weight[from * len + to] = 1.0;
            }
            let bias = vec![0.0; len];
            let dense = Dense { inputs: len, outputs: len, weight, bias, weight_quant: None, bias_quant: None, window: None };
            let mut from = stored;
            if self.graph.values[stored].shape.len() > 1 {
                from = self.value(format!("{name}_flat"), vec![len]);
                self.push(format!("{name}_flat"), Op::Move(Move::Reshape), stored, from);
            }
            if shape.len() > 1 {
                let flat = self.value(format!("{name}_ordered"), vec![len]);
                self.push(format!("{name}_order"), Op::Dense(dense), from, flat);
                self.push(format!("{name}_shape"), Op::Move(Move::Reshape), flat, ordered);
            } else {
                self.push(format!("{name}_order"), Op::Dense(dense), from, ordered);
            }
        }
        self.places[value] = Place::of(ordered);
        ordered
    }

    pub(super) fn value(&mut self, name: String, shape: Vec<usize>) -> ValueId {
        let value = self.graph.add_value(name, shape);
        self.places.push(Place::of(value));
        self.open_layer.push(None);
        value
    }

    pub(super) fn push(&mut self, name: String, op: Op, from: ValueId, output: ValueId) {
        self.graph.nodes.push(Node { name, op, inputs: vec![from], output });
    }
}
