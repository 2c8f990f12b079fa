//! Per-sample gradients at the reference: of all weights and biases, and of the rounding error of
//! each activation.
//!
//! The target of a sample is drawn from what the source says about it, a class from its softmax or
//! its outputs plus noise, so the mean square of the gradient is the curvature of the error measure
//! at its minimum: `½·E[(g·Δ)²]` is the error that `Δ` causes. A quantizer's gradient to f is
//! `ln2·Σ (a − Q(a))·∂` (docs/hgq-spec.md#a1-3): its mean square is the error of rounding to that
//! width.

use super::layer::Layer;
use super::width::{MAX_CLIP, MEASURED_LEVELS, Widths, ZERO_BELOW};
use super::{CalibrationSet, Measure};
use crate::data::rng::Rng;
use crate::quant::kif::{exp2i, floor_log2};
use crate::quant::{Model, QOp, Quantizer, Range};
use crate::train::TrainSet;
use crate::train::engine::Engine;
use crate::train::engine::head::LossKind;
use crate::train::engine::loss::TaskLoss;
use crate::train::error::TrainError;
use std::f64::consts::LN_2;
use std::sync::atomic::{AtomicBool, Ordering};

/// Gradients kept, over all weights and samples: 64 MB.
const MAX_GRADIENTS: usize = 1 << 24;
/// Samples for the curvature of weights, within that limit: more change nothing on digits. Small
/// sets are drawn from repeatedly.
const WEIGHT_SAMPLES: (usize, usize) = (8, 2048);
/// Multiplications for the curvature of all widths, and for all trials of saturation: about a
/// second each.
const WIDTH_WORK: f64 = 3e9;
const CLIP_WORK: f64 = 6e9;
/// Samples for the curvature of widths.
const WIDTH_SAMPLES: (usize, usize) = (16, 384);
/// Samples for trials of saturation: all where that is possible, since a rare large value may
/// matter most; with fewer nothing saturates.
const CLIP_SAMPLES: (usize, usize) = (128, 8192);
/// Products that one step costs for each parameter, whatever the sample: quantizing, counting,
/// clearing.
const STEP_OVERHEAD: f64 = 10.0;
/// Classes are drawn at this multiple of the temperature as well: where the source is certain its
/// softmax has no curvature left, but a large error still changes the class.
const SOFTER: f32 = 4.0;
/// Weight of that curvature beside the one of the error measure (0.01, 0.1 and 0.5 compared on
/// digits and jets).
const SOFT_WEIGHT: f32 = 0.1;
/// Logit of a drawn class against 0 for the others.
const CERTAIN: f32 = 60.0;

/// Collects the gradients of all trainable layers; `None` when canceled.
pub(super) fn weights(
    engine: &mut Engine,
    set: &CalibrationSet,
    layers: &mut [Layer],
    cancel: &AtomicBool,
) -> Result<Option<()>, TrainError> {
    let entries: usize = layers.iter().filter(|l| l.trainable).map(Layer::entries).sum();
    let wanted = (MAX_GRADIENTS / entries.max(1)).clamp(WEIGHT_SAMPLES.0, WEIGHT_SAMPLES.1);
    let drawn = drawn(set, wanted);
    let n = drawn.rows.len();
    for layer in layers.iter_mut().filter(|l| l.trainable) {
        layer.samples = n;
        layer.gradients = vec![0.0; layer.entries() * n];
    }
    let visit = |engine: &Engine, s: usize, factor: f32| {
        for layer in layers.iter_mut().filter(|l| l.trainable) {
            let (inputs, outputs) = (layer.inputs, layer.outputs);
            let grads = &engine.params.grads;
            let (weight, bias) = (&engine.params.segments[layer.segments.0], &engine.params.segments[layer.segments.1]);
            for o in 0..outputs {
                let to = &mut layer.gradients[o * (inputs + 1) * n..(o + 1) * (inputs + 1) * n];
                for k in 0..inputs {
                    to[k * n + s] = factor * grads[weight.offset + k * weight.stride + o];
                }
                to[inputs * n + s] = factor * grads[bias.offset + o];
            }
        }
    };
    if each(engine, set, &drawn, cancel, visit)?.is_none() {
        return Ok(None);
    }
    layers.iter_mut().filter(|l| l.trainable).for_each(Layer::finish);
    Ok(Some(()))
}

