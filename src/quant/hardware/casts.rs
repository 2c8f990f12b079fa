//! Quantizers: rounding, and the registers behind them. Clipping is part of the logic in front.

use super::made::Made;
use super::products::{Fold, half_step};
use super::wires::{Wires, bits};
use crate::graph::{Node, ValueId};
use crate::ops::{Elementwise, Move};
use crate::quant::interval::Bounds;
use crate::quant::model::{FixedModel, FixedOp, FixedQuantizer};

/// Which sums and quantizers are one piece of hardware: a half step is part of the constant of the
/// sum in front.
pub struct Readers {
    /// Per node that is a sum: the quantizer that alone reads it.
    quantizer: Vec<Option<usize>>,
}

impl Readers {
    pub fn new(model: &FixedModel) -> Readers {
        let only = |value: ValueId| match model.consumers(value)[..] {
            [one] if !model.outputs.contains(&value) => Some(one),
            _ => None,
        };
        let only: Vec<Option<usize>> = model.nodes.iter().map(|n| only(n.output)).collect();
        let of = |(n, node): (usize, &Node<FixedOp>)| match node.op {
            FixedOp::Dense(_) | FixedOp::Affine(_) | FixedOp::AveragePool(_) => quantizer(model, &only, n),
            FixedOp::Quantize(_) | FixedOp::Elementwise(_) | FixedOp::MaxPool(_) | FixedOp::Merge(_) | FixedOp::Move(_) => None,
        };
        Readers { quantizer: model.nodes.iter().enumerate().map(of).collect() }
    }

    /// Per element of sum `n`: how the quantizer that alone reads it rounds.
    pub fn folds(&self, model: &FixedModel, n: usize) -> Vec<Fold> {
        let nothing = || vec![None; model.len_of(model.nodes[n].output)];
        let Some(quantizer) = self.quantizer[n] else { return nothing() };
        let FixedOp::Quantize(q) = &model.nodes[quantizer].op else { return nothing() };
        q.formats.iter().map(|f| (!f.is_zero()).then_some((q.rounding, f.fractional))).collect()
    }

    /// Whether a sum takes the quantizer's half step.
    pub fn is_folded(&self, quantizer: usize) -> bool {
        self.quantizer.contains(&Some(quantizer))
    }
}

/// The quantizer that alone reads node `n`, with nothing between but what rounding does not see;
/// `only`: per node its only reader.
fn quantizer(model: &FixedModel, only: &[Option<usize>], n: usize) -> Option<usize> {
    let mut reader = only[n]?;
    loop {
        match &model.nodes[reader].op {
            FixedOp::Quantize(_) => return Some(reader),
            FixedOp::Elementwise(Elementwise::Relu) | FixedOp::Move(Move::Reshape) => reader = only[reader]?,
            FixedOp::Dense(_)
            | FixedOp::Affine(_)
            | FixedOp::Elementwise(_)
            | FixedOp::MaxPool(_)
            | FixedOp::AveragePool(_)
            | FixedOp::Merge(_)
            | FixedOp::Move(_) => return None,
        }
    }
}

/// A quantizer that reads numbers; `is_folded`: a sum takes its half step.
pub fn cast(q: &FixedQuantizer, x: &Wires, is_folded: bool, result: &Bounds, live: &[bool]) -> Made {
    let mut made = Made { depth: x.depth.to_vec(), ..Made::default() };
    for e in (0..live.len()).filter(|&e| live[e]) {
        let (span, width) = (x.bounds[e], bits(result[e]));
        made.registers += u64::from(width);
        let cut = span.frac - q.formats[e].fractional;
        let step = half_step(q.rounding, span.frac, q.formats[e].fractional);
        if cut > 0 && step != Some(0) && !(is_folded && step.is_some()) {
            made.parts.carries += f64::from(width);
            made.depth[e] = x.depth[e].behind(1);
        }
    }
    made
}
