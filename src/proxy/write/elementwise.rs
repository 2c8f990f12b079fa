//! The element-wise form, for the plug-in of `python/`: one tensor per value of the exact model,
//! one `Quant` per quantizer whose scale and bit width are tensors. Stock hls4ml refuses such a
//! `Quant`; the plug-in makes it hls4ml's own `FixedPointQuantizer`, one `ap_fixed` cast per
//! element.
//!
//! What a scalar QONNX `Quant` cannot say is in its attributes: `overflow_mode` (`SAT`, `SAT_SYM`,
//! `WRAP`; its presence marks the form), `keep_negative` (per entry of the bit widths, where signed
//! and unsigned elements meet; the bit width then counts the sign of signed ones only) and as
//! `rounding_mode`, besides `FLOOR` and `ROUND`, ap_fixed's `RND` (half up) and `RND_MIN_INF` (half
//! down).

use super::build::{Builder, float, int, ints, text};
use super::constant::{quant_type, quantised};
use super::lower::{Lowered, finish};
use crate::graph::channels::per_channel;
use crate::graph::{Node, ValueId, Window};
use crate::onnx::metadata;
use crate::ops::{Elementwise, Move};
use crate::proxy::error::{Fault, Reason};
use crate::quant::interval::Span;
use crate::quant::{FixedDense, FixedModel, FixedOp, FixedQuantizer, FixedTensor, Kif, Overflow, Rounding};

/// Key of the file's metadata that tells the form.
const METADATA_KEY: &str = "hgq_onnx.form";

struct Walk<'a> {
    model: &'a FixedModel,
    b: Builder,
    /// Name of each value's tensor, once it is written.
    tensors: Vec<Option<String>>,
    /// Reserved names of the outputs.
    named: Vec<(ValueId, String)>,
}

/// Writes `model`, whose average poolings are convolutions already.
///
/// # Errors
/// Every node that the plug-in cannot compute exactly.
pub fn write(model: &FixedModel) -> Result<Lowered, Vec<Fault>> {
    let mut faults = structure(model);
    let mut b = Builder::default();
    let inputs: Vec<String> = model.inputs.iter().map(|&i| b.name(&model.values[i].name)).collect();
    let outputs: Vec<String> = model.outputs.iter().map(|&o| b.name(&model.values[o].name)).collect();
    let named = model.outputs.iter().copied().zip(outputs.iter().cloned()).collect();
    let mut walk = Walk { model, b, tensors: vec![None; model.values.len()], named };
    for (&value, name) in model.inputs.iter().zip(&inputs) {
        walk.tensors[value] = Some(name.clone());
    }
    for node in &model.nodes {
        let written = match walk.node(node) {
            Ok(tensor) => tensor,
            Err(reason) => {
                faults.push(Fault { node: node.name.clone(), reason });
                // what follows is looked at all the same
                walk.out(node.output)
            }
        };
        walk.tensors[node.output] = Some(written);
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut lowered = finish(walk.b, model, inputs, outputs);
    metadata::state(&mut lowered.model, METADATA_KEY, "elementwise".into());
    Ok(lowered)
}

/// What hls4ml's passes after the plug-in take for granted.
fn structure(model: &FixedModel) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |node: &str, what: &str| faults.push(Fault { node: node.into(), reason: Reason::Structure(what.into()) });
    let twice = |list: &[ValueId]| list.iter().enumerate().any(|(at, v)| list[..at].contains(v));
    if model.inputs.is_empty() || model.outputs.is_empty() || twice(&model.inputs) || twice(&model.outputs) {
        fault("(graph)", "the element-wise form has at least one input and one output, each listed once");
    }
    for &output in &model.outputs {
        let name = &model.values[output].name;
        match model.producer(output) {
            None => fault(name, "the element-wise form has no output that is an input"),
            Some(n) if !model.consumers(output).is_empty() => {
                fault(&model.nodes[n].name, "the element-wise form has no output that another layer reads");
            }
            Some(_) => {}
        }
    }
    // hls4ml types the port from the quantizers after it
    let mut raw = model.inputs.clone();
    for node in &model.nodes {
        if !node.inputs.iter().any(|v| raw.contains(v)) {
            continue;
        }
        if matches!(node.op, FixedOp::Move(Move::Reshape)) {
            raw.push(node.output);
        } else if !matches!(&node.op, FixedOp::Quantize(q) if q.offset.is_none()) {
            fault(&node.name, "in the element-wise form every input has a quantizer");
        }
    }
    faults
}

