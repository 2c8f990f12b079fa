//! Which elements of each value must exist: not constant and read, directly or not, by a model
//! output.

use crate::graph::{ValueId, Window};
use crate::ops::Move;
use crate::proxy::analysis::layout;
use crate::quant::interval::Span;
use crate::quant::{FixedDense, FixedModel, FixedOp};

/// A float32 holds this many significant bits.
const FLOAT_BITS: u32 = 24;

/// Per value and element: must it be computed? `units` are the spans per unit of [`layout`]. Run
/// after [`super::constant::folded`]: a constant that is still read by a non-zero weight is live.
/// Constant units of model outputs are not: the output stage writes them; nor are those of merges
/// and of what is joined along positions, which fill them in.
pub fn live(model: &FixedModel, units: &[Vec<Span>]) -> Vec<Vec<bool>> {
    read_by(model, |value, e| {
        let Some(s) = units[value].get(e % units[value].len().max(1)) else { return false };
        // a constant beyond float32 must be computed as the model does
        s.is_constant() && (s.hi.unsigned_abs() >> FLOAT_BITS) == 0
    })
}

/// Per value and element: does an element of a model output that is not `filled` depend on it?
/// `filled` elements are constants that whoever joins or returns them writes itself.
pub fn read_by(model: &FixedModel, filled: impl Fn(ValueId, usize) -> bool) -> Vec<Vec<bool>> {
    let grids = layout::grids(model);
    let mut live: Vec<Vec<bool>> = model.values.iter().map(|v| vec![false; v.len()]).collect();
    for &output in &model.outputs {
        for (e, l) in live[output].iter_mut().enumerate() {
            *l |= !filled(output, e);
        }
    }
    for node in model.nodes.iter().rev() {
        let out = live[node.output].clone();
        if let FixedOp::Move(m) = &node.op {
            let shapes = model.shapes(&node.inputs);
            // along positions whoever joins fills constants in
            let joins = matches!(m, Move::Concat { axis } if shapes.first().is_none_or(|s| axis + 1 != s.len()));
            for (from, needed) in m.sources(&shapes).into_iter().zip(out) {
                let Some((which, e)) = from else { continue };
                let value = node.inputs[which];
                live[value][e] |= needed && !(joins && grids[value] && filled(value, e));
            }
            continue;
        }
        for &source in &node.inputs {
            match &node.op {
                FixedOp::Dense(d) if d.window.is_some() => convolution(d, &out, &mut live[source]),
                FixedOp::Dense(d) => {
                    for (row, l) in d.weight.ints.chunks(d.outputs.max(1)).zip(&mut live[source]) {
                        *l |= row.iter().zip(&out).any(|(&w, &needed)| w != 0 && needed);
                    }
                }
                FixedOp::MaxPool(w) => under(w, &out, &mut live[source]),
                FixedOp::AveragePool(pool) => under(&pool.window, &out, &mut live[source]),
                FixedOp::Merge(_) => {
                    for (e, (l, &needed)) in live[source].iter_mut().zip(&out).enumerate() {
                        *l |= needed && !filled(source, e);
                    }
                }
                FixedOp::Quantize(_) | FixedOp::Affine(_) | FixedOp::Elementwise(_) | FixedOp::Move(_) => {
                    for (l, &needed) in live[source].iter_mut().zip(&out) {
                        *l |= needed;
                    }
                }
            }
        }
    }
    live
}

fn convolution(d: &FixedDense, out: &[bool], live: &mut [bool]) {
    let Some(w) = &d.window else { return };
    let share = w.group_outputs(d.outputs);
    for (position, needed) in out.chunks(d.outputs.max(1)).enumerate() {
        for tap in 0..w.taps() {
            let Some(pixel) = w.pixel(position, tap) else { continue };
            for c in 0..w.input[2] {
                let (group, inside) = (c / w.group_channels().max(1), c % w.group_channels().max(1));
                let row = &d.weight.ints[(tap * w.group_channels() + inside) * d.outputs..][..d.outputs];
                let mine = group * share..(group + 1) * share;
                let l = &mut live[pixel * w.input[2] + c];
                *l = *l || mine.into_iter().any(|o| row[o] != 0 && needed[o]);
            }
        }
    }
}

fn under(w: &Window, out: &[bool], live: &mut [bool]) {
    let channels = w.input[2];
    for (position, needed) in out.chunks(channels.max(1)).enumerate() {
        for pixel in (0..w.taps()).filter_map(|tap| w.pixel(position, tap)) {
            live[pixel * channels..][..channels].iter_mut().zip(needed).for_each(|(l, &n)| *l |= n);
        }
    }
}
