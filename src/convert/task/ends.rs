//! What the source's outputs end in: it decides what their targets mean and, without targets,
//! whether they are scores of classes or values.

use crate::convert::config::JobConfig;
use crate::convert::config::training::{LossName, MetricName};
use crate::data::{Asked, Ends, OutputShape};
use crate::graph::{Graph, Op, ValueId};
use crate::ops::{Elementwise, Move, Table};

/// What graph output `output` ends in; `decoded`: the file decodes class labels from it.
pub fn of(graph: &Graph, output: ValueId, decoded: bool) -> Ends {
    let Some(last) = last(graph, output) else { return Ends::Open };
    let last = &graph.nodes[last].op;
    if decoded || matches!(last, Op::Softmax { .. }) {
        return Ends::Classes;
    }
    if matches!(last, Op::Elementwise(Elementwise::Table(Table::Sigmoid))) {
        return Ends::Sigmoid;
    }
    let (lo, hi) = bounds(graph, output);
    if lo >= 0.0 || (lo.is_finite() && hi.is_finite()) { Ends::Bounded } else { Ends::Open }
}

/// The node that makes `value`, through what changes no number but by rounding.
fn last(graph: &Graph, value: ValueId) -> Option<usize> {
    let node = graph.producer(value)?;
    let through = matches!(graph.nodes[node].op, Op::Quant(_) | Op::Move(Move::Reshape | Move::Permute { .. }));
    let before = if through { last(graph, graph.nodes[node].inputs[0]) } else { None };
    before.or(Some(node))
}

/// Bounds of all elements of `value`, whatever the input is.
fn bounds(graph: &Graph, value: ValueId) -> (f64, f64) {
    const OPEN: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);
    let Some(node) = graph.producer(value).map(|n| &graph.nodes[n]) else { return OPEN };
    let before = || bounds(graph, node.inputs[0]);
    match &node.op {
        Op::Elementwise(f) => f.bounds(before()),
        Op::Softmax { .. } => (0.0, 1.0),
        Op::Sign => (-1.0, 0.0),
        Op::Clip { lo, hi } => (*lo, *hi),
        Op::Affine(a) => {
            let (lo, hi) = before();
            let ends = a.scale.iter().zip(&a.shift).flat_map(|(&s, &b)| {
                let at = move |v: f64| if s == 0.0 { b } else { v * s + b };
                [at(lo), at(hi)]
            });
            ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)))
        }
        Op::Quant(_) | Op::MaxPool(_) | Op::Move(Move::Reshape | Move::Permute { .. }) => before(),
        Op::Move(Move::Concat { .. }) => {
            let all = node.inputs.iter().map(|&v| bounds(graph, v));
            all.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or(OPEN)
        }
        Op::Move(Move::Select { source }) => {
            let (lo, hi) = before();
            let zeros = source.contains(&None);
            if zeros { (lo.min(0.0), hi.max(0.0)) } else { (lo, hi) }
        }
        Op::Dense(_) | Op::AveragePool { .. } | Op::Merge(_) | Op::Move(Move::Pad { .. }) => OPEN,
    }
}

/// The targets that a job's loss or metric is of.
pub fn asked(config: &JobConfig) -> Option<Asked> {
    match (config.loss, config.metric) {
        (Some(LossName::CrossEntropy), _) => Some(Asked::Shares),
        (Some(LossName::Bce), _) => Some(Asked::Sides),
        (Some(LossName::Mse | LossName::Mae), None | Some(MetricName::Mse | MetricName::Mae)) => Some(Asked::Values),
        (None, Some(MetricName::Mse | MetricName::Mae)) => Some(Asked::Values),
        (Some(LossName::Mse | LossName::Mae), Some(_)) | (None, _) => None,
    }
}

/// Whether a single output without targets is followed as scores of classes, and why.
pub fn follows_classes(config: &JobConfig, outputs: &[OutputShape]) -> (bool, &'static str) {
    let several = matches!(outputs, [output] if output.len > 1);
    match outputs {
        _ if several && config.loss == Some(LossName::CrossEntropy) => {
            (true, "no `y`; loss cross_entropy takes the outputs for scores of classes")
        }
        _ if several && config.metric == Some(MetricName::Agreement) => {
            (true, "no `y`; metric agreement takes the outputs for scores of classes")
        }
        [output] if several && output.ends == Ends::Classes && config.loss.is_none() => {
            (true, "no `y`; the file ends in Softmax or ArgMax: scores of classes")
        }
        [output] if several && output.ends == Ends::Classes => (false, "no `y`; the loss asked for takes the outputs for values"),
        [_] if several => (
            false,
            "no `y`, and the file ends in no Softmax or ArgMax: the outputs are values. If they are scores of classes, set metric to agreement",
        ),
        [_] => (false, "no `y`: the output is a value"),
        _ => (false, "no `y`: the outputs are values"),
    }
}
