//! The stages of a conversion in order: import → data → quantizers → training → choice → proxy → verification → report.

use super::config::{FormName, JobConfig, LossName, RoundingName};
use super::emit::{Emitted, emit_verified};
use super::metric::{MetricKind, measure, temperature};
use super::prepare::{self, Data, Source, SourceValues};
use super::report::{self, Warning};
use super::score::{Exactly, Judge};
use super::source_check::{self, ImportCheck};
use super::{Artifacts, Error, Event, Job, NodeFault, ParetoProxy};
use crate::data::Targets;
use crate::proxy::{Form, uniform};
use crate::quant::build::{BuildOptions, Built, build};
use crate::quant::{FixedModel, Model, QOp, Rounding, ebops, interval};
use crate::trace::FormatOptions;
use crate::train::fit::{Epoch, FitError, FitOptions, Goal, Observer, fit};
use crate::train::pareto::{Front, Point, Score};
use crate::train::schedule::Ramp;
use crate::train::{EngineOptions, LossKind, TaskLoss, TrainError, TrainSet};
use serde_json::{Value, json};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// Points of the front whose proxies are written along with the chosen one.
const MAX_PARETO_PROXIES: usize = 64;
/// Budgets below a wanted one, as its multiples: a front around the target.
const TARGET_BUDGETS: [f64; 3] = [1.0, 0.63, 0.4];
/// Optimizer steps below which a job with a target trains for that target alone: widths move about a bit in 100 steps.
const STEPS_FOR_A_FRONT: usize = 2500;
/// Without a target: budgets from this share of the starting EBOPs …
const WIDEST_BUDGET: f64 = 0.4;
/// … down to this one …
const NARROWEST_BUDGET: f64 = 0.02;
/// … in this many steps of equal ratio.
const BUDGETS: usize = 8;
/// Steps per epoch when no batch size is given (training recipe).
const STEPS_PER_EPOCH: usize = 40;
const SMALLEST_BATCH: usize = 16;
const LARGEST_BATCH: usize = 4096;

/// Collects seconds per stage and announces stages.
struct Clock<'a> {
    progress: &'a mut (dyn FnMut(Event) + Send),
    stage: &'static str,
    since: Instant,
    seconds: serde_json::Map<String, Value>,
}

impl Clock<'_> {
    fn enter(&mut self, stage: &'static str) {
        self.leave();
        self.stage = stage;
        (self.progress)(Event::Stage { stage });
    }

    fn leave(&mut self) {
        let elapsed = self.since.elapsed().as_secs_f64();
        if !self.stage.is_empty() {
            self.seconds.insert(self.stage.into(), json!((elapsed * 1e4).round() / 1e4));
        }
        self.since = Instant::now();
    }
}

