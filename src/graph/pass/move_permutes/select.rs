//! Selections, and permutations that nothing absorbs: these become selections.

use super::{Flip, Place, Walk, is_identity};
use crate::graph::channels::{self, inverse};
use crate::graph::pass::is_elementwise;
use crate::graph::{Node, Op, ValueId};
use crate::ops::Move;
use std::rc::Rc;

/// Largest permutation that becomes a selection: where it lies between positions, the proxy has a
/// matrix of its elements squared.
const MAX_SELECTED: usize = 4096;

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
            self.value(name.clone(), shape)
        } else {
            self.graph.values[value].shape = shape;
            value
        };
        let (name, op) = match len <= MAX_SELECTED {
            true => (format!("{name}_order"), Move::Select { source: source.into_iter().map(Some).collect() }),
            false => (name, Move::Permute { source }),
        };
        self.push(name, Op::Move(op), stored, ordered);
        self.places[value] = Place::of(ordered);
        ordered
    }

    /// A selection reads its input as it is stored. Where that is an image or a sequence with the
    /// channels last, what it gives is one as well.
    pub(super) fn select(&mut self, mut node: Node<Op>, source: Vec<Option<usize>>) -> Result<(), Flip> {
        let (input, output) = (node.inputs[0], node.output);
        let Place { stored, pending, input: from, .. } = self.places[input].clone();
        let (before, after) = (self.from.values[input].shape.clone(), self.from.values[output].shape.clone());
        if let Some(at) = from.filter(|_| pending.is_none() && self.wanted_last(output)) {
            let order = channels::order(&channels::to_last(&before));
            if self.may_flip(at, &order) {
                return Err(Flip { input: at, order });
            }
        }
        let last = |p: &Vec<usize>| {
            let shape = &self.graph.values[stored].shape;
            shape.len() > 1 && after.len() > 1 && inverse(&channels::order(shape)) == *p
        };
        let images = pending.as_deref().is_some_and(last) || (pending.is_none() && self.places[input].axes.is_some());
        let stored_at = |s: usize| pending.as_ref().map_or(s, |p| p[s]);
        let order = if images { channels::order(&channels::to_last(&after)) } else { (0..source.len()).collect() };
        let source = order.iter().map(|&e| source[e].map(stored_at)).collect();
        let mut place = Place::of(output);
        if images {
            self.graph.values[output].shape = channels::to_last(&after);
            let back = inverse(&order);
            match is_identity(&back) {
                true => place.axes = Some(after),
                false => place.pending = Some(Rc::new(back)),
            }
        }
        node.inputs = vec![stored];
        node.op = Op::Move(Move::Select { source });
        self.graph.nodes.push(node);
        self.places[output] = place;
        Ok(())
    }

    /// Whether something reads `value` with the channels last, through what looks at no position.
    fn wanted_last(&self, value: ValueId) -> bool {
        let shape = &self.from.values[value].shape;
        shape.len() > 1
            && self.links.consumers[value].iter().any(|&reader| {
                let node = &self.from.nodes[reader];
                if let Op::Move(Move::Permute { source }) = &node.op {
                    return *source == channels::order(&channels::to_last(shape));
                }
                let passes = is_elementwise(&node.op) || matches!(node.op, Op::Move(Move::Select { .. }));
                passes && self.wanted_last(node.output)
            })
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