impl<'a> Walk<'a> {
    /// The name of the tensor that holds `value`.
    fn out(&mut self, value: ValueId) -> String {
        match self.named.iter().find(|(v, _)| *v == value) {
            Some((_, name)) => name.clone(),
            None => self.b.name(&self.model.values[value].name),
        }
    }

    fn shape(&self, value: ValueId) -> Vec<usize> {
        self.model.values[value].shape.clone()
    }

    fn tensor(&self, value: ValueId) -> Result<String, Reason> {
        self.tensors[value].clone().ok_or_else(|| Reason::Structure("reads what nothing has written".into()))
    }

    /// `tensor` of shape `from` (of a sample) in the shape `to`.
    fn shaped(&mut self, tensor: String, from: &[usize], to: &[usize]) -> String {
        if from == to {
            return tensor;
        }
        let out = self.b.name(&format!("{tensor}_shaped"));
        self.b.reshape(tensor, out, &batched(to))
    }

    /// Writes `op` on tensors whose result has shape `made`; the value's own shape follows.
    fn close(&mut self, value: ValueId, op: &str, inputs: Vec<String>, made: &[usize], attributes: Attributes) -> String {
        let shape = self.shape(value);
        if made == shape {
            let out = self.out(value);
            return self.b.node(op, inputs, out, &batched(made), attributes);
        }
        let inner = self.b.name(&format!("{}_{}", self.model.values[value].name, op.to_lowercase()));
        let inner = self.b.node(op, inputs, inner, &batched(made), attributes);
        let out = self.out(value);
        self.b.reshape(inner, out, &batched(&shape))
    }

    fn node(&mut self, node: &'a Node<FixedOp>) -> Result<String, Reason> {
        let value = node.output;
        let shape = self.shape(value);
        let inputs = node.inputs.iter().map(|&v| self.tensor(v)).collect::<Result<Vec<_>, _>>()?;
        let (Some(x), Some(&source)) = (inputs.first().cloned(), node.inputs.first()) else {
            return Err(Reason::Structure("reads nothing".into()));
        };
        let refused = |kind| Err(Reason::Structure(format!("{kind} is not written in the element-wise form")));
        match &node.op {
            FixedOp::Quantize(q) => self.quantize(node, q, x),
            FixedOp::Dense(d) => match &d.window {
                None => self.dense(value, d, x, source),
                Some(w) => self.convolution(value, d, w, x, source),
            },
            FixedOp::Elementwise(f @ (Elementwise::Relu | Elementwise::LeakyRelu { .. })) => {
                super::lower::checked(*f)?;
                let alpha = f.alpha().map(|alpha| float("alpha", alpha));
                Ok(self.close(value, f.onnx(), vec![x], &shape, alpha.into_iter().collect()))
            }
            FixedOp::Move(Move::Reshape) => {
                let out = self.out(value);
                Ok(self.b.reshape(x, out, &batched(&shape)))
            }
            FixedOp::MaxPool(w) => {
                if w.is_padded() {
                    return Err(Reason::Structure("padded pooling is not written in the element-wise form".into()));
                }
                let from = self.shape(source);
                let x = self.shaped(x, &from, &w.input);
                let attributes = vec![ints("kernel_shape", &w.kernel), ints("strides", &w.stride), ints("pads", &w.pads)];
                let made = [&w.output()[..], &[w.input[2]]].concat();
                Ok(self.close(value, "MaxPool", vec![x], &made, attributes))
            }
            FixedOp::Merge(merge) if inputs.len() == 2 => Ok(self.close(value, merge.onnx(), inputs, &shape, Vec::new())),
            FixedOp::Affine(a) => {
                let units = shape.last().copied().unwrap_or(1);
                let of = |t: &FixedTensor| per_channel(&t.ints, units).map(|c| exactly(c, t.frac));
                let (Some(scale), Some(shift)) = (of(&a.scale), of(&a.shift)) else {
                    let what = "a scale that differs over the positions of a channel is not written in the element-wise form";
                    return Err(Reason::Structure(what.into()));
                };
                let stem = self.model.values[value].name.clone();
                let c = quantised(&mut self.b, &format!("{stem}_scale"), "scale", &scale, &[units])?;
                let out = self.b.name(&format!("{stem}_scaled"));
                let scaled = self.b.node("Mul", vec![x, c], out, &batched(&shape), Vec::new());
                let c = quantised(&mut self.b, &format!("{stem}_shift"), "bias", &shift, &[units])?;
                Ok(self.close(value, "Add", vec![scaled, c], &shape, Vec::new()))
            }
            FixedOp::Elementwise(f) => refused(f.onnx()),
            FixedOp::Move(m) => refused(m.onnx()),
            FixedOp::AveragePool(_) | FixedOp::Merge(_) => refused("this operation"),
        }
    }