pub fn run(job: &Job, progress: &mut (dyn FnMut(Event) + Send), cancel: &AtomicBool) -> Result<Artifacts, Error> {
    let config = &job.config;
    config.check().map_err(Error::Config)?;
    let mut clock = Clock { progress, stage: "", since: Instant::now(), seconds: serde_json::Map::new() };
    clock.enter("import");
    let source = prepare::source(&job.model)?;
    let data = prepare::data(
        &source,
        &job.calibration,
        job.train.as_ref(),
        job.validation.as_ref(),
        config.validation_fraction,
        config.seed,
    )?;
    let on_calibration = prepare::evaluate(&source, &data.calibration)?;
    let on_train = prepare::evaluate(&source, &data.train)?;
    let on_validation = prepare::evaluate(&source, &data.validation)?;
    let import = source_check::check(&job.model, &source, &data.calibration);
    let mut warnings = import_warnings(&source, &import)?;

    clock.enter("quantize");
    let mut built = quantizers(&source, config, &on_calibration, Some(&on_train))?;
    warnings.extend(built.notes.iter().map(|n| Warning {
        code: n.code.into(),
        message: n.message.clone(),
        node: Some(n.node.clone()),
    }));
    warnings.extend(settle_input_rounding(&mut built.model, &data));
    let targets = data.validation.targets.as_ref();
    let kind = MetricKind::of(targets, source.width);
    let uniform = config.proxy.form == FormName::Uniform;
    let temperature = temperature(&on_train.logits, source.width);
    let judge = Judge {
        trace_samples: data.trace.len() / source.graph.len_of(source.graph.inputs[0]).max(1),
        trace_inputs: &data.trace,
        validation: &data.validation,
        source_logits: &on_validation.logits,
        width: source.width,
        kind,
        temperature,
        formats: FormatOptions { cover_factor: config.cover_factor, lower_annotated: config.epochs > 0 },
        finish: if uniform { uniform::envelope } else { FixedModel::clone },
    };
    let logits: Vec<f64> = on_validation.logits.iter().map(|&v| v as f64).collect();
    let (source_metric, source_loss) = measure(kind, &logits, source.width, targets, &on_validation.logits, temperature);

    clock.enter("train");
    let start = judge.judge(&built.model).map_err(|e| Error::Internal(e.to_string()))?;
    let mut front = Front::default();
    let mut rollbacks = 0;
    if config.epochs > 0 {
        let fitted = train(job, &source, &data, &on_train.logits, &built, &judge, &start, &mut clock, cancel)?;
        (front, rollbacks) = (fitted.front, fitted.rollbacks);
    } else {
        front.insert(Point { epoch: 0, score: start.score, payload: built.model.clone() });
    }
    if rollbacks > 0 {
        warnings.push(Warning {
            code: "diverged".into(),
            message: format!("training diverged {rollbacks} times and went on from the last good state at a lower rate"),
            node: None,
        });
    }
    let chosen = choose(config, &front, kind, data.validation.samples, source_metric, &mut warnings)?;
    let point = &front.points()[chosen];

    clock.enter("proxy");
    let form = match config.proxy.form {
        FormName::Sums => Form::Sums,
        FormName::Concat => Form::Concat,
        FormName::Uniform => Form::Uniform,
    };
    let calibration: Vec<&[f32]> = data.calibration.inputs.iter().map(|v| v.as_slice()).collect();
    let judged = |m: &Model| judge.judge(m).map_err(|e| Error::Internal(e.to_string()));
    let exactly = judged(&point.payload)?;
    let emitted = emit_verified(&exactly.pruned, form, &calibration, data.calibration.samples, true)?;
    warnings.extend(emitted.warnings.iter().map(|(code, message)| Warning {
        code: code.clone(),
        message: message.clone(),
        node: None,
    }));
    // the front as users read it, EBOPs against metric, and the chosen point
    let mut shown = front.steps();
    if !shown.contains(&chosen) {
        shown.insert(shown.partition_point(|&n| n < chosen), chosen);
    }
    let mut pareto = Vec::new();
    for (number, &n) in shown.iter().enumerate().take(MAX_PARETO_PROXIES) {
        if cancel.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(Error::Canceled);
        }
        let proxy = if n == chosen {
            emitted.proxy.bytes.clone()
        } else {
            emit_verified(&judged(&front.points()[n].payload)?.pruned, form, &calibration, data.calibration.samples, false)?
                .proxy
                .bytes
        };
        pareto.push(ParetoProxy { number, proxy });
    }

    clock.enter("report");
    let report = compose(&Composition {
        job,
        source: &source,
        data: &data,
        import: &import,
        kind,
        source_score: (source_metric, source_loss),
        source_values: &on_calibration,
        exactly: &exactly,
        emitted: &emitted,
        front: &front,
        shown: &shown,
        chosen,
        warnings: &warnings,
    })?;
    clock.leave();
    let mut report = report;
    report["timing"] = Value::Object(clock.seconds);
    Ok(Artifacts { proxy: emitted.proxy.bytes, report, ebops: exactly.score.ebops, pareto })
}

fn import_warnings(source: &Source, import: &ImportCheck) -> Result<Vec<Warning>, Error> {
    let mut warnings: Vec<Warning> = source
        .notes
        .iter()
        .map(|n| Warning { code: n.code.to_string(), message: n.message.clone(), node: n.node.clone() })
        .collect();
    if let Some(why) = &import.refused {
        warnings.push(Warning {
            code: "import_unchecked".into(),
            message: format!("the file was not executed for comparison: {why}"),
            node: None,
        });
    }
    if import.outliers > 0 {
        let message = format!(
            "{} of {} outputs differ from tract's f32 execution of the file by more than rounding of a float graph explains",
            import.outliers, import.elements
        );
        warnings.push(Warning { code: "import_differs".into(), message, node: None });
    }
    Ok(warnings)
}

