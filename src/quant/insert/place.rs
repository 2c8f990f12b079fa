//! Where activation quantizers stand and what they start from.

use super::rule::INIT_F;
use super::{Builder, quantizer_name, uniform};
use crate::diagnostic::{Code, Diagnostic};
use crate::graph::{Node, Op, ValueId};
use crate::ops::{Elementwise, Move};
use crate::quant::kif::{Kif, floor_log2};
use crate::quant::model::{QOp, Quantizer, Range};
use crate::quant::port::INPUT_MAX_F;
use crate::quant::{Granularity, Groups, Rounding, qonnx};

/// Finest grid in general (docs/hgq-spec.md#a1-1).
const MAX_F: f32 = 23.0;
/// Widest start of a float activation: more bits than any accumulator of the starting weights can
/// tell apart, fewer than an outlier of the data would ask for.
const MAX_START_BITS: i32 = 18;
/// Integer bits of a unit that the data never drive (docs/recipe.md#start).
const DEAD_UNIT_I: f32 = -2.0;

impl Builder<'_> {
    /// Adds the quantizer that a float graph needs after `value`: where an activation function
    /// ends, or in front of a product.
    pub(super) fn quantize_if_needed(&mut self, value: ValueId, node: &Node<Op>) {
        let consumers = self.graph.consumers(value);
        let is_output = self.graph.outputs.contains(&value)
            || consumers.iter().any(|&c| matches!(self.graph.nodes[c].op, Op::Softmax { .. }));
        if self.takes_over && (is_output || !self.options.training) {
            return;
        }
        let table = matches!(node.op, Op::Elementwise(f) if f.is_table());
        if is_output {
            let f = self.start_f(value, &node.name);
            let f = if table { f.min(self.table_output_f()) } else { f };
            let q = self.quantizer(value, f, if table { self.table_output_f() } else { MAX_F }, &node.name);
            self.insert(value, q, &node.name);
            return;
        }
        let reaches_product = consumers.iter().any(|&c| self.needs_grid(c));
        if reaches_product {
            let nonnegative = self.nonnegative(value);
            let max_f = if table { self.table_output_f() } else { MAX_F };
            let q = self.saturating(value, nonnegative, max_f, &node.name);
            self.insert(value, q, &node.name);
        }
    }

    /// Adds the quantizer of a graph output to `value`, whose elements were moved or selected only:
    /// elsewhere they have theirs already.
    pub(super) fn quantize_output(&mut self, value: ValueId, node: &Node<Op>) {
        let softmax = |&c: &usize| matches!(self.graph.nodes[c].op, Op::Softmax { .. });
        if self.graph.outputs.contains(&value) || self.graph.consumers(value).iter().any(softmax) {
            self.quantize_if_needed(value, node);
        }
    }

    /// Half up through a table of 10 fractional bits leaves 9.
    pub(super) fn table_output_f(&self) -> f32 {
        if self.options.rounding == Rounding::Floor { 10.0 } else { 9.0 }
    }

    pub(super) fn needs_grid(&self, consumer: usize) -> bool {
        match self.graph.nodes[consumer].op {
            Op::Dense(_) | Op::Affine(_) | Op::Merge(_) | Op::AveragePool { .. } => true,
            Op::MaxPool(_) | Op::Move(Move::Reshape | Move::Concat { .. } | Move::Pad { .. } | Move::Select { .. }) => {
                self.graph.consumers(self.graph.nodes[consumer].output).iter().any(|&c| self.needs_grid(c))
            }
            Op::Quant(_)
            | Op::Elementwise(_)
            | Op::Softmax { .. }
            | Op::Sign
            | Op::Clip { .. }
            | Op::Move(Move::Permute { .. }) => false,
        }
    }

    /// Puts a quantizer after graph value `value`; later readers see its output.
    pub(super) fn insert(&mut self, value: ValueId, q: Quantizer, after: &str) {
        let name = format!("{}_q", self.graph.values[value].name);
        let output = self.model.add_value(name, self.graph.values[value].shape.clone());
        let trainable = q.trainable && self.settings(after).learns.bits;
        self.model.nodes.push(Node {
            name: quantizer_name(after),
            op: QOp::Quantizer(Quantizer { trainable, ..q }),
            inputs: vec![self.current[value]],
            output,
        });
        self.current[value] = output;
    }

    /// A quantizer of `value` with a traced range, by the settings of node `after`.
    pub(super) fn quantizer(&self, value: ValueId, f: f32, max_f: f32, after: &str) -> Quantizer {
        let groups = self.groups(value, after);
        Quantizer {
            f: vec![f; groups.count()],
            groups,
            range: Range::Traced,
            rounding: self.options.rounding,
            max_f,
            trainable: true,
            annotated: false,
        }
    }

    /// Groups of an activation: all positions of a channel are alike, as hls4ml's layers have them.
    pub(super) fn groups(&self, value: ValueId, after: &str) -> Groups {
        let shape = &self.graph.values[value].shape;
        let granularity = match self.settings(after).activations {
            Granularity::Element if shape.len() > 1 => Granularity::Channel,
            other => other,
        };
        Groups::new(granularity, shape)
    }

    /// Fractional bits that `value` starts with: the configured ones for values of about 1
    /// (docs/recipe.md#start), as many more as the values are smaller.
    fn start_f(&self, value: ValueId, after: &str) -> f32 {
        let range = &self.ranges[value];
        let top = range.max.iter().chain(&range.min).fold(0f64, |m, v| m.max(v.abs()));
        start_f(self.settings(after).init_activation_f.unwrap_or(INIT_F), top)
    }

    /// A saturating quantizer whose integer bits cover the data (`i = ⌊log2 max⌋ + 1`).
    pub(super) fn saturating(&self, value: ValueId, nonnegative: bool, max_f: f32, after: &str) -> Quantizer {
        let mut q = self.quantizer(value, self.start_f(value, after).min(max_f), max_f, after);
        let (mut keep, mut top) = (vec![false; q.groups.count()], vec![0f64; q.groups.count()]);
        for e in 0..q.groups.elements() {
            let (g, min, max) = (q.groups.of(e), self.ranges[value].min[e], self.ranges[value].max[e]);
            keep[g] |= min < 0.0 && !nonnegative;
            top[g] = top[g].max(max).max(if nonnegative { 0.0 } else { -min });
        }
        let i = top.iter().map(|&t| if t > 0.0 && t.is_finite() { (floor_log2(t) + 1) as f32 } else { DEAD_UNIT_I }).collect();
        for (f, &t) in q.f.iter_mut().zip(&top) {
            if t > 0.0 && t.is_finite() {
                *f = f.min((MAX_START_BITS - floor_log2(t) - 1) as f32);
            }
        }
        q.range = Range::Saturating { keep_negative: keep, i, symmetric: false };
        q
    }

    /// Quantizes the graph input `input` at `value`: itself, or its only reshape.
    pub(super) fn input_quantizer(&mut self, input: ValueId, value: ValueId) {
        let name = self.graph.values[input].name.clone();
        if self.takes_over && !self.options.training {
            // nothing annotated here: keep all that hls4ml's port keeps
            let q = self.wide_input(value);
            let message = "the input has no quantizer: it is truncated to hls4ml's port, 16 fractional bits";
            self.notes.push(Diagnostic::at(Code::InputNotAnnotated, &name, message));
            self.insert(value, q, &name);
            return;
        }
        let q = self.saturating(value, false, INPUT_MAX_F, &name);
        self.insert(value, q, &name);
    }

    /// True when `value` is a graph input, or one in another shape.
    fn reads_input(&self, value: ValueId) -> bool {
        match self.graph.producer(value).map(|p| &self.graph.nodes[p]) {
            None => true,
            Some(node) => matches!(node.op, Op::Move(Move::Reshape)) && self.reads_input(node.inputs[0]),
        }
    }

    pub(super) fn wide_input(&self, input: ValueId) -> Quantizer {
        let shape = &self.graph.values[input].shape;
        let groups =
            if shape.len() > 1 { Groups::new(Granularity::Channel, shape) } else { Groups::elementwise(shape.iter().product()) };
        let mut tops = vec![0f64; groups.count()];
        for e in 0..groups.elements() {
            let top = self.ranges[input].max[e].abs().max(self.ranges[input].min[e].abs());
            let group = &mut tops[groups.of(e)];
            *group = group.max(if top.is_finite() { top } else { 0.0 });
        }
        // one bit above the data: values a little beyond the calibration stay as they are
        let i = tops.iter().map(|&top| if top > 0.0 { (floor_log2(top) + 2) as f32 } else { 1.0 }).collect();
        Quantizer {
            f: vec![INPUT_MAX_F + 1.0; groups.count()],
            range: Range::Saturating { keep_negative: vec![true; groups.count()], i, symmetric: false },
            rounding: Rounding::Floor,
            max_f: INPUT_MAX_F + 1.0,
            trainable: false,
            annotated: true,
            groups,
        }
    }

    /// A table takes inputs of 6 (sigmoid) or 7 (tanh) fractional bits: caps the quantizer before
    /// it, or adds one.
    pub(super) fn table_input(&mut self, node: &Node<Op>, function: Elementwise) {
        let limit = function.max_input_frac().map_or(MAX_F, |limit| limit as f32);
        let value = node.inputs[0];
        let current = self.current[value];
        let before = self.model.nodes.iter().rposition(|n| n.output == current);
        let asked = self.settings(&node.name).init_activation_f.filter(|&asked| asked > limit && !self.takes_over);
        if let Some(asked) = asked {
            let message = format!(
                "its input starts with {limit} fractional bits, not {asked} as init_bits says: hls4ml's table takes no more"
            );
            self.note(Code::TableInput, node, message);
        }
        if let Some(QOp::Quantizer(q)) = before.map(|b| &mut self.model.nodes[b].op) {
            let over = q.f.iter().any(|&f| f.round_ties_even() > limit);
            if over && q.annotated && !self.options.training {
                self.own_table_input(node, limit);
                return;
            }
            q.max_f = q.max_f.min(limit);
            q.f.iter_mut().for_each(|f| *f = f.min(limit));
        } else if self.takes_over && !self.options.training {
            self.own_table_input(node, limit);
        } else {
            let name = format!("{}_input", node.name);
            let q = self.saturating(value, false, limit, &name);
            self.insert(value, q, &name);
        }
    }

    /// A quantizer in front of a table that the file has not, or finer.
    fn own_table_input(&mut self, node: &Node<Op>, limit: f32) {
        let message = format!("its input gets a quantizer of {limit} fractional bits: hls4ml's table takes no more");
        self.note(Code::TableInput, node, message);
        let (value, name) = (node.inputs[0], format!("{}_input", node.name));
        let q = self.saturating(value, false, limit, &name);
        let f = vec![limit; q.groups.count()];
        self.insert(value, Quantizer { f, trainable: false, annotated: true, ..q }, &name);
    }

    pub(super) fn annotated_quantizer(&mut self, node: &Node<Op>, a: qonnx::Annotation) -> Quantizer {
        if !a.exact {
            self.note(
                Code::ScaleRegridded,
                node,
                "its scale is not a power of two: a finer power-of-two grid takes its place".into(),
            );
        }
        if a.ties_differ {
            self.note(
                Code::HalfUpTies,
                node,
                "HALF_UP on signed values: exact negative ties go up (AP_RND), QONNX takes them away from zero".into(),
            );
        }
        let q = self.with_formats(node.output, &a.formats, a.symmetric, &node.name);
        let is_input = self.reads_input(node.inputs[0]);
        let max_f = if is_input && self.options.training { INPUT_MAX_F } else { MAX_F.max(q.max_f) };
        let trainable = self.options.training && self.settings(&node.name).learns.bits;
        Quantizer { rounding: a.rounding, max_f, trainable, ..q }
    }

    /// The quantizer of `value` with these formats per element, by the usual groups where they
    /// allow it; not trained, rounds down.
    pub(super) fn with_formats(&self, value: ValueId, formats: &[Kif], symmetric: bool, after: &str) -> Quantizer {
        let wanted = self.groups(value, after);
        let groups = if uniform(&wanted, formats) { wanted } else { Groups::elementwise(formats.len()) };
        let mut first = vec![Kif::ZERO; groups.count()];
        for (e, &k) in formats.iter().enumerate() {
            first[groups.of(e)] = k;
        }
        Quantizer {
            f: first.iter().map(|k| k.fractional as f32).collect(),
            range: Range::Saturating {
                keep_negative: first.iter().map(|k| k.keep_negative).collect(),
                i: first.iter().map(|k| k.integer as f32).collect(),
                symmetric,
            },
            rounding: Rounding::Floor,
            max_f: first.iter().map(|k| k.fractional).max().unwrap_or(0) as f32,
            trainable: false,
            annotated: true,
            groups,
        }
    }
}

/// See [`Builder::start_f`]; `top` is the largest magnitude.
pub(super) fn start_f(configured: f32, top: f64) -> f32 {
    if !(top > 0.0 && top.is_finite()) {
        return configured;
    }
    let i = floor_log2(top) + 1;
    configured + (-i).max(0) as f32
}

#[cfg(test)]
mod tests {
    use super::start_f;

    #[test]
    fn the_start_follows_the_magnitude() {
        assert_eq!((start_f(4.0, 1.0), start_f(4.0, 7.9), start_f(4.0, 0.6)), (4.0, 4.0, 4.0));
        assert_eq!((start_f(4.0, 0.001), start_f(4.0, 0.0)), (13.0, 4.0));
        assert_eq!(start_f(4.0, 1e4), 4.0);
    }
}