    /// One `Quant`, its parameters per element, or per channel where all positions agree.
    fn quantize(&mut self, node: &Node<FixedOp>, q: &FixedQuantizer, x: String) -> Result<String, Reason> {
        let on_input = self.model.producer(node.inputs[0]).is_none();
        let rounding = match q.rounding {
            Rounding::Floor => "FLOOR",
            Rounding::HalfEven => "ROUND",
            Rounding::HalfUp => "RND",
            Rounding::HalfDown if on_input => return Err(Reason::RoundingOfInput("half-down")),
            Rounding::HalfDown => "RND_MIN_INF",
            Rounding::Ceil => return Err(Reason::Structure("ap_fixed has no rounding up".into())),
        };
        let overflow = match q.overflow {
            Overflow::Sat => "SAT",
            Overflow::SatSym => "SAT_SYM",
            Overflow::Wrap => "WRAP",
        };
        let shape = self.shape(node.output);
        let units = shape.last().copied().unwrap_or(1);
        // ap_fixed lets a signed type of one bit have its −1 although that range is symmetric: 0
        // only
        let nothing = |k: &Kif| k.is_zero() || (q.overflow == Overflow::SatSym && k.keep_negative && k.bits() == 1);
        let formats: Vec<Kif> = q.formats.iter().map(|k| if nothing(k) { Kif::ZERO } else { *k }).collect();
        let (formats, entries): (&[Kif], Vec<usize>) = match per_channel(&formats, units) {
            Some(channels) => (channels, vec![units]),
            None => (&formats, shape.clone()),
        };
        let kept = || formats.iter().filter(|k| !k.is_zero());
        for &format in kept() {
            quant_type("the quantizer", format, false)?;
        }
        let signed = kept().any(|k| k.keep_negative);
        let out = self.out(node.output);
        let step = |k: &Kif| if k.is_zero() { 1.0 } else { 2f64.powi(-k.fractional) };
        let scale = self.b.constant(&format!("{out}_scale"), formats.iter().map(step), &entries);
        let zero = self.b.constant(&format!("{out}_zero"), std::iter::once(0.0), &[]);
        let bits = self.b.constant(&format!("{out}_bits"), formats.iter().map(|k| f64::from(k.bits())), &entries);
        let mut attributes = vec![
            int("signed", signed.into()),
            int("narrow", (signed && q.overflow == Overflow::SatSym).into()),
            text("rounding_mode", rounding),
            text("overflow_mode", overflow),
        ];
        if signed && kept().any(|k| !k.keep_negative) {
            let flags: Vec<usize> = formats.iter().map(|k| usize::from(k.keep_negative && !k.is_zero())).collect();
            attributes.push(ints("keep_negative", &flags));
        }
        Ok(self.b.node("Quant", vec![x, scale, zero, bits], out, &batched(&shape), attributes))
    }

