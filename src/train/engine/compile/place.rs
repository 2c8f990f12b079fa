//! Where values lie: buffers, other layouts of the same value, patches of convolutions.

use super::super::kernel::Taps;
use super::super::op::gather::Gather;
use super::super::plan::{Stage, Step};
use super::super::slot::Slot;
use super::Compiler;
use crate::graph::{Node, Window};
use crate::ops::Move;
use crate::quant::QOp;
use crate::quant::taps::Taps as Products;
use crate::train::error::Fault;

impl Compiler<'_> {
    /// Where `value` lies.
    pub(super) fn slot(&self, value: usize) -> Slot {
        self.slots[self.topology.root(value)].unwrap_or_default()
    }

    pub(super) fn new_slot(&mut self, positions: usize, channels: usize) -> Slot {
        let slot = Slot { buffer: self.plan.buffers.len(), positions, channels };
        self.plan.buffers.push(slot.stride());
        self.spatial |= positions > 1;
        slot
    }

    /// A buffer for `value`.
    pub(super) fn place(&mut self, value: usize, positions: usize, channels: usize) -> Slot {
        let slot = self.new_slot(positions, channels);
        self.slots[self.topology.root(value)] = Some(slot);
        slot
    }

    /// A buffer for `value` that lies as `like` does.
    pub(super) fn place_like(&mut self, value: usize, like: Slot) -> Slot {
        self.place(value, like.positions, like.channels)
    }

    pub(super) fn push(&mut self, step: Step) {
        self.plan.stages.push(Stage { step, input_grads: Vec::new(), quantizer_done: false, dead: false });
    }

    pub(super) fn too_large(&mut self, node: &str) {
        self.faults.push(Fault { node: node.to_string(), what: "one sample of its tensors is too large to be trained".into() });
    }

    /// `value` laid out as `positions` × `channels`, copied where it lies otherwise.
    pub(super) fn view(&mut self, node: &str, value: usize, positions: usize, channels: usize) -> Slot {
        let slot = self.slot(value);
        let wanted = Slot { buffer: slot.buffer, positions, channels };
        if slot.is_dense() && wanted.is_dense() && slot.stride() == wanted.stride() {
            return wanted;
        }
        if slot == wanted {
            return slot;
        }
        let root = self.topology.root(value);
        let same = |(of, s): &&(usize, Slot)| *of == root && (s.positions, s.channels) == (positions, channels);
        if let Some((_, copy)) = self.views.iter().find(same) {
            return *copy;
        }
        let copy = self.new_slot(positions, channels);
        self.gather(node, vec![slot], copy, (0..slot.elements()).map(|e| Some((0, e))));
        self.views.push((root, copy));
        copy
    }

    /// Appends a movement of elements into `y`.
    pub(super) fn gather(
        &mut self,
        node: &str,
        inputs: Vec<Slot>,
        y: Slot,
        sources: impl Iterator<Item = Option<(usize, usize)>>,
    ) {
        match Gather::new(&inputs, y, sources) {
            Some(gather) => {
                self.plan.gathers.push(gather);
                self.push(Step::Gather { gather: self.plan.gathers.len() - 1, inputs, y });
            }
            None => self.too_large(node),
        }
    }

    pub(super) fn moved(&mut self, node: &Node<QOp>, m: &Move) {
        let inputs = node.inputs.iter().map(|&v| self.slot(v)).collect();
        let y = self.place_natural(node.output);
        self.gather(&node.name, inputs, y, m.sources(&self.model.shapes(&node.inputs)).into_iter());
    }

    /// Channels are the last axis of the shape.
    fn place_natural(&mut self, value: usize) -> Slot {
        let channels = self.model.values[value].shape.last().copied().unwrap_or(1).max(1);
        self.place(value, self.model.len_of(value) / channels, channels)
    }

    /// The entries under window `w` at each of its positions.
    pub(super) fn patches(&mut self, node: &Node<QOp>, w: &Window) -> Slot {
        let value = node.inputs[0];
        if *w == Window::pointwise(w.input[0], w.input[1], w.input[2]) {
            return self.view(&node.name, value, w.positions(), w.input[2]);
        }
        let taps = Products::new(w.patch(), 1, Some(w));
        let (x, patches) = (self.slot(value), self.new_slot(taps.positions, taps.patch));
        let entries = (0..taps.positions * taps.patch).map(|e| taps.element(e / taps.patch, e % taps.patch, 0));
        self.gather(&node.name, vec![x], patches, entries.map(|e| e.map(|e| (0, e))));
        patches
    }

    /// For a convolution in groups: one row of `outputs` for each pixel and channel of a group, and
    /// which row lies under each entry of the patch.
    pub(super) fn grouped(&mut self, node: &Node<QOp>, w: &Window, outputs: usize) -> (Slot, usize) {
        let (value, [height, width, channels], per_group) = (node.inputs[0], w.input, w.group_channels());
        let pixels = height * width;
        let x = if per_group == 1 && outputs == channels {
            self.view(&node.name, value, pixels, channels)
        } else {
            let (from, rows) = (self.slot(value), self.new_slot(pixels * per_group, outputs));
            let share = w.group_outputs(outputs);
            let source = |e: usize| {
                let (row, o) = (e / outputs, e % outputs);
                row / per_group * channels + o / share * per_group + row % per_group
            };
            self.gather(&node.name, vec![from], rows, (0..rows.elements()).map(|e| Some((0, source(e)))));
            rows
        };
        let row_at = |position: usize, k: usize| Some(w.pixel(position, k / per_group)? * per_group + k % per_group);
        let taps = Taps::new(w.positions(), w.patch(), x.positions, x.row(), row_at);
        (x, self.taps(&node.name, taps))
    }

    fn taps(&mut self, node: &str, taps: Option<Taps>) -> usize {
        match taps {
            Some(taps) => self.plan.taps.push(taps),
            None => self.too_large(node),
        }
        self.plan.taps.len().saturating_sub(1)
    }

    /// A pooling layer; `reciprocal`: `None` for the maximum.
    pub(super) fn pool(&mut self, node: &Node<QOp>, w: &Window, reciprocal: Option<f32>) {
        let x = self.view(&node.name, node.inputs[0], w.input[0] * w.input[1], w.input[2]);
        let y = self.place(node.output, w.positions(), w.input[2]);
        let taps = Taps::new(w.positions(), w.taps(), x.positions, x.row(), |position, tap| w.pixel(position, tap));
        let taps = self.taps(&node.name, taps);
        self.push(Step::Pool { taps, reciprocal, x, y });
    }
}
