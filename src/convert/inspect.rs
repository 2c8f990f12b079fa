//! `hgq-onnx inspect`: what is in a model and what of it can be converted.

use super::config::JobConfig;
use super::documents::{InspectedLayer, Inspection, Opset, Tensor};
use super::emit::figures::{self, Figures};
use super::error::Error;
use super::quantizers::quantized;
use super::source::{self, Source};
use crate::data::sha256::sha256;
use crate::diagnostic::Code;
use crate::graph::{Node, Op};
use crate::onnx::codec::decode;
use crate::onnx::limits::Limits;
use crate::onnx::proto::OperatorSetIdProto;
use crate::quant::exact::MinMax;
use crate::quant::{QOp, ebops, hardware, interval};
use crate::trace::freeze::freeze;
use std::collections::BTreeMap;

/// Describes a model; nodes that cannot be converted are listed in `unsupported`.
///
/// # Errors
/// Only [`Error::NotOnnx`].
pub fn inspect(model: &[u8]) -> Result<Inspection, Error> {
    let proto = decode(model, &Limits::default()).map_err(|e| Error::NotOnnx(e.to_string()))?;
    let graph = proto.graph.as_ref();
    let mut operators: BTreeMap<String, usize> = BTreeMap::new();
    for node in graph.map_or(&[][..], |g| &g.node) {
        let domain = node.domain.as_deref().filter(|d| !d.is_empty()).map(|d| format!("{d}.")).unwrap_or_default();
        *operators.entry(format!("{domain}{}", node.op_type.as_deref().unwrap_or(""))).or_default() += 1;
    }
    let mut out = Inspection {
        schema: "hgq-onnx/inspect/1".into(),
        sha256: sha256(model),
        bytes: model.len(),
        ir_version: proto.ir_version,
        producer: proto.producer_name.clone(),
        opsets: proto.opset_import.iter().map(opset).collect(),
        operators,
        initializers: graph.map_or(0, |g| g.initializer.len()),
        ..Inspection::default()
    };
    match source::load(model) {
        Err(Error::NotOnnx(e)) => return Err(Error::NotOnnx(e)),
        Err(e) => {
            out.unsupported = e.nodes().to_vec();
            out.reason = e.nodes().is_empty().then(|| e.to_string());
        }
        Ok(source) => {
            let graph = &source.graph;
            let tensor = |v: &usize| Tensor { name: graph.values[*v].name.clone(), shape: graph.values[*v].shape.clone() };
            let parameters = |n: &Node<Op>| if let Op::Dense(d) = &n.op { d.weight.len() + d.bias.len() } else { 0 };
            out.supported = true;
            out.inputs = Some(graph.inputs.iter().map(tensor).collect());
            out.outputs = Some(graph.outputs.iter().map(tensor).collect());
            out.notes = Some(source.notes.clone());
            out.layers = Some(graph.nodes.iter().map(layer).collect());
            out.parameters = Some(graph.nodes.iter().map(parameters).sum());
            annotated_ebops(&source, &mut out);
        }
    }
    if let Some(Figures { ebops, luts, levels, ff, .. }) = figures::stated(&proto) {
        (out.ebops, out.luts, out.levels, out.ff) = (Some(ebops), Some(luts), Some(levels), Some(ff));
    }
    Ok(out)
}

fn opset(o: &OperatorSetIdProto) -> Opset {
    Opset { domain: o.domain.clone().unwrap_or_default(), version: o.version }
}

fn layer(node: &Node<Op>) -> InspectedLayer {
    let entry = InspectedLayer { name: node.name.clone(), op: node.op.kind().into(), ..InspectedLayer::default() };
    let Op::Dense(d) = &node.op else { return entry };
    InspectedLayer {
        kernel: d.window.as_ref().map(|w| w.kernel),
        stride: d.window.as_ref().map(|w| w.stride),
        groups: d.window.as_ref().map(|w| w.groups),
        inputs: Some(d.inputs),
        outputs: Some(d.outputs),
        weights: Some(d.weight.len()),
        weights_annotated: Some(d.weight_quant.is_some()),
        bias_annotated: Some(d.bias_quant.is_some()),
        ..entry
    }
}

/// EBOPs and hardware of a file whose every activation is annotated: no data needed.
fn annotated_ebops(source: &Source, out: &mut Inspection) {
    let graph = &source.graph;
    let ranges: Vec<MinMax> = graph.values.iter().map(|v| MinMax { min: vec![-1.0; v.len()], max: vec![1.0; v.len()] }).collect();
    let config = JobConfig { epochs: 0, ..JobConfig::default() };
    let built = match quantized(&source.graph, &config, &ranges) {
        Ok(built) => built,
        Err(e) => {
            out.supported = false;
            out.unsupported = e.nodes().to_vec();
            return;
        }
    };
    out.annotated = Some(built.annotated);
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
        out.ebops = Some(ebops::ebops(&fixed, &bounds));
        out.ebops_hgq2 = Some(ebops::ebops_hgq2(&fixed, &bounds));
        let hardware::Hardware { luts, levels, registers } = hardware::count(&fixed, &bounds).1;
        (out.luts, out.levels, out.ff) = (Some(luts), Some(levels), Some(registers));
    }
}
