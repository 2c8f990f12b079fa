//! What an exact model takes of an FPGA that computes it in one piece, without multipliers of its
//! own: LUTs, registers, and adders one behind the other (docs/hardware.md).
//!
//! An estimate: its factors were fitted to synthesis
//! (docs/hardware.md#how-far-off). The rule behind it is exact and cheap, so it can count every
//! candidate of a search.

mod casts;
mod elements;
mod live;
mod made;
mod merges;
mod products;
mod sharing;
mod tree;
mod wires;

use super::interval::{AllBounds, Bounds};
use super::model::{FixedModel, FixedOp};
use super::taps::Taps;
use crate::graph::Node;
use casts::Readers;
use made::Made;
pub use made::{Hardware, Parts};
use tree::Depth;
use wires::Wires;

/// One node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerHardware {
    /// Index into [`FixedModel::nodes`](crate::graph::Dag::nodes).
    pub node: usize,
    pub parts: Parts,
    pub hardware: Hardware,
}

/// Every node that takes something, and the whole model.
pub fn count(model: &FixedModel, bounds: &AllBounds) -> (Vec<LayerHardware>, Hardware) {
    let live = live::live(model, bounds);
    let readers = Readers::new(model);
    let flat = |v: usize| vec![Depth::default(); model.len_of(v)];
    let mut depth: Vec<Vec<Depth>> = vec![Vec::new(); model.values.len()];
    model.inputs.iter().for_each(|&v| depth[v] = flat(v));
    let last = model.last_readers();
    let mut layers = Vec::new();
    for (n, node) in model.nodes.iter().enumerate() {
        let operands: Option<Vec<Wires>> =
            node.inputs.iter().map(|&v| Some(Wires { bounds: bounds[v].as_ref()?, depth: &depth[v] })).collect();
        let (Some(operands), Some(result)) = (operands, &bounds[node.output]) else {
            // what reads floats stands in front of the hardware
            depth[node.output] = flat(node.output);
            continue;
        };
        let made = of_node(model, (n, node), &operands, result, &live[node.output], &readers);
        let stage = made.depth.iter().zip(&live[node.output]).filter(|(_, live)| **live).map(|(d, _)| d.stage).max();
        let levels = if made.parts.is_deep() { stage.unwrap_or(0) } else { 0 };
        let hardware = Hardware { luts: made.parts.luts(), levels, registers: made.registers };
        if hardware != Hardware::default() {
            layers.push(LayerHardware { node: n, parts: made.parts, hardware });
        }
        depth[node.output] = made.depth;
        if matches!(node.op, FixedOp::Quantize(_)) {
            depth[node.output].iter_mut().for_each(|d| d.stage = 0);
        }
        // an image net has gigabytes of them
        for v in model.read_last(&last, n).filter(|v| !model.outputs.contains(v)) {
            depth[v] = Vec::new();
        }
    }
    let whole = whole(model, &layers, &live, &depth);
    (layers, whole)
}

/// The sum of the nodes, the longest way to an output, and registers at outputs that no quantizer
/// gives.
fn whole(model: &FixedModel, layers: &[LayerHardware], live: &[Vec<bool>], depth: &[Vec<Depth>]) -> Hardware {
    let mut whole = Hardware::default();
    for layer in layers {
        whole.luts += layer.hardware.luts;
        whole.registers += layer.hardware.registers;
    }
    let outputs = model.outputs.iter().flat_map(|&v| depth[v].iter().zip(&live[v]));
    whole.levels = outputs.filter(|(_, live)| **live).map(|(d, _)| d.total).max().unwrap_or(0);
    whole
}

/// One node, `operands` and `result` as hardware has them; `live` says which elements are computed.
fn of_node(
    model: &FixedModel,
    (n, node): (usize, &Node<FixedOp>),
    operands: &[Wires],
    result: &Bounds,
    live: &[bool],
    readers: &Readers,
) -> Made {
    let x = operands[0];
    let folds = || readers.folds(model, n);
    let mut made = match &node.op {
        FixedOp::Dense(d) => {
            let taps = Taps::new(d.inputs, d.outputs, d.window.as_ref());
            products::dense(d, &taps, &x, live, &folds()).shared(products::common(d, &taps, &x, live), d.ebops_scale)
        }
        FixedOp::Affine(a) => products::affine(a, &x, live, &folds()),
        FixedOp::AveragePool(pool) => products::mean(pool, &x, live, &folds()),
        FixedOp::MaxPool(window) => merges::largest(window, &x, live),
        FixedOp::Merge(merge) => merges::merge(*merge, operands, live),
        FixedOp::Elementwise(f) => elements::function(*f, &x, result, live),
        FixedOp::Quantize(q) => casts::cast(q, &x, readers.is_folded(n), result, live),
        FixedOp::Move(m) => {
            Made { depth: m.apply(&depths(operands), &model.shapes(&node.inputs), Depth::default()), ..Made::default() }
        }
    };
    if model.outputs.contains(&node.output) && !matches!(node.op, FixedOp::Quantize(_)) {
        made.registers +=
            live.iter().zip(result.iter()).filter(|(live, _)| **live).map(|(_, span)| u64::from(wires::bits(span))).sum::<u64>();
    }
    made
}

fn depths<'a>(operands: &[Wires<'a>]) -> Vec<&'a [Depth]> {
    operands.iter().map(|w| w.depth).collect()
}
