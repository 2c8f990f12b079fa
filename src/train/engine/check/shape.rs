//! Whether windows, movements and merges fit the shapes of their tensors.

use crate::graph::{Node, Window};
use crate::quant::{AveragePool, Model, QDense, QOp};

/// A window with more than this along some axis is a mistake somewhere before.
const MAX_WINDOW: usize = 1 << 24;

/// Number of inputs of `node`, and the shapes around everything but dense layers, quantizers and
/// affines without a window.
pub fn node(model: &Model, node: &Node<QOp>, fail: &mut impl FnMut(String)) {
    let (count, wanted) = (node.inputs.len(), if matches!(node.op, QOp::Merge(_)) { 2 } else { 1 });
    // movements say it themselves
    if count != wanted && !matches!(node.op, QOp::Move(_)) {
        return fail(format!("{count} inputs, expected {wanted}"));
    }
    let lens: Vec<usize> = node.inputs.iter().map(|&v| model.len_of(v)).collect();
    let (x, y) = (lens[0], model.len_of(node.output));
    match &node.op {
        QOp::Dense(d) => layer(d, (x, y), fail),
        QOp::SaturatingDense(s) => layer(&s.layer, (x, y), fail),
        QOp::MaxPool(w) => pooling(w, (x, y), fail),
        QOp::AveragePool(AveragePool { window, reciprocal }) => {
            pooling(window, (x, y), fail);
            if reciprocal.ints.len() != 1 {
                fail(format!("{} reciprocals, expected 1", reciprocal.ints.len()));
            }
        }
        QOp::Move(m) => m.fits(&model.shapes(&node.inputs), y).unwrap_or_else(fail),
        QOp::Quantizer(_) | QOp::Affine(_) | QOp::Elementwise(_) | QOp::Sign | QOp::Merge(_) => {
            if let Some(len) = lens.iter().find(|&&len| len != y) {
                fail(format!("{len} elements in, {y} out"));
            }
        }
    }
}

/// Whether the window itself makes sense; its output positions.
fn window(w: &Window, x: usize, fail: &mut impl FnMut(String)) -> Option<usize> {
    let [height, width, channels] = w.input;
    let numbers = w.input.iter().chain(&w.kernel).chain(&w.stride).chain(&w.pads).chain([&w.groups]);
    let sane = numbers.clone().all(|&n| n <= MAX_WINDOW) && numbers.take(7).all(|&n| n > 0);
    if !sane || height.checked_mul(width).and_then(|n| n.checked_mul(channels)) != Some(x) {
        fail(format!("a window over {:?} on a tensor of {x} elements", w.input));
        return None;
    }
    if w.groups == 0 || !channels.is_multiple_of(w.groups) {
        fail(format!("{channels} channels in {} groups", w.groups));
        return None;
    }
    if w.positions() == 0 {
        fail(format!("kernel {:?} does not fit into {:?} with pads {:?}", w.kernel, &w.input[..2], w.pads));
        return None;
    }
    Some(w.positions())
}

fn layer(d: &QDense, (x, y): (usize, usize), fail: &mut impl FnMut(String)) {
    match &d.window {
        None if (d.inputs, d.outputs) != (x, y) => {
            fail(format!("a {} × {} layer between tensors of {x} and {y} elements", d.inputs, d.outputs))
        }
        None => {}
        Some(w) => convolution(d, w, (x, y), fail),
    }
}

fn convolution(d: &QDense, w: &Window, (x, y): (usize, usize), fail: &mut impl FnMut(String)) {
    let Some(positions) = window(w, x, fail) else { return };
    if !d.outputs.is_multiple_of(w.groups) {
        fail(format!("{} output channels in {} groups", d.outputs, w.groups));
    }
    if w.patch() != d.inputs || positions.checked_mul(d.outputs) != Some(y) {
        let what =
            format!("weights {} × {}, patches of {} at {positions} positions, {y} elements out", d.inputs, d.outputs, w.patch());
        fail(what);
    }
    if !(d.ebops_scale.is_finite() && d.ebops_scale > 0.0) {
        fail(format!("its EBOPs are multiplied by {}", d.ebops_scale));
    }
}

fn pooling(w: &Window, (x, y): (usize, usize), fail: &mut impl FnMut(String)) {
    let Some(positions) = window(w, x, fail) else { return };
    if !w.is_depthwise() {
        fail(format!("pooling of {} channels in {} groups", w.input[2], w.groups));
    }
    if positions.checked_mul(w.input[2]) != Some(y) {
        fail(format!("{positions} windows over {} channels give {y} elements", w.input[2]));
    }
    if let Some(at) = (0..positions).find(|&p| (0..w.taps()).all(|tap| w.pixel(p, tap).is_none())) {
        fail(format!("its window {at} lies in the padding"));
    }
}