pub(super) fn quantizers(
    source: &Source,
    config: &JobConfig,
    calibration: &SourceValues,
    train: Option<&SourceValues>,
) -> Result<Built, Error> {
    let mut ranges = calibration.ranges.clone();
    if let Some(train) = train {
        prepare::merge_ranges(&mut ranges, &train.ranges);
    }
    let options = BuildOptions {
        training: config.epochs > 0,
        weights: config.granularity.weights,
        activations: config.granularity.activations,
        init_weight_f: config.init_bits.weights,
        init_activation_f: config.init_bits.activations,
        rounding: match config.rounding {
            RoundingName::HalfUp => Rounding::HalfUp,
            RoundingName::Floor => Rounding::Floor,
        },
        freeze: config.freeze.clone(),
    };
    build(&source.graph, &ranges, &options).map_err(|faults| {
        let fault = |f: crate::quant::build::BuildFault| NodeFault { name: f.node, op: f.op.into(), reason: f.reason };
        Error::Unsupported(faults.into_iter().map(fault).collect())
    })
}

/// hls4ml truncates inputs to `2^-16` before the first quantizer. Half-even rounding sees the truncated value, so for data off
/// that grid it would round values just above a tie down; half up is exact for them and differs on exact ties only.
fn settle_input_rounding(model: &mut Model, data: &Data) -> Vec<Warning> {
    let off_grid = data.calibration.inputs.iter().flatten().any(|&v| (v as f64 * 65536.0).fract() != 0.0);
    let mut warnings = Vec::new();
    if !off_grid {
        return warnings;
    }
    let mut raw = model.inputs.clone();
    for node in &mut model.nodes {
        if !raw.contains(&node.inputs[0]) {
            continue;
        }
        match &mut node.op {
            QOp::Reshape => raw.push(node.output),
            QOp::Quantizer(q) if q.rounding == Rounding::HalfEven => {
                q.rounding = Rounding::HalfUp;
                warnings.push(Warning {
                    code: "input_rounding".into(),
                    message:
                        "the data are finer than hls4ml's input port (2^-16): the input rounds half up, which is exact for them; \
                              ROUND (half even) would not be. Exact ties go up instead of to even"
                            .into(),
                    node: Some(node.name.clone()),
                });
            }
            _ => {}
        }
    }
    warnings
}

struct Watch<'a, 'b, 'c> {
    judge: &'a Judge<'a>,
    clock: &'b mut Clock<'c>,
    kind: MetricKind,
    last_metric: f64,
}

impl Observer for Watch<'_, '_, '_> {
    fn score(&mut self, model: &Model) -> Result<Score, String> {
        self.judge.judge(model).map(|e| e.score).map_err(|e| e.to_string())
    }

    fn epoch(&mut self, e: &Epoch) {
        if let Some(s) = e.score {
            self.last_metric = self.kind.shown(s.metric);
        }
        let ebops = e.score.map_or(e.ebops, |s| s.ebops as f64);
        (self.clock.progress)(Event::Epoch {
            epoch: e.epoch,
            epochs: e.epochs,
            loss: e.loss,
            metric: self.last_metric,
            ebops,
            beta: e.beta,
        });
    }
}

