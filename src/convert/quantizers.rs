//! Where quantizers come from: rules of the configuration, annotations of the file, and the
//! rounding of inputs.

use super::config::JobConfig;
use super::config::layers::LayerConfig;
use super::config::quantizers::RoundingName;
use super::config::rules::rules;
use super::config::suggest::suggestion;
use super::error::{Error, NodeFault};
use super::source::Source;
use super::source::data::Data;
use crate::diagnostic::{Code, Diagnostic};
use crate::graph::Graph;
use crate::ops::Move;
use crate::quant::exact::MinMax;
use crate::quant::insert::{self, BuildOptions, Built, build, matches};
use crate::quant::scale::{Scaled, Scales, Sharing, Spread, scale};
use crate::quant::{Model, QOp, Rounding};

/// Patterns of `layers` that no node has, in the file or in the model made from it.
pub fn unmatched(config: &JobConfig, graph: &Graph, model: &Model) -> Vec<Diagnostic> {
    let nodes = graph.nodes.iter().map(|n| n.name.as_str()).chain(model.nodes.iter().map(|n| n.name.as_str()));
    let names: Vec<&str> = nodes.chain(graph.inputs.iter().map(|&i| graph.values[i].name.as_str())).collect();
    let none = |pattern: &str| !names.iter().any(|name| matches(pattern, name));
    let unknown = |pattern: &str| {
        let message = format!("layers: no node is called `{pattern}`{}", suggestion(pattern, names.iter().copied()));
        Diagnostic::new(Code::LayersUnmatched, message)
    };
    let products = || model.nodes.iter().filter(|n| n.op.layer().is_some());
    let idle = |l: &LayerConfig| {
        let scaled = l.beta_scale.is_some() && !products().any(|n| matches(&l.pattern, &n.name));
        let message = format!("layers: `{}` has a beta_scale, but no node of that name multiplies", l.pattern);
        scaled.then(|| Diagnostic::new(Code::LayersUnmatched, message))
    };
    let layers = config.layers.iter();
    layers.filter_map(|l| if none(&l.pattern) { Some(unknown(&l.pattern)) } else { idle(l) }).collect()
}

/// The model in the domain of training, and the way back.
pub fn quantizers(
    source: &Source,
    config: &JobConfig,
    ranges: &[MinMax],
    spreads: &[Spread],
    sharing: &Sharing,
) -> Result<(Built, Scales), Error> {
    // annotations that are taken over exactly stay where they are
    if config.epochs == 0 && insert::has_activations(&source.graph) {
        return Ok((quantized(&source.graph, config, ranges)?, Scales::default()));
    }
    let Scaled { graph, ranges, scales } = scale(&source.graph, &source.logits, spreads, ranges, sharing);
    Ok((quantized(&graph, config, &ranges)?, scales))
}

pub fn quantized(graph: &Graph, config: &JobConfig, ranges: &[MinMax]) -> Result<Built, Error> {
    let options = BuildOptions {
        training: config.epochs > 0,
        rounding: match config.rounding {
            RoundingName::HalfUp => Rounding::HalfUp,
            RoundingName::Floor => Rounding::Floor,
        },
        parallel_factor: config.parallel_factor,
        rules: rules(config),
    };
    build(graph, ranges, &options).map_err(|faults| {
        let fault = |f: crate::quant::insert::BuildFault| NodeFault { name: f.node, op: f.op.into(), reason: f.reason };
        Error::Unsupported(faults.into_iter().map(fault).collect())
    })
}

/// hls4ml truncates inputs to `2^-16` before the first quantizer. Half-even rounding sees the
/// truncated value, so for data off that grid it would round values just above a tie down; half up
/// is exact for them and differs on exact ties only.
pub fn force_half_up_off_grid_inputs(model: &mut Model, data: &Data) -> Vec<Diagnostic> {
    let off_grid = data.calibration.inputs.iter().flat_map(|x| x.iter()).any(|&v| (v as f64 * 65536.0).fract() != 0.0);
    let mut warnings = Vec::new();
    if !off_grid {
        return warnings;
    }
    let mut raw = model.inputs.clone();
    for node in &mut model.nodes {
        if !raw.contains(&node.inputs[0]) {
            continue;
        }
        if matches!(node.op, QOp::Move(Move::Reshape)) {
            raw.push(node.output);
        } else if let QOp::Quantizer(q) = &mut node.op
            && q.rounding == Rounding::HalfEven
        {
            q.rounding = Rounding::HalfUp;
            warnings.push(Diagnostic::at(
                Code::InputRounding,
                &node.name,
                "the data are finer than hls4ml's input port (2^-16): the input rounds half up, which is exact for \
                 them; ROUND (half even) would not be. Exact ties go up instead of to even",
            ));
        }
    }
    warnings
}
