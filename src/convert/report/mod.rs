//! `report.json`: versioned, self-contained, the same for the command line and the service; and its
//! page for people.

pub mod html;
pub mod layers;
mod per_output;
mod sanity;

use super::documents::{
    Alone, ChoiceMade, DataUsed, Hls4mlCall, ModelFile, OneAnswer, OutputMetric, ParetoPoint, ProxyFile, Report, Target, Tool,
    TrainingPoint, Verified, finite,
};
use super::emit::Files;
use super::emit::verified::{run_in_file_order, slice};
use super::error::Error;
use super::evaluation::measured::Measured;
use super::evaluation::score::Judge;
use super::job::Artifacts;
use super::layout::join;
use super::memory::{CHUNK, Peak};
use super::prepared::PreparedJob;
use super::progress::Reporter;
use super::progress::curve::CurvePoint;
use super::search::{Chosen, Found};
use crate::data::sha256::sha256;
use crate::diagnostic::Diagnostic;
use crate::proxy::port;
use crate::proxy::target::latency_layers;
use crate::quant::exact::Exact;
use crate::quant::{ebops, hardware, interval};
use per_output::per_output;
pub use sanity::found_to_say;
use std::collections::BTreeMap;

/// Version of the report's schema; raised when a field changes its meaning.
const SCHEMA: &str = "hgq-onnx/report/1";

/// Everything a report is made of.
struct Stages<'a> {
    p: &'a PreparedJob<'a>,
    judge: &'a Judge<'a>,
    found: &'a Found,
    chosen: &'a Chosen,
    files: &'a Files,
    warnings: &'a [Diagnostic],
}

/// The files of a conversion, report and page included.
///
/// # Errors
/// [`Error::Verification`] if the proxy cannot be run on the validation data, [`Error::Internal`].
#[allow(clippy::too_many_arguments)] // what each stage gave
pub fn report(
    p: &PreparedJob,
    judge: &Judge,
    found: &Found,
    chosen: &Chosen,
    files: Files,
    warnings: &[Diagnostic],
    mut reporter: Reporter,
    memory: &Peak,
) -> Result<Artifacts, Error> {
    reporter.enter("report");
    let mut report = compose(&Stages { p, judge, found, chosen, files: &files, warnings })?;
    reporter.leave();
    report.training = reporter.curve.points().into_iter().map(training_point).collect();
    report.timing = reporter.seconds;
    report.peak_memory_bytes = memory.bytes();
    let page = html::page(&report, &files.exactly.pruned)?;
    let Files { proxy, exactly, pareto, extra_files, .. } = files;
    let unmet = chosen.choice.unmet.clone();
    Ok(Artifacts {
        proxy: proxy.proxy.bytes,
        report,
        page,
        ebops: exactly.score.ebops,
        luts: exactly.score.hardware.luts,
        pareto,
        extra_files,
        unmet,
    })
}

fn training_point(p: CurvePoint) -> TrainingPoint {
    let CurvePoint { epoch, loss, metric, ebops, beta, luts } = p;
    TrainingPoint {
        epoch,
        loss: finite(loss),
        metric: finite(metric),
        ebops: finite(ebops),
        luts: luts.and_then(finite),
        beta: finite(beta),
    }
}

/// The report, without what is known at the end of the run alone.
fn compose(s: &Stages) -> Result<Report, Error> {
    let (p, files) = (s.p, s.files);
    let exact = Exact::new(&files.exactly.pruned)?;
    let full_bounds = interval::bounds(&files.exactly.full)?;
    let counts = ebops::layers(&files.exactly.pruned, exact.bounds());
    let (hardware, _) = hardware::count(&files.exactly.pruned, exact.bounds());
    Ok(Report {
        schema: SCHEMA.into(),
        tool: Tool { name: "hgq-onnx".into(), version: env!("CARGO_PKG_VERSION").into() },
        config: p.job.config.clone(),
        model: ModelFile {
            sha256: sha256(&p.job.model),
            bytes: p.job.model.len(),
            outputs: p.source.width,
            softmax_dropped: p.source.has_softmax,
        },
        proxy: proxy(s, &exact),
        proxy_elementwise: files.elementwise.clone(),
        count: s.found.front.count(),
        ebops: files.exactly.score.ebops,
        ebops_hgq2: ebops::ebops_hgq2(&files.exactly.full, &full_bounds),
        hardware: files.exactly.score.hardware.into(),
        start_luts: s.found.start.score.hardware.luts,
        start_ebops: s.found.start.score.ebops,
        start_error: finite(s.found.start_error),
        metric: s.judge.kind.name().into(),
        task: p.purpose.clone(),
        source: p.source_score.figures(s.judge.kind),
        layers: layers::layers(&files.exactly.pruned, exact.bounds(), &counts, &hardware, &files.exactly.ranges),
        target: Target { met: s.chosen.choice.unmet.is_none(), reason: s.chosen.choice.unmet.clone() },
        choice: ChoiceMade {
            why: s.chosen.choice.why.clone(),
            judged_on: p.judged.name().into(),
            samples: s.judge.validation.samples,
            metric_because: p.judged.why.clone(),
        },
        pareto: pareto(s),
        synthesis: Vec::new(),
        validation_alone: if p.judged.is_pooled() { Some(validation_alone(s)?) } else { None },
        outputs: outputs(s, &exact),
        verification: verification(s)?,
        import: p.import.clone(),
        data: data(s),
        hls4ml: hls4ml(s),
        ports: files.proxy.ports.clone(),
        warnings: s.warnings.to_vec(),
        training: Vec::new(),
        timing: BTreeMap::new(),
        peak_memory_bytes: None,
    })
}

