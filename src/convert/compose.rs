//! The report's content from what the stages found (design section 5.4).

use super::emit::{CHUNK, Emitted, run_in_file_order, slice};
use super::interface::target;
use super::judged::{Judged, Measured};
use super::layout::join;
use super::logits::Logits;
use super::per_output::per_output;
use super::prepare::{Data, Source, SourceValues};
use super::purpose::Purpose;
use super::report::{self, Warning};
use super::score::{Exactly, Judge};
use super::source_check::ImportCheck;
use super::{Error, Job};
use crate::proxy::port;
use crate::proxy::target::latency_layers;
use crate::quant::exact::Exact;
use crate::quant::{Model, ebops, interval};
use crate::train::pareto::Front;
use serde_json::{Value, json};

/// Everything a report is made of.
pub struct Composition<'a> {
    pub job: &'a Job,
    pub source: &'a Source,
    pub data: &'a Data,
    pub import: &'a ImportCheck,
    pub judge: &'a Judge<'a>,
    pub judged: &'a Judged,
    /// Data and chosen model in the domain of training.
    pub domain: &'a Data,
    pub in_domain: &'a Exactly,
    pub purpose: &'a Purpose,
    /// The source on the rows that candidates are judged on, and on the validation samples alone.
    pub source_score: Measured,
    pub source_alone: Measured,
    pub source_values: &'a SourceValues,
    /// The source's outputs on the validation samples as they are judged, see `logits`.
    pub source_logits: &'a [f32],
    pub logits: &'a Logits,
    pub exactly: &'a Exactly,
    pub emitted: &'a Emitted,
    pub front: &'a Front<Model>,
    /// Points of the front that are reported.
    pub shown: &'a [usize],
    /// The job's budgets, and the point chosen within each.
    pub within: &'a [(f64, Option<usize>)],
    pub chosen: usize,
    /// The rule by which it was.
    pub why: &'a str,
    /// See [`super::choice::Choice`].
    pub unmet: Option<&'a str>,
    pub warnings: &'a [Warning],
}

/// Largest difference of the proxy's outputs from the source's on the calibration data, and how many elements differ.
fn moved(c: &Composition, exact: &Exact) -> (f32, usize) {
    let pruned = &c.exactly.pruned;
    let calibration: Vec<&[f32]> = c.data.calibration.rows();
    let (samples, width) = (c.data.calibration.samples, c.source.width);
    let (mut most, mut differing) = (0f32, 0);
    for start in (0..samples).step_by(CHUNK) {
        let n = CHUNK.min(samples - start);
        let outputs = exact.run(&slice(pruned, &calibration, start, n), n, &pruned.outputs);
        let source = &c.source_values.logits[start * width..(start + n) * width];
        for (a, &b) in join(&outputs, &c.source.widths, n).into_iter().zip(source) {
            let a = a as f32;
            most = most.max((a - b).abs());
            differing += usize::from(a != b);
        }
    }
    (most, differing)
}

fn told(c: &Composition, found: &Measured) -> Value {
    json!({ "metric": c.judge.kind.shown(found.metric), "metric_error": found.error, "loss": found.loss })
}

/// The front as users read it, and what was chosen off it.
fn pareto(c: &Composition) -> Vec<Value> {
    let steps = c.front.steps();
    let entry = |(number, &n): (usize, &usize)| {
        let p = &c.front.points()[n];
        let budgets: Vec<f64> = c.within.iter().filter(|w| w.1 == Some(n)).map(|w| w.0).collect();
        json!({
            "number": number,
            "epoch": p.epoch,
            "ebops": p.score.ebops,
            "ebops_hgq2": p.score.ebops_hgq2,
            "metric": c.judge.kind.shown(p.score.metric),
            "metric_error": p.score.metric_error,
            "loss": p.score.loss,
            "loss_of_all": Some(p.score.loss_of_all).filter(|l| l.is_finite()),
            "settled": p.score.settled,
            "on_front": steps.contains(&n),
            "chosen": n == c.chosen,
            "chosen_within": budgets,
        })
    };
    c.shown.iter().enumerate().map(entry).collect()
}