/// Sensitivity of every trainable saturating quantizer of the plan; `None` when canceled.
pub(super) fn widths(
    engine: &mut Engine,
    model: &Model,
    set: &CalibrationSet,
    cancel: &AtomicBool,
) -> Result<Option<Vec<Option<Widths>>>, TrainError> {
    let mut all: Vec<Option<Widths>> = engine
        .plan()
        .quantizers
        .iter()
        .map(|q| if let QOp::Quantizer(q) = &model.nodes[q.node].op { unknown(q) } else { None })
        .collect();
    let products = products(model);
    let parameters = engine.params.values.len() as f64;
    let known = all.iter().flatten().count().max(1);
    let per_sample = 3.0 * products + STEP_OVERHEAD * parameters;
    let wanted = (WIDTH_WORK / (per_sample * (known * MEASURED_LEVELS) as f64)) as usize;
    let drawn = drawn(set, wanted.clamp(WIDTH_SAMPLES.0, WIDTH_SAMPLES.1));
    let groups: usize = all.iter().flatten().map(Widths::groups).sum();
    let trials = (groups * MAX_CLIP).max(1) as f64;
    let clip_samples = ((CLIP_WORK / trials - STEP_OVERHEAD * parameters) / (3.0 * products.max(1.0))) as usize;
    for (n, widths) in all.iter_mut().enumerate() {
        let Some(w) = widths else { continue };
        let kept = engine.widths(n);
        for level in 0..MEASURED_LEVELS {
            let step = if level == 0 { -ZERO_BELOW } else { level as i32 };
            let coarse: Vec<(f32, f32)> = w.i.iter().zip(&kept).map(|(&i, &(_, open))| ((step - i) as f32, open)).collect();
            engine.set_widths(n, &coarse);
            let segment = engine.plan().quantizers[n].f;
            let mut squares = vec![0f64; w.groups()];
            let visit = |engine: &Engine, _, factor: f32| {
                let df = &engine.params.grads[engine.params.segments[segment].range()];
                squares.iter_mut().zip(df).for_each(|(s, &g)| *s += (f64::from(factor * g) / LN_2).powi(2));
            };
            if each(engine, set, &drawn, cancel, visit)?.is_none() {
                return Ok(None);
            }
            let scale = 0.5 / drawn.rows.len().max(1) as f64;
            w.rounding.iter_mut().zip(&squares).for_each(|(r, s)| r[level] = s * scale);
        }
        engine.set_widths(n, &kept);
        if clip_samples >= CLIP_SAMPLES.0 && saturation(engine, set, (n, w), &kept, clip_samples, cancel)?.is_none() {
            return Ok(None);
        }
    }
    Ok(Some(all))
}

/// Tries fewer integer bits, one group at a time, on the error itself; `None` when canceled.
fn saturation(
    engine: &mut Engine,
    set: &CalibrationSet,
    (n, w): (usize, &mut Widths),
    kept: &[(f32, f32)],
    samples: usize,
    cancel: &AtomicBool,
) -> Result<Option<()>, TrainError> {
    let all = set.x.len() / set.inputs.max(1);
    let rows = spread(all, samples.clamp(CLIP_SAMPLES.0, CLIP_SAMPLES.1).min(all));
    let data = TrainSet::new(set.inputs, set.outputs, set.x, None, None, Some(set.teacher))?;
    let (loss, scale) = task(set);
    let error = |engine: &mut Engine| -> Result<f64, TrainError> {
        Ok(engine.gradients(&data, &rows, &loss, 0.0, &mut |_| 0.0)?.task_loss / scale)
    };
    let base = error(engine)?;
    let mut trial = kept.to_vec();
    for g in 0..w.groups() {
        if cancel.load(Ordering::Relaxed) {
            return Ok(None);
        }
        for d in 1..=MAX_CLIP {
            trial[g].1 = (w.i[g] - d as i32) as f32;
            engine.set_widths(n, &trial);
            w.saturation[g][d] = (error(engine)? - base).max(0.0);
        }
        trial[g] = kept[g];
    }
    engine.set_widths(n, kept);
    Ok(Some(()))
}

/// Runs the drawn samples one at a time, `visit` gets the factor of their gradients; `None` when
/// canceled.
pub(super) fn each(
    engine: &mut Engine,
    set: &CalibrationSet,
    drawn: &Drawn,
    cancel: &AtomicBool,
    mut visit: impl FnMut(&Engine, usize, f32),
) -> Result<Option<()>, TrainError> {
    for (s, (&row, &(loss, factor))) in drawn.rows.iter().zip(&drawn.losses).enumerate() {
        if cancel.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let x = &set.x[row as usize * set.inputs..(row as usize + 1) * set.inputs];
        let target = &drawn.targets[s * set.outputs..(s + 1) * set.outputs];
        let one = TrainSet::new(set.inputs, set.outputs, x, None, None, Some(target))?;
        engine.gradients(&one, &[0], &loss, 0.0, &mut |_| 0.0)?;
        visit(engine, s, factor);
    }
    Ok(Some(()))
}

/// The engine's loss for the error measure, and what to divide it by.
fn task(set: &CalibrationSet) -> (TaskLoss, f64) {
    let (kind, temperature, scale) = match set.measure {
        Measure::Divergence { temperature } => (LossKind::CrossEntropy, temperature, 1.0),
        Measure::SquaredError { variance } => (LossKind::Mse, 1.0, variance),
    };
    (TaskLoss { kind, teacher_weight: 1.0, temperature }, scale)
}

