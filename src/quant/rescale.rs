//! Activation scales that are no power of two move into the weights: `x' = r·x` with `r = 2^m/s`
//! makes the annotated step `s` a power of two without moving a single threshold of the quantizer;
//! the layer before takes `r` into its columns, the layer after `1/r` into its rows. Only weights
//! are then put on a finer grid. Where no layer can take the factor, an element-wise scale does.

use super::exact::MinMax;
use super::kif::{ceil_log2, exp2i, floor_log2};
use super::qonnx::power_of_two;
use crate::graph::channels::per_channel;
use crate::graph::{Affine, Dense, Graph, Node, Op, QuantSpec, RoundingMode, ValueId};
use crate::ops::Move;

/// Fractional bits of a factor that stands as a multiplication of its own: an error of 1/32 step at
/// the end of an 8-bit range.
const FACTOR_F: i32 = 11;
/// Bits finer than the annotated step that a raw input keeps before it is scaled.
const INPUT_BITS: i32 = 5;

/// A graph whose activation scales are powers of two.
pub struct Rescaled {
    pub graph: Graph,
    /// Ranges of its values.
    pub ranges: Vec<MinMax>,
    /// Names of added nodes whose formats are not to be trained.
    pub frozen: Vec<String>,
    /// Annotations that were moved.
    pub moved: Vec<String>,
}

/// Rescales every activation annotation whose scales are not powers of two.
pub fn rescale(graph: &Graph, ranges: &[MinMax]) -> Rescaled {
    let mut r = Rescaled { graph: graph.clone(), ranges: ranges.to_vec(), frozen: Vec::new(), moved: Vec::new() };
    let mut at = 0;
    while at < r.graph.nodes.len() {
        let Op::Quant(spec) = &r.graph.nodes[at].op else {
            at += 1;
            continue;
        };
        if spec.scale.iter().all(|&s| power_of_two(s)) || !spec.scale.iter().all(|&s| s.is_finite() && s > 0.0) {
            at += 1;
            continue;
        }
        at = r.one(at, spec.clone()) + 1;
    }
    r.weights_in_front_of_scales();
    r
}

impl Rescaled {
    /// Steps of weights that are no power of two go into the scale that alone reads the layer, the
    /// bias into its shift: the weights are narrow integers again.
    fn weights_in_front_of_scales(&mut self) {
        for at in 0..self.graph.nodes.len() {
            let output = self.graph.nodes[at].output;
            let Op::Dense(d) = &self.graph.nodes[at].op else { continue };
            let Some(factor) = d.weight_quant.as_ref().and_then(|spec| column_factors(spec, d.outputs)) else { continue };
            let &[reader] = &self.graph.consumers(output)[..] else { continue };
            if self.graph.outputs.contains(&output) || !matches!(self.graph.nodes[reader].op, Op::Affine(_)) {
                continue;
            }
            let (outputs, bias) = (d.outputs, quantized_bias(d));
            if let Op::Affine(a) = &mut self.graph.nodes[reader].op {
                a.shift.iter_mut().zip(&a.scale).enumerate().for_each(|(e, (t, s))| *t += bias[e % outputs] * s);
            }
            if let Op::Dense(d) = &mut self.graph.nodes[at].op {
                d.bias.fill(0.0);
                d.bias_quant = None;
            }
            let all: Vec<f64> = (0..self.graph.len_of(output)).map(|e| factor[e % outputs]).collect();
            self.scale_above(output, &all);
            if let Op::Affine(a) = &mut self.graph.nodes[reader].op {
                a.scale.iter_mut().zip(&all).for_each(|(v, f)| *v /= f);
            }
        }
    }

    /// Rescales the annotation at node `at`; returns its index afterwards.
    fn one(&mut self, at: usize, spec: QuantSpec) -> usize {
        let mut at = at;
        let (input, output) = (self.graph.nodes[at].inputs[0], self.graph.nodes[at].output);
        let steps: Vec<f64> = spec.scale.iter().map(|&s| exp2i(s.log2().round() as i32)).collect();
        let mut factor: Vec<f64> = steps.iter().zip(&spec.scale).map(|(p, s)| p / s).collect();
        if self.takes_above(input, at, &factor) {
            self.scale_above(input, &factor);
        } else {
            for f in &mut factor {
                *f = (*f * exp2i(FACTOR_F)).round() * exp2i(-FACTOR_F);
            }
            at = self.insert_scale(at, input, &spec, &factor);
        }
        let back: Vec<f64> = factor.iter().map(|f| 1.0 / f).collect();
        self.scale_range(output, &factor);
        if self.takes_below(output, &back) {
            self.scale_below(output, &back);
        } else {
            self.append_scale(at, output, &back);
        }
        self.moved.push(spec.node.clone());
        self.graph.nodes[at].op = Op::Quant(QuantSpec { scale: steps, ..spec });
        at
    }

