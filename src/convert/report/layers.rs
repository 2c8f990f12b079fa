//! Layers and quantizers of an exact model.

use crate::convert::documents::{Activation, FormatCount, Layer, Weights, finite};
use crate::quant::ebops::{LayerEbops, wire_formats};
use crate::quant::hardware::LayerHardware;
use crate::quant::interval::AllBounds;
use crate::quant::model::{enclosed_bits, kind};
use crate::quant::{FixedDense, FixedModel, FixedOp, Kif};
use crate::trace::Ranges;
use std::collections::BTreeMap;

/// One entry per node that takes hardware, and one per quantizer.
pub fn layers(
    model: &FixedModel,
    bounds: &AllBounds,
    counts: &[LayerEbops],
    hardware: &[LayerHardware],
    ranges: &Ranges,
) -> Vec<Layer> {
    let entry = |n: usize| {
        let node = &model.nodes[n];
        let count = counts.iter().find(|c| c.node == n);
        let takes = hardware.iter().find(|h| h.node == n);
        let weights = if let FixedOp::Dense(d) = &node.op { Some(weights(d)) } else { None };
        let quantizer = if let FixedOp::Quantize(q) = &node.op { Some(q) } else { None };
        if count.is_none() && takes.is_none() && weights.is_none() && quantizer.is_none() {
            return None;
        }
        Some(Layer {
            name: node.name.clone(),
            op: kind(&node.op).into(),
            ebops: count.map(|c| c.ebops),
            ebops_hgq2: count.map(|c| c.ebops_hgq2),
            luts: takes.map(|h| h.hardware.luts),
            levels: takes.map(|h| h.hardware.levels),
            ff: takes.map(|h| h.hardware.registers),
            weights,
            rounding: quantizer.map(|q| format!("{:?}", q.rounding)),
            activation: quantizer.map(|_| {
                let range = ranges.by_node.get(n).and_then(|r| r.as_ref());
                Activation {
                    formats: format_counts(&wire_formats(model, bounds, node.output)),
                    min: range.and_then(|r| r.min.iter().copied().reduce(f64::min)).and_then(finite),
                    max: range.and_then(|r| r.max.iter().copied().reduce(f64::max)).and_then(finite),
                }
            }),
        })
    };
    (0..model.nodes.len()).filter_map(entry).collect()
}

fn weights(d: &FixedDense) -> Weights {
    let mut histogram: BTreeMap<u32, usize> = BTreeMap::new();
    for &w in &d.weight.ints {
        *histogram.entry(enclosed_bits(w)).or_default() += 1;
    }
    Weights {
        count: d.weight.ints.len(),
        nonzero: d.weight.ints.iter().filter(|&&w| w != 0).count(),
        bits_histogram: histogram.into_iter().map(|(bits, n)| (bits.to_string(), n)).collect(),
    }
}

/// How many elements have each format; what is always 0 has one.
pub fn counted(formats: &[Kif]) -> BTreeMap<Kif, usize> {
    let mut counts: BTreeMap<Kif, usize> = BTreeMap::new();
    for &f in formats {
        *counts.entry(if f.is_zero() { Kif::ZERO } else { f }).or_default() += 1;
    }
    counts
}

/// Formats with the number of elements that have them.
pub fn format_counts(formats: &[Kif]) -> Vec<FormatCount> {
    let entry =
        |(f, count): (Kif, usize)| FormatCount { k: f.keep_negative as u8, i: f.integer, f: f.fractional, bits: f.bits(), count };
    counted(formats).into_iter().map(entry).collect()
}
