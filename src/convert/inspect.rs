//! `hgq-onnx inspect`: what is in a model and what of it can be converted.

use super::config::JobConfig;
use super::error::Error;
use super::job::sha256;
use super::quantizers::quantized;
use super::source::{self, Source};
use crate::diagnostic::Code;
use crate::graph::Op;
use crate::onnx::codec::decode;
use crate::onnx::limits::Limits;
use crate::quant::exact::MinMax;
use crate::quant::{QOp, ebops, interval};
use crate::trace::freeze::freeze;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Describes a model as a JSON document; nodes that cannot be converted are listed in `unsupported`.
///
/// # Errors
/// Only [`Error::NotOnnx`].
pub fn inspect(model: &[u8]) -> Result<Value, Error> {
    let proto = decode(model, &Limits::default()).map_err(|e| Error::NotOnnx(e.to_string()))?;
    let graph = proto.graph.as_ref();
    let mut operators: BTreeMap<String, usize> = BTreeMap::new();
    for node in graph.map_or(&[][..], |g| &g.node) {
        let domain = node.domain.as_deref().filter(|d| !d.is_empty()).map(|d| format!("{d}.")).unwrap_or_default();
        *operators.entry(format!("{domain}{}", node.op_type.as_deref().unwrap_or(""))).or_default() += 1;
    }
    let mut out = json!({
        "schema": "hgq-onnx/inspect/1",
        "sha256": sha256(model),
        "bytes": model.len(),
        "ir_version": proto.ir_version,
        "producer": proto.producer_name,
        "opsets": proto.opset_import.iter().map(|o| json!({ "domain": o.domain.as_deref().unwrap_or(""), "version": o.version })).collect::<Vec<_>>(),
        "operators": operators,
        "initializers": graph.map_or(0, |g| g.initializer.len()),
    });
    match source::load(model) {
        Err(Error::NotOnnx(e)) => return Err(Error::NotOnnx(e)),
        Err(e) => {
            out["supported"] = json!(false);
            out["unsupported"] = json!(e.nodes());
            if e.nodes().is_empty() {
                out["reason"] = json!(e.to_string());
            }
        }
        Ok(source) => {
            let graph = &source.graph;
            let tensor = |v: &usize| json!({ "name": graph.values[*v].name, "shape": graph.values[*v].shape });
            out["supported"] = json!(true);
            out["unsupported"] = json!([]);
            out["inputs"] = graph.inputs.iter().map(tensor).collect();
            out["outputs"] = graph.outputs.iter().map(tensor).collect();
            out["notes"] = source.notes.iter().map(|n| json!({ "code": n.code, "message": n.message, "node": n.node })).collect();
            out["layers"] = graph.nodes.iter().map(layer).collect();
            out["parameters"] = json!(
                graph
                    .nodes
                    .iter()
                    .map(|n| if let Op::Dense(d) = &n.op { d.weight.len() + d.bias.len() } else { 0 })
                    .sum::<usize>()
            );
            annotated_ebops(&source, &mut out);
        }
    }
    Ok(out)
}

fn layer(node: &crate::graph::Node<Op>) -> Value {
    let mut entry = json!({ "name": node.name, "op": node.op.kind() });
    if let Op::Dense(d) = &node.op {
        if let Some(w) = &d.window {
            entry["kernel"] = json!(w.kernel);
            entry["stride"] = json!(w.stride);
            entry["groups"] = json!(w.groups);
        }
        entry["inputs"] = json!(d.inputs);
        entry["outputs"] = json!(d.outputs);
        entry["weights"] = json!(d.weight.len());
        entry["weights_annotated"] = json!(d.weight_quant.is_some());
        entry["bias_annotated"] = json!(d.bias_quant.is_some());
    }
    entry
}

/// EBOPs of a file whose every activation is annotated: no data needed.
fn annotated_ebops(source: &Source, out: &mut Value) {
    let graph = &source.graph;
    let ranges: Vec<MinMax> = graph.values.iter().map(|v| MinMax { min: vec![-1.0; v.len()], max: vec![1.0; v.len()] }).collect();
    let config = JobConfig { epochs: 0, ..JobConfig::default() };
    let built = match quantized(&source.graph, &config, &ranges) {
        Ok(built) => built,
        Err(e) => {
            out["supported"] = json!(false);
            out["unsupported"] = json!(e.nodes());
            return;
        }
    };
    out["annotated"] = json!(built.annotated);
    let complete =
        built.annotated && built.model.nodes.iter().all(|n| if let QOp::Quantizer(q) = &n.op { q.annotated } else { true });
    let input_annotated = !built.notes.iter().any(|n| n.code == Code::InputNotAnnotated);
    if !(complete && input_annotated) {
        return;
    }
    let formats: Vec<_> = built
        .model
        .nodes
        .iter()
        .map(|n| if let QOp::Quantizer(q) = &n.op { Some(q.groups.expand(&q.trained_formats())) } else { None })
        .collect();
    if let Ok(fixed) = freeze(&built.model, &formats)
        && let Ok(bounds) = interval::bounds(&fixed)
    {
        out["ebops"] = json!(ebops::ebops(&fixed, &bounds));
        out["ebops_hgq2"] = json!(ebops::ebops_hgq2(&fixed, &bounds));
    }
}