#[allow(clippy::too_many_arguments)]
fn train(
    job: &Job,
    source: &Source,
    data: &Data,
    teacher: &[f32],
    built: &Built,
    judge: &Judge,
    start: &Exactly,
    clock: &mut Clock,
    cancel: &AtomicBool,
) -> Result<crate::train::fit::Fitted, Error> {
    let config = &job.config;
    let (labels, values) = match &data.train.targets {
        Some(Targets::Labels(l)) => (Some(l.as_slice()), None),
        Some(Targets::Values { values, .. }) => (None, Some(values.as_slice())),
        None => (None, None),
    };
    let unlabelled = labels.is_none() && values.is_none();
    let kind = match config.loss {
        Some(LossName::CrossEntropy) => LossKind::CrossEntropy,
        Some(LossName::Mse) => LossKind::Mse,
        Some(LossName::Bce) => LossKind::Bce,
        None if values.is_some() => LossKind::Mse,
        None if source.width > 1 => LossKind::CrossEntropy,
        None if labels.is_some() => LossKind::Bce,
        None => LossKind::Mse,
    };
    let rows = data.train.samples;
    let batch = config.batch_size.unwrap_or((rows / STEPS_PER_EPOCH).clamp(SMALLEST_BATCH, LARGEST_BATCH)).min(rows.max(1));
    let goal = match (config.beta, config.target_ebops) {
        (Some(b), _) => {
            let ramp = match b.schedule {
                super::config::BetaSchedule::Log => Ramp::Log,
                super::config::BetaSchedule::Linear => Ramp::Linear,
                super::config::BetaSchedule::Constant => Ramp::Constant,
            };
            Goal::Ramp { ramp, start: b.start as f64, end: b.end as f64 }
        }
        (None, Some(target)) => {
            // few steps are all needed for the target itself
            let steps = config.epochs * (rows / batch).max(1);
            let budgets = if steps < STEPS_FOR_A_FRONT { &TARGET_BUDGETS[..1] } else { &TARGET_BUDGETS[..] };
            Goal::Budgets(budgets.iter().map(|m| (m * target).max(1.0)).collect())
        }
        (None, None) => {
            let ebops = (start.score.ebops as f64).max(100.0);
            let ratio = (NARROWEST_BUDGET / WIDEST_BUDGET).powf(1.0 / (BUDGETS - 1) as f64);
            Goal::Budgets((0..BUDGETS).map(|n| ebops * WIDEST_BUDGET * ratio.powi(n as i32)).collect())
        }
    };
    let options = FitOptions {
        epochs: config.epochs,
        batch,
        seed: config.seed,
        learning_rate: config.learning_rate.weights as f64,
        learning_rate_bits: config.learning_rate.bits as f64,
        l1: config.gamma,
        loss: TaskLoss {
            kind,
            teacher_weight: if unlabelled { 1.0 } else { config.teacher_weight },
            temperature: judge.temperature as f32,
        },
        goal,
        engine: EngineOptions {
            threads: config.thread_count(),
            group_norm: true,
            isa: None,
            train_weights: config.optimize.weights,
            train_bits: config.optimize.bits,
        },
    };
    let x = data.train.inputs.first().map_or(&[][..], |v| v.as_slice());
    let set = TrainSet::new(source.graph.len_of(source.graph.inputs[0]), source.width, x, labels, values, Some(teacher))
        .map_err(training_error)?;
    let order: Vec<u32> = (0..rows as u32).collect();
    let mut watch = Watch { judge, kind: judge.kind, clock, last_metric: judge.kind.shown(start.score.metric) };
    fit(&built.model, &set, &order, &options, &mut watch, cancel).map_err(|e| match e {
        FitError::Canceled => Error::Canceled,
        FitError::Diverged => Error::Data(vec![e.to_string()]),
        FitError::Train(e) => training_error(e),
        FitError::Score(e) => Error::Internal(e),
    })
}

fn training_error(e: TrainError) -> Error {
    match e {
        TrainError::Data(what) => Error::Data(vec![format!("train: {what}")]),
        TrainError::Option { option, what } => Error::Config(vec![format!("config: {option}: {what}")]),
        other => Error::Internal(other.to_string()),
    }
}

/// The point of the front that the job asked for.
fn choose(
    config: &JobConfig,
    front: &Front<Model>,
    kind: MetricKind,
    samples: usize,
    source: f64,
    warnings: &mut Vec<Warning>,
) -> Result<usize, Error> {
    let error = |metric: f64| kind.standard_error(metric, samples);
    let smallest = || front.points().first().map_or(0, |p| p.score.ebops);
    let most_accurate =
        || front.best_within(f64::INFINITY, error).ok_or_else(|| Error::Internal("no candidate could be scored".into()));
    if config.epochs == 0 {
        return most_accurate();
    }
    if let Some(target) = config.target_ebops {
        let found = front.best_within(target, error);
        let Some(found) = found else {
            let text = format!(
                "target_ebops {target} was not reached: the smallest candidate has {} EBOPs; give more epochs or a larger target",
                smallest()
            );
            return Err(Error::TargetNotMet(text));
        };
        if let Some(drop) = config.max_metric_drop {
            let metric = front.points()[found].score.metric;
            if metric < source - drop {
                let (got, want) = (kind.shown(metric), kind.shown(source - drop));
                return Err(Error::TargetNotMet(format!(
                    "at {target} EBOPs the metric is {got}, not {want} as max_metric_drop asks"
                )));
            }
        }
        return Ok(found);
    }
    let drop = config.max_metric_drop.unwrap_or_else(|| kind.default_drop(source));
    if let Some(found) = front.smallest_reaching(source - drop) {
        return Ok(found);
    }
    let best = most_accurate()?;
    let (got, want) = (kind.shown(front.points()[best].score.metric), kind.shown(source - drop));
    let text = format!("no candidate reaches the metric {want} (source less the allowed drop); the most accurate one has {got}");
    if config.max_metric_drop.is_some() {
        return Err(Error::TargetNotMet(text));
    }
    warnings.push(Warning { code: "metric_drop".into(), message: text, node: None });
    Ok(best)
}

