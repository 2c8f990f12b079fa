//! What the data do not show: inputs and channels that never change, few samples, classes without
//! one. Ranges follow the data, so what they do not show gets no bits; that is right for them, and
//! wrong for others, without a trace in any figure.

use super::Source;
use super::data::Data;
use super::declare::is_declared;
use super::values::OnData;
use crate::convert::job::Job;
use crate::convert::task::logits::Logits;
use crate::convert::task::metric::predicted;
use crate::data::{Arrays, DataLimits, Dataset, Targets};
use crate::diagnostic::{Code, Diagnostic};
use crate::ops::Move;
use crate::quant::exact::MinMax;
use crate::quant::model::{Model, QOp, Quantizer};

/// Samples below which ranges are accidents: of 20, one in twenty of others is beyond the largest
/// that was seen.
const FEW: usize = 20;
/// Things that are listed by name.
const MAX_LISTED: usize = 8;
/// Share of right answers from which on the source's own tell the classes of samples without
/// labels.
const RELIABLE: f64 = 0.8;

/// Everything that ranges, and what was verified, leave out. `samples` were traced.
pub fn thin(job: &Job, source: &Source, data: &Data, on: &OnData, model: &Model, samples: usize) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    let mut warn = |code, message: String| warnings.push(Diagnostic::new(code, message));
    if samples < FEW {
        let are = if samples == 1 { "is 1 sample".to_string() } else { format!("are {samples} samples") };
        warn(
            Code::FewSamples,
            format!("there {are} to take ranges from: values beyond them are clipped; give at least {FEW}, better some hundred"),
        );
    }
    let (inputs, channels) = if samples > 1 { constants(job, source, on, model) } else { (Vec::new(), Vec::new()) };
    if !inputs.is_empty() {
        warn(
            Code::ConstantInputs,
            format!(
                "{}: the same in all {samples} samples, so the proxy has no bits for anything else there: give data in which they change, or declare their range (`inputs`, or `range` in `layers`)",
                inputs.join("; ")
            ),
        );
    }
    if !channels.is_empty() {
        warn(
            Code::ConstantChannels,
            format!(
                "{}: the same in all {samples} samples, so the proxy has constants there: harmless where the network does not use them, else give data in which they change, or declare their `range` in `layers`",
                listed(&channels, "; ")
            ),
        );
    }
    if let Some(message) = unseen(job, source, data, on) {
        warn(Code::UnseenClasses, message);
    }
    warnings
}

/// What never changes, of inputs and of other values: one text for each value.
fn constants(job: &Job, source: &Source, on: &OnData, model: &Model) -> (Vec<String>, Vec<String>) {
    let (mut inputs, mut channels) = (Vec::new(), Vec::new());
    for node in &model.nodes {
        let QOp::Quantizer(q) = &node.op else { continue };
        // taken over from the file whatever the data are
        if is_declared(q) || q.annotated && job.config.epochs == 0 {
            continue;
        }
        let mut value = node.inputs[0];
        while let Some(p) = model.producer(value).filter(|&p| matches!(model.nodes[p].op, QOp::Move(Move::Reshape))) {
            value = model.nodes[p].inputs[0];
        }
        let name = &model.values[value].name;
        let Some(at) = source.graph.values.iter().position(|v| v.name == *name) else { continue };
        let Some(text) = still(q, &on.ranges[at], model.values[value].shape.last().copied().unwrap_or(1)) else { continue };
        if model.inputs.contains(&value) {
            inputs.push(format!("input `{name}`: {text}"));
        } else {
            channels.push(format!("`{name}`: {text}"));
        }
    }
    (inputs, channels)
}

/// Groups of a quantizer whose elements never change, as text.
fn still(q: &Quantizer, range: &MinMax, channels: usize) -> Option<String> {
    let (elements, groups) = (q.groups.elements(), q.groups.count());
    if range.min.len() != elements {
        return None;
    }
    let mut changes = vec![false; groups];
    let mut first = vec![usize::MAX; groups];
    for e in 0..elements {
        let g = q.groups.of(e);
        changes[g] |= range.min[e] != range.max[e];
        first[g] = first[g].min(e);
    }
    let still: Vec<usize> = (0..groups).filter(|&g| !changes[g]).map(|g| first[g]).collect();
    let what = if groups == elements { "element" } else { "channel" };
    match still.len() {
        0 => None,
        n if n == groups => Some(format!("all {elements} elements")),
        n => {
            let name = |&e: &usize| {
                let number = if groups == elements { e } else { e % channels.max(1) };
                format!("{number} (always {})", range.min[e])
            };
            let names: Vec<String> = still.iter().map(name).collect();
            Some(format!("{n} of {groups} {what}s, {}", listed(&names, ", ")))
        }
    }
}

