//! Whether the engine can train a model; every fault at once.

mod shape;

use super::sources::Sources;
use super::topology::Topology;
use crate::quant::{BiasBits, Model, QDense, QOp, Quantizer, Range, SaturatingDense};
use crate::train::error::{Fault, TrainError};

/// Fixed grids of a bias finer or coarser than this are not ordinary floats any more.
const MAX_OWN_BITS: i32 = 100;

/// What a width passes on its way to a layer.
const KEEPS_WIDTHS: &str = "Relu, LeakyRelu, Reshape, pooling, Concat and Pad";

/// Lengths, values and neighbourhood of all nodes.
///
/// # Errors
/// [`TrainError::Model`].
pub fn check(model: &Model) -> Result<(), TrainError> {
    if let Err(broken) = model.check() {
        return Err(TrainError::Model(vec![Fault { node: broken.node, what: broken.what }]));
    }
    let mut faults = Vec::new();
    if model.inputs.is_empty() || model.outputs.is_empty() {
        let what = format!("{} inputs and {} outputs", model.inputs.len(), model.outputs.len());
        faults.push(Fault { node: model.name.clone(), what });
    }
    for value in model.values.iter().filter(|v| v.is_empty()) {
        faults.push(Fault { node: value.name.clone(), what: format!("the tensor has no elements, shape {:?}", value.shape) });
    }
    for node in &model.nodes {
        let mut fail = |what: String| faults.push(Fault { node: node.name.clone(), what });
        let x = model.len_of(node.inputs[0]);
        shape::node(model, node, &mut fail);
        match &node.op {
            QOp::Dense(d) => dense(d, &mut fail),
            QOp::SaturatingDense(s) => saturating(s, &mut fail),
            QOp::Quantizer(q) => quantizer(q, x, &mut fail),
            QOp::Affine(a) => {
                let lengths = (a.scale.ints.len(), a.shift.ints.len());
                if lengths != (x, x) {
                    fail(format!("{lengths:?} scales and shifts for {x} elements"));
                }
            }
            QOp::Elementwise(f) => {
                if f.in_hls4ml().as_ref() != Ok(f) {
                    fail(format!("{} has a parameter that hls4ml does not compute exactly", f.onnx()));
                }
            }
            QOp::Sign | QOp::MaxPool(_) | QOp::AveragePool(_) | QOp::Merge(_) | QOp::Move(_) => {}
        }
    }
    if faults.is_empty() {
        neighbours(model, &mut faults);
    }
    if faults.is_empty() { Ok(()) } else { Err(TrainError::Model(faults)) }
}

fn finite(what: &str, values: &[f32], fail: &mut impl FnMut(String)) {
    if let Some(at) = values.iter().position(|v| !v.is_finite()) {
        fail(format!("{what} {at} is {}", values[at]));
    }
}

fn dense(d: &QDense, fail: &mut impl FnMut(String)) {
    constants(d, fail);
    if d.weight_f.len() != d.weight_groups.count() {
        fail(format!("{} widths for {} groups of weights", d.weight_f.len(), d.weight_groups.count()));
    }
    if let Some(at) = d.weight_f.iter().position(|f| f.is_nan()) {
        fail(format!("width of weight group {at} is not a number"));
    }
    if let BiasBits::Own(bits) = &d.bias_bits {
        if bits.len() != d.outputs {
            fail(format!("{} bias widths for {} outputs", bits.len(), d.outputs));
        }
        if let Some(f) = bits.iter().find(|f| f.abs() > MAX_OWN_BITS) {
            fail(format!("a bias with {f} fractional bits"));
        }
    }
}

/// Weights and bias themselves.
fn constants(d: &QDense, fail: &mut impl FnMut(String)) {
    let weights = d.inputs.saturating_mul(d.outputs);
    if d.weight.len() != weights || d.weight_groups.elements() != weights || d.bias.len() != d.outputs {
        let lengths = (d.weight.len(), d.weight_groups.elements(), d.bias.len());
        fail(format!("{lengths:?} weights, grouped weights and biases, expected {weights}, {weights} and {}", d.outputs));
    }
    finite("weight", &d.weight, fail);
    finite("bias", &d.bias, fail);
}

fn saturating(s: &SaturatingDense, fail: &mut impl FnMut(String)) {
    constants(&s.layer, fail);
    let v1 = s.layer.weight_f.len() + if let BiasBits::Own(bits) = &s.layer.bias_bits { bits.len() } else { 1 };
    if v1 != 0 {
        fail("widths of HGQ v1 beside those of HGQ2".into());
    }
    for (what, q, elements) in [("weight", &s.weight, s.layer.weight.len()), ("bias", &s.bias, s.layer.outputs)] {
        let mut fail = |text: String| fail(format!("{what} quantizer: {text}"));
        quantizer(q, elements, &mut fail);
        if q.saturation().is_none() {
            fail("its range must saturate".into());
        }
    }
}

fn quantizer(q: &Quantizer, x: usize, fail: &mut impl FnMut(String)) {
    let count = q.groups.count();
    if q.groups.elements() != x || q.f.len() != count {
        fail(format!("{} grouped elements and {} widths for {x} elements in {count} groups", q.groups.elements(), q.f.len()));
    }
    if q.max_f.is_nan() || q.f.iter().any(|f| f.is_nan()) {
        fail("a fractional width is not a number".into());
    }
    let (signs, i) = match &q.range {
        Range::Traced => return,
        Range::Saturating { keep_negative, i, .. }
        | Range::SaturatingKbi { keep_negative, i, .. }
        | Range::Declared { keep_negative, i } => (keep_negative.len(), i),
        Range::Tracked { i } => (count, i),
    };
    if signs != count || i.len() != count {
        fail(format!("{signs} signs and {} integer widths for {count} groups", i.len()));
    }
    if i.iter().any(|i| i.is_nan()) {
        fail("an integer width is not a number".into());
    }
}

fn neighbours(model: &Model, faults: &mut Vec<Fault>) {
    let (topology, sources) = (Topology::new(model), Sources::new(model));
    for node in &model.nodes {
        let Some(d) = node.op.layer() else { continue };
        let mut fail = |what: String| faults.push(Fault { node: node.name.clone(), what });
        if !sources.known(node.inputs[0]) {
            fail(format!("its input is not quantized: put a quantizer in front ({KEEPS_WIDTHS} may lie between)"));
        }
        if d.bias_bits == BiasBits::Activation {
            let below = topology.quantizers_below(node.output);
            match below.len() {
                1 if below.iter().any(|&n| kbi(model, n)) => {
                    fail("the quantizer after it trains b and i: the bias needs widths of its own".into())
                }
                1 => {}
                0 => {
                    fail("no quantizer after it (Relu, LeakyRelu and MaxPool may lie between) to give the bias its width".into())
                }
                n => fail(format!("{n} quantizers after it; the bias needs one width")),
            }
        }
    }
}

/// Whether node `n` is a quantizer whose first width is `b`.
fn kbi(model: &Model, n: usize) -> bool {
    matches!(&model.nodes[n].op, QOp::Quantizer(q) if q.saturation().is_some_and(|s| s.kbi))
}