struct Composition<'a> {
    job: &'a Job,
    source: &'a Source,
    data: &'a Data,
    import: &'a ImportCheck,
    kind: MetricKind,
    source_score: (f64, f64),
    source_values: &'a SourceValues,
    exactly: &'a Exactly,
    emitted: &'a Emitted,
    front: &'a Front<Model>,
    /// Points of the front that are reported.
    shown: &'a [usize],
    chosen: usize,
    warnings: &'a [Warning],
}

fn compose(c: &Composition) -> Result<Value, Error> {
    let internal = |e: String| Error::Internal(e);
    let pruned = &c.exactly.pruned;
    let bounds = interval::bounds(pruned).map_err(|e| internal(e.to_string()))?;
    let full_bounds = interval::bounds(&c.exactly.full).map_err(|e| internal(e.to_string()))?;
    let validation: Vec<&[f32]> = c.data.validation.inputs.iter().map(|v| v.as_slice()).collect();
    let ran = c.emitted.program.run(&validation, c.data.validation.samples).map_err(|e| Error::Verification(e.to_string()))?;
    let calibration: Vec<&[f32]> = c.data.calibration.inputs.iter().map(|v| v.as_slice()).collect();
    let exact = crate::quant::exact::Exact::new(pruned).map_err(|e| internal(e.to_string()))?;
    let outputs = exact.run(&calibration, c.data.calibration.samples, &pruned.outputs);
    let outputs = outputs.first().map_or(&[][..], |o| o.as_slice());
    let moved = outputs.iter().zip(&c.source_values.logits).map(|(&a, &b)| (a as f32 - b).abs()).fold(0f32, f32::max);
    let differing = outputs.iter().zip(&c.source_values.logits).filter(|&(&a, &b)| a as f32 != b).count();
    let counts = ebops::layers(pruned, &bounds);
    let config = serde_json::to_value(&c.job.config).map_err(|e| internal(e.to_string()))?;
    let mut verification = serde_json::to_value(&c.emitted.verification).map_err(|e| internal(e.to_string()))?;
    verification["saturations"] = json!(ran.saturations.iter().map(|s| s.1).sum::<u64>());
    verification["saturation_samples"] = json!(c.data.validation.samples);
    let score = |(metric, loss): (f64, f64)| json!({ "metric": c.kind.shown(metric), "loss": loss });
    let pareto: Vec<Value> = c
        .shown
        .iter()
        .enumerate()
        .map(|(number, &n)| {
            let p = &c.front.points()[n];
            let (ebops, metric) = (p.score.ebops, c.kind.shown(p.score.metric));
            json!({ "number": number, "epoch": p.epoch, "ebops": ebops, "metric": metric, "loss": p.score.loss, "chosen": n == c.chosen })
        })
        .collect();
    Ok(json!({
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
            "metric": c.kind.shown(c.exactly.score.metric),
            "loss": c.exactly.score.loss,
            "max_abs_diff_vs_source": moved,
            "elements_differing_from_source": differing,
            "removed": c.emitted.proxy.removed,
        },
        "ebops": c.exactly.score.ebops,
        "ebops_hgq2": ebops::ebops_hgq2(&c.exactly.full, &full_bounds),
        "metric": c.kind,
        "source": score(c.source_score),
        "layers": report::layers(pruned, &bounds, &counts, &c.exactly.ranges),
        "pareto": pareto,
        "verification": verification,
        "import": c.import,
        "data": {
            "calibration_samples": c.data.calibration.samples,
            "train_samples": c.data.train.samples,
            "validation_samples": c.data.validation.samples,
            "validation": c.data.validation_origin,
        },
        "hls4ml": {
            "config": format!("hls4ml.utils.config_from_onnx_model(model, granularity='name', backend='{}', default_precision='fixed<32,16>')", c.job.config.hls4ml.backend),
            "io_type": c.job.config.hls4ml.io_type,
            "input_port": format!("fixed<{},{}>", c.emitted.proxy.input_port.bits(), c.emitted.proxy.input_port.integer + 1),
        },
        "warnings": c.warnings,
    }))
}