    fn scale_range(&mut self, value: ValueId, factor: &[f64]) {
        let range = &mut self.ranges[value];
        range.min.iter_mut().zip(factor).for_each(|(v, f)| *v *= f);
        range.max.iter_mut().zip(factor).for_each(|(v, f)| *v *= f);
    }

    /// Can everything that computes `value`, read by node `reader` alone, take the positive
    /// factors?
    fn takes_above(&self, value: ValueId, reader: usize, factor: &[f64]) -> bool {
        let g = &self.graph;
        if g.outputs.contains(&value) || g.consumers(value) != [reader] {
            return false;
        }
        let Some(p) = g.producer(value) else { return false };
        let from = g.nodes[p].inputs[0];
        let op = &g.nodes[p].op;
        if let Op::Dense(d) = op {
            return d.window.is_none() || per_channel(factor, d.outputs).is_some();
        }
        let passed = || carried(op, factor, g.len_of(from)).is_some_and(|factor| self.takes_above(from, p, &factor));
        matches!(op, Op::Affine(_)) || passed()
    }

    fn scale_above(&mut self, value: ValueId, factor: &[f64]) {
        self.scale_range(value, factor);
        let Some(p) = self.graph.producer(value) else { return };
        let from = self.graph.nodes[p].inputs[0];
        let len = self.graph.len_of(from);
        let op = &mut self.graph.nodes[p].op;
        if let Op::Dense(d) = op {
            let outputs = d.outputs;
            scale_tensor(&mut d.weight, d.weight_quant.as_mut(), |e| factor[e % outputs]);
            scale_tensor(&mut d.bias, d.bias_quant.as_mut(), |e| factor[e]);
        } else if let Op::Affine(a) = op {
            a.scale.iter_mut().zip(factor).for_each(|(v, f)| *v *= f);
            a.shift.iter_mut().zip(factor).for_each(|(v, f)| *v *= f);
        } else if let Some(factor) = carried(op, factor, len) {
            self.scale_above(from, &factor);
        }
    }

    /// Can everything that reads `value` take the factors?
    fn takes_below(&self, value: ValueId, back: &[f64]) -> bool {
        let g = &self.graph;
        !g.outputs.contains(&value)
            && g.consumers(value).iter().all(|&c| {
                let (op, to) = (&g.nodes[c].op, g.nodes[c].output);
                if let Op::Dense(d) = op {
                    return d.window.as_ref().is_none_or(|w| per_channel(back, w.input[2]).is_some());
                }
                let passed = || carried(op, back, g.len_of(to)).is_some_and(|back| self.takes_below(to, &back));
                matches!(op, Op::Affine(_)) || passed()
            })
    }

    fn scale_below(&mut self, value: ValueId, back: &[f64]) {
        for c in self.graph.consumers(value) {
            let output = self.graph.nodes[c].output;
            let len = self.graph.len_of(output);
            let op = &mut self.graph.nodes[c].op;
            if let Op::Dense(d) = op {
                let outputs = d.outputs.max(1);
                // the factors of a channel are the same everywhere
                let element = |k: usize, o: usize| d.window.as_ref().map_or(k, |w| w.channel(k, o, outputs));
                let factors: Vec<f64> = (0..d.weight.len()).map(|e| back[element(e / outputs, e % outputs)]).collect();
                scale_tensor(&mut d.weight, d.weight_quant.as_mut(), |e| factors[e]);
            } else if let Op::Affine(a) = op {
                a.scale.iter_mut().zip(back).for_each(|(v, f)| *v *= f);
            } else if let Some(back) = carried(op, back, len) {
                let factor: Vec<f64> = back.iter().map(|b| 1.0 / b).collect();
                self.scale_range(output, &factor);
                self.scale_below(output, &back);
            }
        }
    }