    fn dense(&mut self, value: ValueId, d: &FixedDense, x: String, source: ValueId) -> Result<String, Reason> {
        let (stem, from) = (self.model.values[value].name.clone(), self.shape(source));
        let x = self.shaped(x, &from, &[d.inputs]);
        let weights = exactly(&d.weight.ints, d.weight.frac);
        let w = quantised(&mut self.b, &format!("{stem}_weight"), "weight", &weights, &[d.inputs, d.outputs])?;
        let out = self.b.name(&format!("{stem}_matmul"));
        let product = self.b.node("MatMul", vec![x, w], out, &[1, d.outputs], Vec::new());
        let c = quantised(&mut self.b, &format!("{stem}_bias"), "bias", &exactly(&d.bias.ints, d.bias.frac), &[d.outputs])?;
        Ok(self.close(value, "Add", vec![product, c], &[d.outputs], Vec::new()))
    }

    /// Groups are written out with weights of 0: hls4ml derives no widths for depthwise layers.
    fn convolution(&mut self, value: ValueId, d: &FixedDense, w: &Window, x: String, source: ValueId) -> Result<String, Reason> {
        let (stem, from) = (self.model.values[value].name.clone(), self.shape(source));
        let line = from.len() == 2 && w.input[0] == 1 && w.kernel[0] == 1 && w.pads[0] == 0 && w.pads[2] == 0;
        let axes = usize::from(line);
        let x = self.shaped(x, &from, &w.input[axes..]);
        let channels = w.input[2];
        let entry = |o: usize, tap: usize, c: usize| {
            let row = w.row(tap, c, o, d.outputs);
            row.and_then(|row| d.weight.ints.get(row * d.outputs + o)).copied().unwrap_or(0)
        };
        let taps = |o: usize| (0..w.taps()).flat_map(move |tap| (0..channels).map(move |c| entry(o, tap, c)));
        // (O, kh, kw, I)
        let ordered: Vec<i64> = (0..d.outputs).flat_map(taps).collect();
        let kernel = &w.kernel[axes..];
        let shape = [&[d.outputs], kernel, &[channels]].concat();
        let weights = quantised(&mut self.b, &format!("{stem}_weight"), "weight", &exactly(&ordered, d.weight.frac), &shape)?;
        let bias =
            quantised(&mut self.b, &format!("{stem}_constant"), "bias", &exactly(&d.bias.ints, d.bias.frac), &[d.outputs])?;
        let pads: Vec<usize> = if line { vec![w.pads[1], w.pads[3]] } else { w.pads.to_vec() };
        let attributes = vec![
            ints("kernel_shape", kernel),
            ints("pads", &pads),
            ints("strides", &w.stride[axes..]),
            ints("dilations", &vec![1; kernel.len()]),
            int("group", 1),
        ];
        let made = [&w.output()[axes..], &[d.outputs]].concat();
        Ok(self.close(value, "Conv", vec![x, weights, bias], &made, attributes))
    }
}

type Attributes = Vec<crate::onnx::proto::AttributeProto>;

fn batched(shape: &[usize]) -> Vec<usize> {
    [&[1], shape].concat()
}

/// Constant spans of `values·2^-frac`.
fn exactly(values: &[i64], frac: i32) -> Vec<Span> {
    values.iter().map(|&v| Span::new(v.into(), v.into(), frac)).collect()
}
