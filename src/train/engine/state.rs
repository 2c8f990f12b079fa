//! What goes in and out of an engine between steps: the trained model, snapshots, checkpoints, and
//! views for tests and reports.

use super::Engine;
use super::ebops::{Ebops, RunningRange};
use super::params::ParamKind;
use crate::quant::{Model, QOp, Quantizer, Range, SaturatingDense};
use crate::train::error::TrainError;

/// Everything needed to go on with training exactly.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineState {
    pub parameters: Vec<f32>,
    pub first_moments: Vec<f32>,
    pub second_moments: Vec<f32>,
    pub step: u64,
    /// Running `(min, max)` per quantizer; infinite where nothing was seen since the last reset.
    pub ranges: Vec<RunningRange>,
}

impl Engine {
    /// Writes the latent parameters back into the model the engine was made from.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`] when `into` is another model.
    pub fn export(&self, into: &mut Model) -> Result<(), TrainError> {
        let same =
            into.nodes.len() == self.node_names.len() && into.nodes.iter().zip(&self.node_names).all(|(n, m)| n.name == *m);
        if !same {
            return Err(TrainError::Checkpoint { field: "nodes", expected: self.node_names.len(), found: into.nodes.len() });
        }
        for (n, segment) in self.params.segments.iter().enumerate() {
            let node = &mut into.nodes[segment.node];
            let moves = segment.trainable || matches!(&node.op, QOp::Quantizer(q) if matches!(q.range, Range::Tracked { .. }));
            if !moves {
                continue;
            }
            let values = self.params.read(n, &self.params.values);
            match &mut node.op {
                QOp::Dense(d) => {
                    d.declared = None;
                    match segment.kind {
                        ParamKind::Weight => d.weight = values,
                        ParamKind::Bias => d.bias = values,
                        _ => d.weight_f = values,
                    }
                }
                QOp::SaturatingDense(s) => saturating(s, segment.kind, values),
                QOp::Quantizer(q) => {
                    q.annotated &= !segment.trainable;
                    width(q, segment.kind, values);
                }
                // no parameters
                QOp::Affine(_)
                | QOp::Elementwise(_)
                | QOp::Sign
                | QOp::MaxPool(_)
                | QOp::AveragePool(_)
                | QOp::Merge(_)
                | QOp::Move(_) => {}
            }
        }
        Ok(())
    }

    /// The parameters alone.
    pub fn snapshot(&self) -> Vec<f32> {
        self.params.values.to_vec()
    }

    /// True when every parameter is a finite number.
    pub fn is_finite(&self) -> bool {
        self.params.values.iter().all(|v| v.is_finite())
    }

    /// Whether a snapshot may be one of this model: its length, and the bounds of every parameter.
    pub fn may_be(&self, snapshot: &[f32]) -> bool {
        self.params.may_be(snapshot)
    }

    /// Back to a snapshot of this model; moments and ranges stay.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`] when the length is wrong.
    pub fn restore(&mut self, snapshot: &[f32]) -> Result<(), TrainError> {
        copy("parameters", snapshot, &mut self.params.values)
    }

    /// A complete checkpoint.
    pub fn state(&self) -> EngineState {
        EngineState {
            parameters: self.params.values.to_vec(),
            first_moments: self.params.m.to_vec(),
            second_moments: self.params.v.to_vec(),
            step: self.params.step,
            ranges: self.ranges.clone(),
        }
    }

    /// Back to a checkpoint of this model.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`] when it belongs to another model; the engine is then unchanged.
    pub fn load_state(&mut self, state: &EngineState) -> Result<(), TrainError> {
        let expected = self.params.values.len();
        let fields = [
            ("parameters", &state.parameters),
            ("first_moments", &state.first_moments),
            ("second_moments", &state.second_moments),
        ];
        for (field, values) in fields {
            if !self.params.is_padded(values) {
                return Err(TrainError::Checkpoint { field, expected, found: values.len() });
            }
        }
        let sizes = |ranges: &[RunningRange]| ranges.iter().map(|r| (r.min.len(), r.max.len())).collect::<Vec<_>>();
        if sizes(&state.ranges) != sizes(&self.ranges) {
            let (expected, found) = (self.ranges.len(), state.ranges.len());
            return Err(TrainError::Checkpoint { field: "ranges", expected, found });
        }
        copy("parameters", &state.parameters, &mut self.params.values)?;
        copy("first_moments", &state.first_moments, &mut self.params.m)?;
        copy("second_moments", &state.second_moments, &mut self.params.v)?;
        self.params.step = state.step;
        self.ranges.clone_from(&state.ranges);
        Ok(())
    }

    /// Current values of a node's parameters, compact: weights `[inputs][outputs]`, widths per
    /// group.
    pub fn parameter(&self, node: &str, kind: ParamKind) -> Option<Vec<f32>> {
        let s = self.find(node, kind)?;
        Some(self.params.read(s, &self.params.values))
    }

    /// Gradients of the last step, laid out like [`Engine::parameter`].
    pub fn gradient(&self, node: &str, kind: ParamKind) -> Option<Vec<f32>> {
        let s = self.find(node, kind)?;
        Some(self.params.read(s, &self.params.grads))
    }

    /// Running minimum and maximum per group of a quantizer since the last reset.
    pub fn range(&self, quantizer: &str) -> Option<&RunningRange> {
        let n = self.plan().quantizers.iter().position(|q| self.node_names[q.node] == quantizer)?;
        self.ranges.get(n)
    }

    /// EBOPs of each dense layer in the last step.
    pub fn layer_ebops(&self) -> Vec<(&str, Ebops)> {
        self.plan().dense.iter().zip(&self.layer_ebops).map(|(d, &e)| (self.node_names[d.node].as_str(), e)).collect()
    }

    /// Outputs of the last batch, rows × outputs in the order of the rows.
    pub fn outputs(&self) -> Vec<f32> {
        self.shards[..self.active].iter().flat_map(|s| s.outputs.iter().copied()).collect()
    }

    fn find(&self, node: &str, kind: ParamKind) -> Option<usize> {
        let node = self.node_names.iter().position(|n| n == node)?;
        self.params.find(node, kind)
    }
}

fn saturating(s: &mut SaturatingDense, kind: ParamKind, values: Vec<f32>) {
    match kind {
        ParamKind::Weight => s.layer.weight = values,
        ParamKind::Bias => s.layer.bias = values,
        ParamKind::WeightF | ParamKind::WeightB | ParamKind::WeightI => width(&mut s.weight, kind, values),
        _ => width(&mut s.bias, kind, values),
    }
}

/// One of a quantizer's two latent widths.
fn width(q: &mut Quantizer, kind: ParamKind, values: Vec<f32>) {
    match &mut q.range {
        Range::Saturating { i, .. } | Range::SaturatingKbi { i, .. } | Range::Tracked { i } if kind.is_integer() => *i = values,
        _ => q.f = values,
    }
}

fn copy(field: &'static str, from: &[f32], to: &mut [f32]) -> Result<(), TrainError> {
    if from.len() != to.len() {
        return Err(TrainError::Checkpoint { field, expected: to.len(), found: from.len() });
    }
    to.copy_from_slice(from);
    Ok(())
}