/// The report, without timing.
///
/// # Errors
/// [`Error::Verification`] if the proxy cannot be run on the validation data, [`Error::Internal`].
pub fn compose(c: &Composition) -> Result<Value, Error> {
    let internal = |e: String| Error::Internal(e);
    let pruned = &c.exactly.pruned;
    let exact = Exact::new(pruned)?;
    let bounds = exact.bounds();
    let full_bounds = interval::bounds(&c.exactly.full)?;
    let validation: Vec<&[f32]> = c.data.validation.rows();
    let channels_first = c.source.proxy_orders(&c.job.config);
    let ran = run_in_file_order(&c.emitted.program, channels_first, &validation, c.data.validation.samples)
        .map_err(|e| Error::Verification(e.to_string()))?;
    let (moved, differing) = moved(c, &exact);
    let kind = c.judge.kind;
    let each = match &c.data.validation.targets {
        Some(targets) if c.source.widths.len() > 1 => {
            let judged = exact.run(&validation, c.data.validation.samples, &pruned.outputs);
            let mut judged = join(&judged, &c.source.widths, c.data.validation.samples);
            c.logits.turn(&mut judged);
            per_output(kind, c.source, targets, &judged, c.source_logits)
        }
        _ => Vec::new(),
    };
    let counts = ebops::layers(pruned, bounds);
    // by way of text, where 0.01 in f32 stays 0.01
    let config = serde_json::to_string(&c.job.config).and_then(|text| serde_json::from_str::<Value>(&text));
    let config = config.map_err(|e| internal(e.to_string()))?;
    let mut verification = serde_json::to_value(&c.emitted.verification).map_err(|e| internal(e.to_string()))?;
    verification["saturations"] = json!(ran.saturations.iter().map(|s| s.1).sum::<u64>());
    verification["validation_samples"] = json!(c.data.validation.samples);
    let pareto = pareto(c);
    let mut report = json!({
        "schema": report::SCHEMA,
        "tool": { "name": "hgq-onnx", "version": env!("CARGO_PKG_VERSION") },
        "config": config,
        "model": {
            "sha256": report::sha256(&c.job.model),
            "bytes": c.job.model.len(),
            "outputs": c.source.width,
            "softmax_dropped": c.source.has_softmax,
        },
        "proxy": {
            "sha256": report::sha256(&c.emitted.proxy.bytes),
            "bytes": c.emitted.proxy.bytes.len(),
            "form": c.job.config.proxy.form,
            "nodes": c.emitted.proxy.model.graph.as_ref().map_or(0, |g| g.node.len()),
            "metric": kind.shown(c.exactly.score.metric),
            "metric_error": c.exactly.score.metric_error,
            "loss": c.exactly.score.loss,
            "max_abs_diff_vs_source": moved,
            "elements_differing_from_source": differing,
            "removed": c.emitted.proxy.removed,
        },
        "ebops": c.exactly.score.ebops,
        "ebops_hgq2": ebops::ebops_hgq2(&c.exactly.full, &full_bounds),
        "metric": kind,
        "task": c.purpose,
        "source": told(c, &c.source_score),
        "layers": report::layers(pruned, bounds, &counts, &c.exactly.ranges),
        "target": { "met": c.unmet.is_none(), "reason": c.unmet },
        "choice": {
            "why": c.why,
            "judged_on": c.judged.name(),
            "samples": c.judge.validation.samples,
            "metric_because": c.judged.why,
        },
        "pareto": pareto,
        "verification": verification,
        "import": c.import,
        "data": {
            "calibration_samples": c.data.calibration.samples,
            "train_samples": c.data.train.samples,
            "validation_samples": c.data.validation.samples,
            "validation": c.data.validation_origin,
            "one_answer": c.judged.majority.map(|m| json!({ "accuracy": m.share, "class": m.class })),
        },
        "hls4ml": {
            "config": format!(
                "hls4ml.utils.config_from_onnx_model(model, granularity='name', backend='{}', default_precision='{}')",
                c.job.config.hls4ml.backend,
                port::spelled(port::DEFAULT_PORT)
            ),
            "io_type": c.job.config.hls4ml.io_type,
            "strategy": c.job.config.hls4ml.strategy.name(),
            "reuse_factor": c.job.config.hls4ml.reuse_factor,
            "latency_layers": latency_layers(&c.emitted.proxy.model, target(&c.job.config.hls4ml)),
            "input_port": port::spelled(c.emitted.proxy.input_port),
        },
        "ports": c.emitted.ports,
        "warnings": c.warnings,
    });
    if c.judged.is_pooled() {
        let alone = c.judged.kind_of(&c.data.validation);
        let proxy = c.judge.on(&c.in_domain.pruned, alone, &c.domain.validation, c.source_logits)?;
        report["validation_alone"] = json!({
            "samples": c.data.validation.samples,
            "source": told(c, &c.source_alone),
            "proxy": told(c, &proxy),
        });
    }
    if !each.is_empty() {
        report["outputs"] = json!(each);
    }
    Ok(report)
}