fn proxy(s: &Stages, exact: &Exact) -> ProxyFile {
    let (files, score) = (s.files, s.files.exactly.score);
    let (most, differing) = max_abs_diff(s, exact);
    ProxyFile {
        sha256: sha256(&files.proxy.proxy.bytes),
        bytes: files.proxy.proxy.bytes.len(),
        form: s.p.job.config.proxy.form,
        nodes: files.proxy.proxy.model.graph.as_ref().map_or(0, |g| g.node.len()),
        figures: Measured::from(&score).figures(s.judge.kind),
        relative_error: finite(files.relative_error),
        max_abs_diff_vs_source: finite(most.into()),
        elements_differing_from_source: differing,
        removed: files.proxy.proxy.removed.clone(),
    }
}

/// Largest difference of the proxy's outputs from the source's on the calibration data, and how
/// many elements differ.
fn max_abs_diff(s: &Stages, exact: &Exact) -> (f32, usize) {
    let pruned = &s.files.exactly.pruned;
    let calibration: Vec<&[f32]> = s.p.data.calibration.rows();
    let (samples, width) = (s.p.data.calibration.samples, s.p.source.width);
    let (mut most, mut differing) = (0f32, 0);
    for start in (0..samples).step_by(CHUNK) {
        let n = CHUNK.min(samples - start);
        let outputs = exact.run(&slice(pruned, &calibration, start, n), n, &pruned.outputs);
        let source = &s.p.on.calibration.logits[start * width..(start + n) * width];
        for (a, &b) in join(&outputs, &s.p.source.widths, n).into_iter().zip(source) {
            let a = a as f32;
            most = most.max((a - b).abs());
            differing += usize::from(a != b);
        }
    }
    (most, differing)
}

/// The front as users read it, and what was chosen off it.
fn pareto(s: &Stages) -> Vec<ParetoPoint> {
    let (front, chosen) = (&s.found.front, s.chosen);
    let steps = front.steps();
    let entry = |(number, &n): (usize, &usize)| {
        let point = &front.points()[n];
        let score = &point.score;
        ParetoPoint {
            number,
            epoch: point.epoch,
            ebops: score.ebops,
            ebops_hgq2: score.ebops_hgq2,
            hardware: score.hardware.into(),
            figures: Measured::from(score).figures(s.judge.kind),
            train_val_loss: finite(score.train_val_loss),
            annealed: score.annealed,
            on_front: steps.contains(&n),
            chosen: n == chosen.choice.point,
            chosen_within: chosen.within.iter().filter(|w| w.1 == Some(n)).map(|w| w.0).collect(),
        }
    };
    chosen.shown.iter().enumerate().map(entry).collect()
}

/// What comparing the proxy with the trained model gave, and what it clips on the validation data.
fn verification(s: &Stages) -> Result<Verified, Error> {
    let validation = &s.p.data.validation;
    let orders = s.p.source.proxy_orders(&s.p.job.config);
    let ran = run_in_file_order(&s.files.proxy.program, orders, &validation.rows(), validation.samples)
        .map_err(|e| Error::Verification(e.to_string()))?;
    Ok(Verified {
        compared: s.files.proxy.verification.clone(),
        saturations: ran.saturations.iter().map(|s| s.1).sum(),
        validation_samples: validation.samples,
    })
}

fn data(s: &Stages) -> DataUsed {
    let data = &s.p.data;
    DataUsed {
        calibration_samples: data.calibration.samples,
        train_samples: data.train.samples,
        validation_samples: data.validation.samples,
        validation: data.validation_origin.into(),
        one_answer: s.p.judged.majority.map(|m| OneAnswer { accuracy: m.share, class: m.class }),
    }
}

fn hls4ml(s: &Stages) -> Hls4mlCall {
    let (settings, proxy) = (&s.p.job.config.hls4ml, &s.files.proxy.proxy);
    Hls4mlCall {
        config: format!(
            "hls4ml.utils.config_from_onnx_model(model, granularity='name', backend='{}', default_precision='{}')",
            settings.backend,
            port::spelled(port::DEFAULT_PORT)
        ),
        io_type: settings.io_type.clone(),
        strategy: settings.strategy.name().into(),
        reuse_factor: settings.reuse_factor,
        latency_layers: latency_layers(&proxy.model, settings.target()),
        input_port: port::spelled(proxy.input_port),
    }
}

/// Source and proxy on the validation samples alone, where models were judged on others as well.
fn validation_alone(s: &Stages) -> Result<Alone, Error> {
    let (p, validation) = (s.p, &s.p.data.validation);
    let alone = p.judged.kind_of(validation);
    let proxy = s.judge.on(&s.files.in_domain.pruned, alone, &p.domain.validation, &p.answers().validation)?;
    let shown = |m: Measured| m.figures(s.judge.kind);
    Ok(Alone { samples: validation.samples, source: shown(p.source_on_validation()), proxy: shown(proxy) })
}

/// Metrics of single outputs, of a model with several.
fn outputs(s: &Stages, exact: &Exact) -> Vec<OutputMetric> {
    let (source, validation) = (&s.p.source, &s.p.data.validation);
    let (Some(targets), true) = (&validation.targets, source.widths.len() > 1) else { return Vec::new() };
    let found = exact.run(&validation.rows(), validation.samples, &s.files.exactly.pruned.outputs);
    let mut found = join(&found, &source.widths, validation.samples);
    s.judge.logits.turn(&mut found);
    per_output(s.judge.kind, source, targets, &found, &s.p.answers().validation)
}