    /// A multiplication in front of node `at`; on a raw input after a fine truncation, since a
    /// product needs a grid.
    fn insert_scale(&mut self, at: usize, input: ValueId, spec: &QuantSpec, factor: &[f64]) -> usize {
        let name = self.graph.nodes[at].name.clone();
        let shape = self.graph.values[input].shape.clone();
        let mut nodes = Vec::new();
        let mut from = input;
        if self.graph.producer(input).is_none() {
            let to = self.graph.add_value(format!("{name}_port"), shape.clone());
            let finest = spec.scale.iter().map(|s| ceil_log2(1.0 / s)).max().unwrap_or(0) + INPUT_BITS;
            let f = finest.min(super::port::INPUT_MAX_F as i32 + 1);
            let range = &self.ranges[input];
            // positions of a channel are alike
            let channels = if shape.len() > 1 { shape.last().copied().unwrap_or(1).max(1) } else { spec.scale.len().max(1) };
            let mut tops = vec![0f64; channels];
            for e in 0..spec.scale.len() {
                tops[e % channels] = tops[e % channels].max(range.max[e].abs().max(range.min[e].abs()));
            }
            let bits = |e: usize| {
                let top = tops[e % channels];
                let i = if top > 0.0 && top.is_finite() { floor_log2(top) + 2 } else { 1 };
                f64::from((1 + i + f).max(2))
            };
            let port = QuantSpec {
                node: format!("{name}_port"),
                scale: vec![exp2i(-f); spec.scale.len()],
                zero_point: vec![0.0; spec.scale.len()],
                bits: (0..spec.scale.len()).map(bits).collect(),
                bits_per_element: true,
                signed: true,
                narrow: false,
                rounding: RoundingMode::Floor,
                bipolar: false,
            };
            self.ranges.push(self.ranges[input].clone());
            self.frozen.push(format!("{name}_port"));
            nodes.push(Node { name: format!("{name}_port"), op: Op::Quant(port), inputs: vec![from], output: to });
            from = to;
        }
        let to = self.graph.add_value(format!("{name}_scaled"), shape);
        self.ranges.push(self.ranges[input].clone());
        self.scale_range(to, factor);
        let affine = Affine { scale: factor.to_vec(), shift: vec![0.0; factor.len()] };
        nodes.push(Node { name: format!("{name}_scaled"), op: Op::Affine(affine), inputs: vec![from], output: to });
        let added = nodes.len();
        self.graph.nodes[at].inputs[0] = to;
        self.graph.nodes.splice(at..at, nodes);
        at + added
    }

    /// A multiplication after node `at`: later readers get the original values.
    fn append_scale(&mut self, at: usize, value: ValueId, back: &[f64]) {
        let name = self.graph.nodes[at].name.clone();
        let inner = self.graph.add_value(format!("{name}_inner"), self.graph.values[value].shape.clone());
        self.ranges.push(self.ranges[value].clone());
        self.scale_range(value, back);
        self.graph.nodes[at].output = inner;
        let affine = Affine { scale: back.to_vec(), shift: vec![0.0; back.len()] };
        let node = Node { name: format!("{name}_rescaled"), op: Op::Affine(affine), inputs: vec![inner], output: value };
        self.graph.nodes.insert(at + 1, node);
    }
}

/// The factors on the other side of an operation that positive factors pass through; `len` elements
/// are there.
fn carried(op: &Op, factor: &[f64], len: usize) -> Option<Vec<f64>> {
    match op {
        Op::Elementwise(f) => f.is_homogeneous().then(|| factor.to_vec()),
        Op::Move(Move::Reshape) => Some(factor.to_vec()),
        Op::MaxPool(window) | Op::AveragePool { window, .. } => {
            let channels = per_channel(factor, window.input[2])?;
            Some(channels.iter().copied().cycle().take(len).collect())
        }
        Op::Dense(_)
        | Op::Affine(_)
        | Op::Quant(_)
        | Op::Softmax { .. }
        | Op::Sign
        | Op::Clip { .. }
        | Op::Merge(_)
        | Op::Move(Move::Concat { .. } | Move::Pad { .. } | Move::Permute { .. } | Move::Select { .. }) => None,
    }
}

/// The bias with its annotation applied.
fn quantized_bias(d: &Dense) -> Vec<f64> {
    let of = |(e, &b): (usize, &f32)| d.bias_quant.as_ref().map_or(f64::from(b), |q| q.apply(e, b.into()));
    d.bias.iter().enumerate().map(of).collect()
}

/// What makes the steps of weights powers of two where all of a column are alike and some are none.
fn column_factors(spec: &QuantSpec, outputs: usize) -> Option<Vec<f64>> {
    let first = spec.scale.get(..outputs).filter(|_| !spec.bipolar)?;
    let alike = spec.scale.chunks(outputs.max(1)).all(|row| row == first);
    let usual = first.iter().all(|&s| s.is_finite() && s > 0.0);
    let odd = first.iter().any(|&s| !power_of_two(s));
    (alike && usual && odd).then(|| first.iter().map(|&s| exp2i(s.log2().round() as i32) / s).collect())
}

/// Scales raw values, or the steps of their annotation with them.
fn scale_tensor(values: &mut [f32], spec: Option<&mut QuantSpec>, factor: impl Fn(usize) -> f64) {
    for (e, v) in values.iter_mut().enumerate() {
        *v = (*v as f64 * factor(e)) as f32;
    }
    if let Some(spec) = spec {
        spec.scale.iter_mut().enumerate().for_each(|(e, s)| *s *= factor(e));
    }
}
