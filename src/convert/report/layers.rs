//! `report.json` (docs/report.md): versioned, self-contained, the same for CLI and service.

use crate::quant::ebops::{LayerEbops, wire_formats};
use crate::quant::interval::AllBounds;
use crate::quant::model::{enclosed_bits, kind};
use crate::quant::{FixedModel, FixedOp, Kif};
use crate::trace::Ranges;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Version of the report's schema; raised when a field changes its meaning.
pub const SCHEMA: &str = "hgq-onnx/report/1";

/// One entry per node that multiplies, and one per quantizer.
pub fn layers(model: &FixedModel, bounds: &AllBounds, counts: &[LayerEbops], ranges: &Ranges) -> Vec<Value> {
    let mut out = Vec::new();
    for (n, node) in model.nodes.iter().enumerate() {
        let count = counts.iter().find(|c| c.node == n);
        let mut entry = json!({ "name": node.name, "op": kind(&node.op) });
        if let Some(c) = count {
            entry["ebops"] = json!(c.ebops);
            entry["ebops_hgq2"] = json!(c.ebops_hgq2);
        }
        if let FixedOp::Dense(d) = &node.op {
            let mut histogram: BTreeMap<u32, usize> = BTreeMap::new();
            for &w in &d.weight.ints {
                *histogram.entry(enclosed_bits(w)).or_default() += 1;
            }
            let nonzero = d.weight.ints.iter().filter(|&&w| w != 0).count();
            entry["weights"] = json!({
                "count": d.weight.ints.len(),
                "nonzero": nonzero,
                "bits_histogram": histogram.iter().map(|(b, n)| (b.to_string(), json!(n))).collect::<serde_json::Map<_, _>>(),
            });
        } else if let FixedOp::Quantize(q) = &node.op {
            let formats = wire_formats(model, bounds, node.output);
            let range = ranges.by_node.get(n).and_then(|r| r.as_ref());
            let finite = |v: Option<f64>| v.filter(|v| v.is_finite());
            entry["rounding"] = json!(format!("{:?}", q.rounding));
            entry["activation"] = json!({
                "formats": format_counts(&formats),
                "min": finite(range.and_then(|r| r.min.iter().copied().reduce(f64::min))),
                "max": finite(range.and_then(|r| r.max.iter().copied().reduce(f64::max))),
            });
        } else if count.is_none() {
            continue;
        }
        out.push(entry);
    }
    out
}

/// Formats with the number of elements that have them.
pub fn format_counts(formats: &[Kif]) -> Vec<Value> {
    let mut counts: BTreeMap<Kif, usize> = BTreeMap::new();
    for &f in formats {
        *counts.entry(if f.is_zero() { Kif::ZERO } else { f }).or_default() += 1;
    }
    counts
        .iter()
        .map(|(f, n)| json!({ "k": f.keep_negative as u8, "i": f.integer, "f": f.fractional, "bits": f.bits(), "count": n }))
        .collect()
}