/// `n` of `all` samples, evenly spread; more than there are: all of them several times.
fn spread(all: usize, n: usize) -> Vec<u32> {
    if n >= all {
        (0..all * (n / all.max(1))).map(|s| (s % all) as u32).collect()
    } else {
        (0..n).map(|s| (s * all / n) as u32).collect()
    }
}

/// Samples with drawn targets.
pub(super) struct Drawn {
    rows: Vec<u32>,
    /// samples × outputs
    targets: Vec<f32>,
    /// The loss of each, and the factor that brings its gradients to the scale of the error
    /// measure.
    losses: Vec<(TaskLoss, f32)>,
}

impl Drawn {
    pub(super) fn samples(&self) -> usize {
        self.rows.len()
    }
}

/// About `n` samples with a drawn target each. Half of those with classes are drawn and judged at
/// [`SOFTER`] times the temperature.
pub(super) fn drawn(set: &CalibrationSet, n: usize) -> Drawn {
    let rows = spread(set.x.len() / set.inputs.max(1), n);
    let mut rng = Rng::new(set.seed);
    let mut targets = Vec::with_capacity(rows.len() * set.outputs);
    let mut losses = Vec::with_capacity(rows.len());
    let (loss, _) = task(set);
    let all = (set.x.len() / set.inputs.max(1)).max(1);
    for (s, &row) in rows.iter().enumerate() {
        let outputs = &set.teacher[row as usize * set.outputs..(row as usize + 1) * set.outputs];
        match set.measure {
            Measure::Divergence { temperature } => {
                let soft = (s + s / all) % 2 == 1;
                let t = if soft { SOFTER * temperature } else { temperature };
                let class = class(outputs, t, rng.unit());
                targets.extend((0..set.outputs).map(|o| if o == class { CERTAIN * t } else { 0.0 }));
                // the engine multiplies by T² where T is above 1; half of the samples stand for all
                let scale = t / temperature / t.max(1.0).powi(2);
                let weight = if soft { SOFT_WEIGHT } else { 1.0 };
                losses.push((TaskLoss { temperature: t, ..loss }, (2.0 * weight).sqrt() * scale));
            }
            // noise of the strength at which the mean square of the gradient is the curvature of
            // the error, in the units of the outputs
            Measure::SquaredError { variance } => {
                let unit = exp2i(floor_log2(variance));
                let strength = ((set.outputs as f64 / (2.0 * variance)).sqrt() * unit) as f32;
                targets.extend(outputs.iter().map(|&z| if rng.unit() < 0.5 { z - strength } else { z + strength }));
                losses.push((loss, (1.0 / unit) as f32));
            }
        }
    }
    Drawn { rows, targets, losses }
}

/// The class that a uniform number draws from `softmax(z/temperature)`.
fn class(z: &[f32], temperature: f32, uniform: f64) -> usize {
    let top = z.iter().cloned().fold(f32::NEG_INFINITY, f32::max);
    let p: Vec<f64> = z.iter().map(|&z| f64::from((z - top) / temperature).exp()).collect();
    let mut left = uniform * p.iter().sum::<f64>();
    let found = p.iter().position(|p| {
        left -= p;
        left < 0.0
    });
    found.unwrap_or(z.len().saturating_sub(1))
}

/// A trainable saturating quantizer before anything is measured.
fn unknown(q: &Quantizer) -> Option<Widths> {
    let (Range::Saturating { keep_negative, i, .. } | Range::Declared { keep_negative, i }) = &q.range else { return None };
    if !q.trainable {
        return None;
    }
    let mut saturation = [f64::INFINITY; MAX_CLIP + 1];
    saturation[0] = 0.0;
    let limit = q.max_f.round_ties_even() as i32;
    let max_f = q.f.iter().map(|f| if q.annotated { (f.round_ties_even() as i32).min(limit) } else { limit });
    Some(Widths {
        i: i.iter().map(|i| i.round_ties_even() as i32).collect(),
        keep_negative: keep_negative.clone(),
        max_f: max_f.collect(),
        annotated: q.annotated,
        rounding: vec![[0.0; MEASURED_LEVELS]; q.groups.count()],
        saturation: vec![saturation; q.groups.count()],
    })
}

/// Multiplications of one sample.
pub(super) fn products(model: &Model) -> f64 {
    let layers = model.nodes.iter().filter_map(|n| n.op.layer());
    layers.map(|d| (d.weight.len() * d.window.as_ref().map_or(1, |w| w.positions())) as f64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_spread_and_classes_drawn_by_their_probability() {
        assert_eq!(spread(10, 5), [0, 2, 4, 6, 8]);
        assert_eq!(spread(3, 7), [0, 1, 2, 0, 1, 2]);
        let z = [0.0, 1.0986123]; // ¼, ¾
        assert_eq!((class(&z, 1.0, 0.24), class(&z, 1.0, 0.26), class(&z, 1.0, 0.999)), (0, 1, 1));
        // at temperature ½ the odds are squared: 1/10, 9/10
        assert_eq!((class(&z, 0.5, 0.09), class(&z, 0.5, 0.11)), (0, 1));
    }
}
