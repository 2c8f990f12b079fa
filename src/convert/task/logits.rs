//! Outputs that end in a Sigmoid and answer yes or no: trained on the logit in front of it, judged
//! by what the proxy gives.
//!
//! The gradient of a cross-entropy with respect to a probability vanishes where the Sigmoid is
//! flat, however wrong the answer is; that with respect to the logit is the difference of the
//! probabilities. The proxy keeps its Sigmoid. What it gives is judged exactly: its probabilities
//! become logits again, in an order that stays.

use crate::data::{Ends, OutputShape, Targets};
use crate::graph::Dag;
use crate::ops::{Elementwise, Move, Table};
use crate::quant::{FixedModel, FixedOp, Model, QOp, Quantizer, Range};
use std::borrow::Cow;
use std::ops::Range as Columns;

/// Probabilities of 0 and 1 count as half a step of the table of 10 bits: a bounded loss, and
/// nothing finer was known.
const HALF_STEP: f64 = 1.0 / 2048.0;

const SIGMOID: Elementwise = Elementwise::Table(Table::Sigmoid);

/// The columns of outputs that are probabilities where logits are needed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Logits {
    /// By output.
    columns: Vec<Option<Columns<usize>>>,
    width: usize,
}

impl Logits {
    /// Outputs after a Sigmoid whose `targets` are classes or sides.
    pub fn of_targets(outputs: &[OutputShape], targets: Option<&Targets>) -> Logits {
        let classes = |at: usize| match targets {
            Some(Targets::Outputs(parts)) => parts.get(at).is_some_and(|p| p.targets.are_classes()),
            Some(all) => all.are_classes(),
            None => false,
        };
        Logits::where_(outputs, classes)
    }

    /// Outputs after a Sigmoid of which `wanted` is true.
    pub fn where_(outputs: &[OutputShape], wanted: impl Fn(usize) -> bool) -> Logits {
        let mut first = 0;
        let column = |(at, output): (usize, &OutputShape)| {
            let own = first..first + output.len;
            first = own.end;
            (output.ends == Ends::Sigmoid && wanted(at)).then_some(own)
        };
        let columns = outputs.iter().enumerate().map(column).collect();
        Logits { columns, width: first }
    }

    pub fn is_empty(&self) -> bool {
        self.columns.iter().all(Option::is_none)
    }

    /// Turns the probabilities in `outputs`, samples × width, into logits.
    pub fn turn(&self, outputs: &mut [f64]) {
        for columns in self.columns.iter().flatten() {
            for row in outputs.chunks_exact_mut(self.width.max(1)) {
                row[columns.clone()].iter_mut().for_each(|p| *p = logit(*p));
            }
        }
    }

    /// [`Self::turn`] of a copy, where there is anything to turn.
    pub fn turned<'a>(&self, outputs: &'a [f32]) -> Cow<'a, [f32]> {
        if self.is_empty() {
            return Cow::Borrowed(outputs);
        }
        let mut turned: Vec<f64> = outputs.iter().map(|&v| f64::from(v)).collect();
        self.turn(&mut turned);
        Cow::Owned(turned.into_iter().map(|v| v as f32).collect())
    }

    /// The model that is trained: its outputs are what the Sigmoids read.
    pub fn trained<'a>(&self, model: &'a Model) -> Cow<'a, Model> {
        let through = |op: &QOp| matches!(op, QOp::Quantizer(_) | QOp::Move(Move::Reshape));
        self.in_front(model, |op| matches!(op, QOp::Elementwise(SIGMOID)), through)
    }

    /// The same of a model made exact.
    pub fn trained_exactly<'a>(&self, model: &'a FixedModel) -> Cow<'a, FixedModel> {
        let through = |op: &FixedOp| matches!(op, FixedOp::Quantize(_) | FixedOp::Move(Move::Reshape));
        self.in_front(model, |op| matches!(op, FixedOp::Elementwise(SIGMOID)), through)
    }

    /// `model` with what `sigmoid`s read as outputs, after what is only looked `through`.
    fn in_front<'a, O: Clone>(
        &self,
        model: &'a Dag<O>,
        sigmoid: impl Fn(&O) -> bool,
        through: impl Fn(&O) -> bool,
    ) -> Cow<'a, Dag<O>> {
        if self.is_empty() {
            return Cow::Borrowed(model);
        }
        let read = |output: usize| {
            let mut value = output;
            while let Some(node) = model.producer(value).map(|n| &model.nodes[n]) {
                match (sigmoid(&node.op), through(&node.op)) {
                    (true, _) => return node.inputs[0],
                    (false, true) => value = node.inputs[0],
                    (false, false) => break,
                }
            }
            output
        };
        let of = |(&output, columns): (&usize, &Option<Columns<usize>>)| if columns.is_some() { read(output) } else { output };
        let outputs = model.outputs.iter().zip(&self.columns).map(of).collect();
        Cow::Owned(Dag { outputs, ..model.clone() })
    }

    /// Gives the quantizers after the Sigmoids all the bits that the table has: nothing trains
    /// them, and no product reads them.
    pub fn widen(&self, model: &mut Model) {
        for (at, columns) in self.columns.iter().enumerate() {
            let (Some(_), Some(&value)) = (columns, model.outputs.get(at)) else { continue };
            let Some(node) = model.producer(value) else { continue };
            if let QOp::Quantizer(Quantizer { f, max_f, trainable: true, annotated: false, range: Range::Traced, .. }) =
                &mut model.nodes[node].op
            {
                f.fill(*max_f);
            }
        }
    }
}

/// Strictly rising, 0 at exactly ½, finite at 0 and 1.
fn logit(p: f64) -> f64 {
    let p = p * (1.0 - 2.0 * HALF_STEP) + HALF_STEP;
    (p / (1.0 - p)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_and_the_side_stay() {
        let grid: Vec<f64> = (0..=4096).map(|n| f64::from(n) / 4096.0).collect();
        for pair in grid.windows(2) {
            assert!(logit(pair[0]) < logit(pair[1]), "{pair:?}");
        }
        assert_eq!(logit(0.5), 0.0);
        assert!((logit(0.25) + logit(0.75)).abs() < 1e-12 && logit(1.0).is_finite());
        // what a Sigmoid makes of it is the probability again, to half a step
        for p in grid {
            assert!((1.0 / (1.0 + (-logit(p)).exp()) - p).abs() <= HALF_STEP + 1e-12);
        }
    }

    #[test]
    fn only_outputs_that_answer_are_turned() {
        let shape = |len, ends| OutputShape { ends, ..OutputShape::new("o", len) };
        let outputs = [shape(2, Ends::Open), shape(1, Ends::Sigmoid)];
        let labels = Targets::Labels(vec![1, 0]);
        let part = |width| crate::data::OutputTargets { width, targets: labels.clone() };
        let logits = Logits::of_targets(&outputs, Some(&Targets::Outputs(vec![part(2), part(1)])));
        let mut rows = [0.5, 0.5, 0.5, 0.25, 0.75, 1.0];
        logits.turn(&mut rows);
        assert_eq!(rows[..5], [0.5, 0.5, 0.0, 0.25, 0.75]);
        assert!(rows[5] > 7.0 && Logits::of_targets(&outputs, None).is_empty());
    }
}
