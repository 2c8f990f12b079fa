//! Elements that some output depends on: what is computed for no one takes no hardware.

use crate::graph::Node;
use crate::quant::interval::AllBounds;
use crate::quant::model::{FixedDense, FixedModel, FixedOp};
use crate::quant::taps::Taps;

/// Per value and element. What is always the same is a constant, and not computed either; a value
/// without bounds is a float input.
pub fn live(model: &FixedModel, bounds: &AllBounds) -> Vec<Vec<bool>> {
    let mut live: Vec<Vec<bool>> = model.values.iter().map(|v| vec![false; v.len()]).collect();
    for &output in &model.outputs {
        live[output].fill(true);
    }
    for node in model.nodes.iter().rev() {
        let mut wanted = std::mem::take(&mut live[node.output]);
        if let Some(bounds) = &bounds[node.output] {
            wanted.iter_mut().zip(bounds.iter()).for_each(|(wanted, span)| *wanted &= !span.is_constant());
        }
        reads(model, node, &wanted, &mut live);
        live[node.output] = wanted;
    }
    live
}

/// Marks what `node` reads for its `wanted` elements.
fn reads(model: &FixedModel, node: &Node<FixedOp>, wanted: &[bool], live: &mut [Vec<bool>]) {
    let Some(&x) = node.inputs.first() else { return };
    match &node.op {
        FixedOp::Dense(d) => dense(d, wanted, &mut live[x]),
        FixedOp::MaxPool(window) => pool(&Taps::pooling(window), wanted, &mut live[x]),
        FixedOp::AveragePool(pooling) => pool(&Taps::pooling(&pooling.window), wanted, &mut live[x]),
        FixedOp::Quantize(_) | FixedOp::Affine(_) | FixedOp::Elementwise(_) | FixedOp::Merge(_) => {
            for &x in &node.inputs {
                live[x].iter_mut().zip(wanted).for_each(|(x, &wanted)| *x |= wanted);
            }
        }
        FixedOp::Move(m) => {
            let sources = m.sources(&model.shapes(&node.inputs));
            for ((which, element), _) in sources.into_iter().zip(wanted).filter_map(|(s, &w)| Some((s?, w))).filter(|s| s.1) {
                live[node.inputs[which]][element] = true;
            }
        }
    }
}

fn dense(d: &FixedDense, wanted: &[bool], x: &mut [bool]) {
    let taps = Taps::new(d.inputs, d.outputs, d.window.as_ref());
    let (groups, share) = d.window.as_ref().map_or((1, d.outputs), |w| (w.groups, w.group_outputs(d.outputs)));
    for (position, wanted) in wanted.chunks(d.outputs.max(1)).enumerate() {
        for group in 0..groups {
            let element = taps.elements(position, group * share);
            let columns = group * share..(group + 1) * share;
            for (k, row) in d.weight.ints.chunks(d.outputs.max(1)).enumerate() {
                if let Some(e) = element(k)
                    && !x[e]
                {
                    x[e] = columns.clone().any(|o| wanted[o] && row[o] != 0);
                }
            }
        }
    }
}

fn pool(taps: &Taps, wanted: &[bool], x: &mut [bool]) {
    let channels = wanted.len() / taps.positions.max(1);
    for at in (0..wanted.len()).filter(|&at| wanted[at]) {
        taps.under(at / channels, at % channels).for_each(|e| x[e] = true);
    }
}
