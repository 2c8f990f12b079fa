//! Weights, biases and scales: quantized as annotated, or with their starting widths.

use super::{BuildFault, Builder, rule, uniform};
use crate::diagnostic::Code;
use crate::graph::{Affine, Dense, Node, Op};
use crate::ops::Move;
use crate::quant::kif::{Kif, floor_log2};
use crate::quant::model::{BiasBits, Declared, FixedAffine, FixedTensor, QDense, QOp, fractional_bits, round_half_up};
use crate::quant::{Groups, qonnx};

/// Fractional bits kept of a float bias or shift: far below the step of any accumulator that fits
/// the executor.
const MAX_CONSTANT_F: i32 = 32;
/// The same where training moves the constant anyway.
const TRAINED_CONSTANT_F: i32 = 12;
/// Significant bits of the bias of a layer that no quantizer follows in a float file.
const OWN_BIAS_BITS: i32 = 20;
/// Fractional bits kept of a float scale (BatchNormalization after annotated weights).
const MAX_SCALE_F: i32 = 26;

/// Weights and biases of a layer, with the fractional bits of each where the file says them.
struct Constants {
    weight: Vec<f64>,
    bias: Vec<f64>,
    weight_f: Option<Vec<i32>>,
    bias_f: Option<Vec<i32>>,
    declared: Option<Declared>,
}

impl Constants {
    /// Takes in the scale and shift after the layer; `outputs` of each.
    fn fold(&mut self, a: &Affine, outputs: usize) {
        for (e, w) in self.weight.iter_mut().enumerate() {
            let s = a.scale[e % outputs];
            *w *= s;
            if let (Some(f), true) = (&mut self.weight_f, s != 0.0) {
                // a step finer than the folded one
                f[e] += 1 - floor_log2(s.abs());
            }
        }
        for (o, b) in self.bias.iter_mut().enumerate() {
            *b = *b * a.scale[o] + a.shift[o];
        }
        (self.declared, self.bias_f) = (None, None);
    }
}