fn listed(names: &[String], between: &str) -> String {
    let shown = names.iter().take(MAX_LISTED).cloned().collect::<Vec<_>>().join(between);
    if names.len() > MAX_LISTED { format!("{shown} and {} more", names.len() - MAX_LISTED) } else { shown }
}

/// Classes that the labelled data have and the calibration data have not.
fn unseen(job: &Job, source: &Source, data: &Data, on: &OnData) -> Option<String> {
    let (what, set, outputs) = match (&job.train, &job.validation) {
        (Some(_), _) => ("training", &data.train, &on.train),
        (None, Some(_)) => ("validation", &data.validation, &on.validation),
        (None, None) => return None,
    };
    let labels = set.targets.as_ref()?.classes()?;
    let shapes = source.output_shapes();
    let beside = Arrays::of(&job.calibration, &DataLimits::default())
        .ok()
        .and_then(|arrays| Dataset::targets_beside(&arrays, &source.input_shapes(), &shapes));
    let (shown, by) = match beside.as_ref().and_then(Targets::classes) {
        Some(shown) => (shown, "its `y`"),
        None => {
            let logits = Logits::of_targets(&shapes, set.targets.as_ref());
            let answers = |outputs: &[f32]| -> Vec<u32> {
                let turned: Vec<f64> = logits.turned(outputs).iter().map(|&v| f64::from(v)).collect();
                turned.chunks_exact(source.width.max(1)).map(|row| predicted(row) as u32).collect()
            };
            let right = answers(outputs).iter().zip(&labels).filter(|(a, b)| a == b).count();
            if (right as f64) < RELIABLE * labels.len() as f64 {
                return None;
            }
            (answers(&on.calibration.logits), "the source's answers")
        }
    };
    let count = source.width.max(2);
    let of = |class: usize| labels.iter().filter(|&&l| l as usize == class).count();
    let missing: Vec<usize> = (0..count).filter(|&c| of(c) > 0 && !shown.iter().any(|&s| s as usize == c)).collect();
    if missing.is_empty() {
        return None;
    }
    let share = |class: usize| 100.0 * of(class) as f64 / labels.len().max(1) as f64;
    let names: Vec<String> = missing.iter().map(|&c| format!("{c} ({:.1} % of the {what} samples)", share(c))).collect();
    Some(format!(
        "no calibration sample is of class {} by {by}: ranges without training data, and what is verified, do not cover it; give calibration data of every class",
        listed(&names, ", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::{Granularity, Groups, Rounding, model::Range};

    fn quantizer(groups: Groups) -> Quantizer {
        let f = vec![4.0; groups.count()];
        Quantizer { groups, f, range: Range::Traced, rounding: Rounding::Floor, max_f: 9.0, trainable: true, annotated: false }
    }

    #[test]
    fn what_never_changes_is_named_by_group() {
        let range = |min: &[f64], max: &[f64]| MinMax { min: min.to_vec(), max: max.to_vec() };
        let each = quantizer(Groups::elementwise(4));
        let text = still(&each, &range(&[0.0, -1.0, 2.5, 0.0], &[0.0, 1.0, 2.5, 1.0]), 4).unwrap();
        assert_eq!(text, "2 of 4 elements, 0 (always 0), 2 (always 2.5)");
        assert_eq!(still(&each, &range(&[0.0; 4], &[1.0; 4]), 4), None);
        assert_eq!(still(&each, &range(&[1.0; 4], &[1.0; 4]), 4).unwrap(), "all 4 elements");
        // two positions of two channels: channel 1 is still at both, channel 0 at one of them
        let channels = quantizer(Groups::new(Granularity::Channel, &[2, 2]));
        let text = still(&channels, &range(&[0.0; 4], &[0.0, 0.0, 1.0, 0.0]), 2).unwrap();
        assert_eq!(text, "1 of 2 channels, 1 (always 0)");
        let many = quantizer(Groups::elementwise(40));
        let mut max = vec![0.0; 40];
        max[39] = 1.0;
        let text = still(&many, &range(&[0.0; 40], &max), 40).unwrap();
        assert!(text.starts_with("39 of 40 elements") && text.ends_with("7 (always 0) and 31 more"), "{text}");
    }
}