impl Builder<'_> {
    pub(super) fn dense(&mut self, node: &Node<Op>, d: &Dense, fold: Option<&Affine>) -> QOp {
        let mut constants = self.annotated_constants(node, d);
        if let Some(a) = fold {
            constants.fold(a, d.outputs);
        }
        let Constants { weight, bias, weight_f, bias_f, declared } = constants;
        let settings = rule::settings(&self.options.rules, &[&node.name]);
        let wanted = Groups::new(settings.weights, &[d.inputs, d.outputs]);
        let (weight_groups, weight_f) = weight_widths(&weight, weight_f, wanted, settings.init_weight_f);
        let bias_bits = self.bias_bits(node, &bias, bias_f);
        QOp::Dense(QDense {
            inputs: d.inputs,
            outputs: d.outputs,
            weight: weight.iter().map(|&w| w as f32).collect(),
            weight_groups,
            weight_f,
            bias: bias.iter().map(|&b| b as f32).collect(),
            bias_bits,
            window: d.window.clone(),
            ebops_scale: self.ebops_scale(d),
            declared,
            trainable: self.options.training && (settings.learns.weights || settings.learns.bits),
        })
    }

    /// Weights and biases as the file's annotations quantize them.
    fn annotated_constants(&mut self, node: &Node<Op>, d: &Dense) -> Constants {
        let mut weight: Vec<f64> = d.weight.iter().map(|&w| w as f64).collect();
        let mut bias: Vec<f64> = d.bias.iter().map(|&b| b as f64).collect();
        let mut weight_f: Option<Vec<i32>> = None;
        let mut bias_f: Option<Vec<i32>> = None;
        let mut declared = None;
        if let Some(spec) = &d.weight_quant {
            match qonnx::constant(spec, &d.weight) {
                Ok(c) => {
                    if !c.exact {
                        self.note(Code::ScaleRegridded, node, "the scale of its weights is not a power of two: each weight gets a grid three bits finer than the annotated step".into());
                    }
                    (weight, weight_f) = (c.values, Some(c.f));
                    declared = Some(Declared { weight: c.declared, bias: vec![Kif::ZERO; d.outputs] });
                }
                Err(reason) => self.faults.push(BuildFault { node: spec.node.clone(), op: "Quant", reason }),
            }
        }
        if let Some(spec) = &d.bias_quant {
            match qonnx::constant(spec, &d.bias) {
                Ok(c) => {
                    if let Some(d) = &mut declared {
                        d.bias = c.declared;
                    }
                    (bias, bias_f) = (c.values, Some(c.f));
                }
                Err(reason) => self.faults.push(BuildFault { node: spec.node.clone(), op: "Quant", reason }),
            }
        }
        Constants { weight, bias, weight_f, bias_f, declared }
    }

    fn bias_bits(&self, node: &Node<Op>, bias: &[f64], bias_f: Option<Vec<i32>>) -> BiasBits {
        match bias_f {
            Some(f) => BiasBits::Own(f),
            None if self.trained_quantizer_follows(node) => BiasBits::Activation,
            None => {
                let most = if self.options.training { TRAINED_CONSTANT_F } else { MAX_CONSTANT_F };
                // with half a step added, as many bits as a float32 still has
                let fits =
                    |b: f64| if self.takes_over || b == 0.0 { most } else { most.min(OWN_BIAS_BITS - floor_log2(b.abs())) };
                BiasBits::Own(bias.iter().map(|&b| own_bias_f(b).min(fits(b))).collect())
            }
        }
    }

    /// `parallel_factor / positions` (docs/hgq-spec.md#a2-3).
    fn ebops_scale(&self, d: &Dense) -> f64 {
        let positions = d.window.as_ref().map_or(1, |w| w.positions().max(1));
        self.options.parallel_factor.map_or(1.0, |n| n.min(positions) as f64 / positions as f64)
    }

    /// True when the bias can follow the fractional bits of a quantizer after the layer
    /// (docs/hgq-spec.md#a1-4).
    pub(super) fn trained_quantizer_follows(&self, node: &Node<Op>) -> bool {
        // an annotated network rounds its biases far finer than its activations, if at all
        if self.takes_over {
            return false;
        }
        let mut value = node.output;
        loop {
            let consumers = self.graph.consumers(value);
            let output = self.graph.outputs.contains(&value);
            let ends = |&c: &usize| matches!(self.graph.nodes[c].op, Op::Softmax { .. }) || self.needs_grid(c);
            if output || consumers.iter().any(ends) {
                return true;
            }
            let [next] = consumers[..] else { return false };
            match &self.graph.nodes[next].op {
                Op::Quant(_) => return true,
                Op::Elementwise(f) if f.reads_quantized() => return true,
                Op::Elementwise(_) | Op::Move(Move::Reshape) | Op::MaxPool(_) => value = self.graph.nodes[next].output,
                Op::Dense(_)
                | Op::Affine(_)
                | Op::Softmax { .. }
                | Op::Sign
                | Op::Clip { .. }
                | Op::AveragePool { .. }
                | Op::Merge(_)
                | Op::Move(Move::Concat { .. } | Move::Pad { .. } | Move::Permute { .. } | Move::Select { .. }) => return false,
            }
        }
    }

    pub(super) fn affine(&mut self, node: &Node<Op>, a: &Affine) -> FixedAffine {
        let grid = |v: f64, most: i32| {
            let v = v as f32 as f64;
            if v == 0.0 { 0.0 } else { round_half_up(v, fractional_bits(v).min(most)) }
        };
        let tensor =
            |values: &[f64], most: i32| FixedTensor::from_f64(&values.iter().map(|&v| grid(v, most)).collect::<Vec<_>>());
        // a shift has the half step of a quantizer added
        let narrow = |v: f64| match v {
            v if self.takes_over || v == 0.0 => v,
            v => round_half_up(v, OWN_BIAS_BITS - floor_log2(v.abs())),
        };
        let shift: Vec<f64> = a.shift.iter().map(|&v| narrow(v)).collect();
        match (tensor(&a.scale, MAX_SCALE_F), tensor(&shift, MAX_CONSTANT_F)) {
            (Some(scale), Some(shift)) => FixedAffine { scale, shift },
            _ => {
                self.fault(node, "its scale or shift does not fit one 62-bit grid".into());
                FixedAffine { scale: FixedTensor { ints: vec![], frac: 0 }, shift: FixedTensor { ints: vec![], frac: 0 } }
            }
        }
    }
}

/// Groups and fractional bits of weights: as annotated, elementwise where the wanted groups would
/// lose something, or the configured start.
fn weight_widths(weight: &[f64], annotated: Option<Vec<i32>>, wanted: Groups, init: Option<f32>) -> (Groups, Vec<f32>) {
    // weights of a quarter and more start with the configured bits, a layer of smaller ones with as
    // many more
    let top = weight.iter().fold(0f64, |m, w| m.max(w.abs()));
    let finer = if top > 0.0 && top.is_finite() { (-(floor_log2(top) + 1) - 1).max(0) } else { 0 };
    let init = init.unwrap_or(rule::INIT_F) + finer as f32;
    match annotated {
        None => (wanted.clone(), vec![init; wanted.count()]),
        Some(f) if uniform(&wanted, &f) => {
            let mut grouped = vec![0.0; wanted.count()];
            for (e, &f) in f.iter().enumerate() {
                grouped[wanted.of(e)] = f as f32;
            }
            (wanted, grouped)
        }
        Some(f) => (Groups::elementwise(f.len()), f.iter().map(|&f| f as f32).collect()),
    }
}

/// Fractional bits that hold a float bias, at most [`MAX_CONSTANT_F`].
fn own_bias_f(b: f64) -> i32 {
    if b == 0.0 || !b.is_finite() { 0 } else { fractional_bits(b as f32 as f64).min(MAX_CONSTANT_F) }
}
