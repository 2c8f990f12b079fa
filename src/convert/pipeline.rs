//! The stages of a conversion in order: import → data → quantizers → training → choice → proxy → verification → report.

use super::begin::{Begun, begin};
use super::calibrate::{Calibrated, Calibration, calibrate};
use super::choice::{Choice, Chooser};
use super::compose::{Composition, compose};
use super::config::{FormName, Mode};
use super::curve::{Curve, CurvePoint};
use super::difference::{relative_error, start_differs};
use super::elementwise::elementwise;
use super::emit::emit_verified;
use super::hls4ml;
use super::interface::Interface;
use super::memory::Peak;
use super::report::Warning;
use super::score::Exactly;
use super::seen::ByHeart;
use super::settings;
use super::training::{Training, train};
use super::{Artifacts, Error, Event, Job, Keeper, ParetoProxy, Step, html};
use crate::proxy::Form;
use crate::quant::Model;
use crate::train::fit::Fitted;
use crate::train::pareto::{Front, Point};
use serde_json::{Value, json};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// Points of the front whose proxies are written along with the chosen one.
const MAX_PARETO_PROXIES: usize = 64;
/// Announces stages and epochs, and collects seconds per stage and the course of the training.
pub struct Clock<'a> {
    pub progress: &'a mut (dyn FnMut(Event) + Send),
    pub curve: Curve,
    stage: &'static str,
    since: Instant,
    seconds: serde_json::Map<String, Value>,
}

impl Clock<'_> {
    pub fn enter(&mut self, stage: &'static str) {
        self.leave();
        self.stage = stage;
        (self.progress)(Event::Stage { stage: stage.into(), step: None });
    }

    /// A step of the stage begins.
    pub fn step(&mut self, step: Step) {
        (self.progress)(Event::Stage { stage: self.stage.into(), step: Some(step) });
    }

    /// An epoch of `epochs`, or a candidate.
    pub fn epoch(&mut self, point: CurvePoint, epochs: usize) {
        self.curve.push(point);
        let CurvePoint { epoch, loss, metric, ebops, beta } = point;
        (self.progress)(Event::Epoch { epoch: epoch as usize, epochs, loss, metric, ebops, beta });
    }

    /// Tells the warnings known so far: a user can stop a run that starts from a misunderstanding.
    fn tell(&mut self, warnings: &[Warning]) {
        for w in warnings {
            let message = w.node.as_ref().map_or_else(|| w.message.clone(), |node| format!("{node}: {}", w.message));
            (self.progress)(Event::Note { code: w.code.clone(), message });
        }
    }

    fn leave(&mut self) {
        let elapsed = self.since.elapsed().as_secs_f64();
        if !self.stage.is_empty() {
            self.seconds.insert(self.stage.into(), json!((elapsed * 1e4).round() / 1e4));
        }
        self.since = Instant::now();
    }
}

/// Runs all stages.
///
/// # Errors
/// See [`Error`].
pub fn run(
    job: &Job,
    progress: &mut (dyn FnMut(Event) + Send),
    keeper: &mut dyn Keeper,
    cancel: &AtomicBool,
) -> Result<Artifacts, Error> {
    let memory = Peak::start();
    let config = &job.config;
    let mut clock =
        Clock { progress, curve: Curve::default(), stage: "", since: Instant::now(), seconds: serde_json::Map::new() };
    let begun = begin(job, &mut |stage| clock.enter(stage))?;
    let mut warnings = begun.warnings.clone();
    clock.tell(&warnings);
    let told = warnings.len();
    let judge = begun.judge(config);
    let kind = judge.kind;
    let Begun { source, data, domain, on, import, scales, built, judged, .. } = &begun;
    let source_score = begun.source_score();
    let source_metric = source_score.metric;
    let uniform = config.proxy.form == FormName::Uniform;

    clock.enter("train");
    let start = judge.judge(&built.model)?;
    settings::check(&start.restored(scales)?.pruned, config)?;
    let start_ebops = start.score.ebops;
    let start_error = relative_error(&start, scales, source, domain, &on.calibration.logits)?;
    if config.epochs == 0 && config.mode == Mode::FineTune {
        warnings.extend(start_differs(start_error));
    }
    let mut front = Front::default();
    let mut out_of_reach = None;
    if config.mode == Mode::Calibrate {
        let calibration = Calibration {
            config,
            source,
            domain,
            teacher: &on.calibration.logits,
            model: &built.model,
            judge: &judge,
            start: &start,
            source_metric,
        };
        Calibrated { front, unmet: out_of_reach } = calibrate(&calibration, &mut clock, cancel)?;
    } else if config.epochs > 0 {
        let training = Training {
            job,
            source,
            domain,
            teacher: &on.train,
            objective: begun.objective(config)?,
            built,
            judge: &judge,
            start: &start,
            source_metric,
        };
        let fitted = train(training, &mut clock, keeper, cancel)?;
        warnings.extend(troubles(&fitted));
        front = fitted.front;
    } else {
        front.insert(Point { epoch: 0, score: start.score, payload: built.model.clone() });
    }
    let samples = judge.validation.samples;
    let chooser = Chooser { config, front: &front, kind, samples, source: source_metric };
    let Choice { point: chosen, why, unmet } = match out_of_reach {
        None => chooser.choose(&mut warnings)?,
        Some(unmet) => Choice { point: 0, why: "the smallest output error found".into(), unmet: Some(unmet) },
    };
    let point = &front.points()[chosen];

    clock.enter("proxy");
    let form = match config.proxy.form {
        FormName::Sums => Form::Sums,
        FormName::Concat => Form::Concat,
        FormName::Uniform => Form::Uniform,
    };
    let calibration: Vec<&[f32]> = data.calibration.rows();
    let interface = Interface::new(source, config);
    let exact = |m: &Model| judge.judge(m).map_err(Error::from);
    // epoch 0 is the start, made exact already
    let is_start = point.epoch == 0 && point.score == start.score;
    let in_domain = if is_start { start.clone() } else { exact(&point.payload)? };
    let differs =
        if is_start { start_error } else { relative_error(&in_domain, scales, source, domain, &on.calibration.logits)? };
    let exactly = in_domain.restored(scales)?;
    let emitted = emit_verified(&exactly.pruned, form, &interface, &calibration, data.calibration.samples, true)?;
    warnings.extend(emitted.warnings.iter().map(|(code, message)| Warning {
        code: code.clone(),
        message: message.clone(),
        node: None,
    }));
    let mut beside = vec![("hls4ml_config.json", hls4ml::settings(config, &emitted.proxy)?)];
    let mut elementwise_entry = None;
    if let Some(overflow) = config.proxy.elementwise {
        let samples = data.calibration.samples;
        let made = elementwise(&exactly.pruned, overflow, &interface, &calibration, samples, &mut warnings)?;
        if let Some(made) = made {
            beside.push(("proxy_elementwise.onnx", made.bytes));
            elementwise_entry = Some(made.entry);
        }
    }
    // the front as users read it, EBOPs against metric, the choice within each budget, and the chosen point
    let error = |metric: f64| kind.standard_error(metric, samples);
    let within: Vec<(f64, Option<usize>)> = config.budgets.iter().flatten().map(|&b| (b, front.best_within(b, error))).collect();
    let mut shown = front.steps();
    shown.extend(within.iter().filter_map(|w| w.1).chain([chosen]));
    shown.sort_unstable();
    shown.dedup();
    let by_heart = ByHeart::new(config, &judge, judged, (source, source_score), domain);
    let (mut pareto, mut seen) = (Vec::new(), None);
    for (number, &n) in shown.iter().enumerate().take(MAX_PARETO_PROXIES) {
        if cancel.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(Error::Canceled);
        }
        let other = if n == chosen { None } else { Some(exact(&front.points()[n].payload)?) };
        let model = other.as_ref().map_or(&in_domain.pruned, |e| &e.pruned);
        if let (Some(by_heart), None) = (&by_heart, &seen) {
            seen = by_heart.shown_by(model, &front.points()[n].score);
        }
        let proxy = if other.is_none() {
            emitted.proxy.bytes.clone()
        } else {
            let model = &scales.restore(model)?;
            emit_verified(model, form, &interface, &calibration, data.calibration.samples, false)?.proxy.bytes
        };
        pareto.push(ParetoProxy { number, proxy });
    }
    if let Some(found) = seen {
        // what looks like a loss is none
        warnings.retain(|w| w.code != "metric_drop");
        warnings.push(found);
    }

    warnings.extend(doubts(&exactly, uniform, built.annotated));
    clock.tell(&warnings[told..]);

    clock.enter("report");
    let mut report = compose(&Composition {
        job,
        source,
        data,
        import,
        judge: &judge,
        judged,
        domain,
        in_domain: &in_domain,
        purpose: &begun.purpose,
        source_score,
        source_alone: begun.source_on_validation(),
        source_values: &on.calibration,
        source_logits: &begun.answers().validation,
        logits: judge.logits,
        exactly: &exactly,
        emitted: &emitted,
        front: &front,
        shown: &shown,
        within: &within,
        chosen,
        why: &why,
        unmet: unmet.as_deref(),
        warnings: &warnings,
    })?;
    clock.leave();
    report["start_ebops"] = json!(start_ebops);
    report["start_error"] = json!(start_error);
    report["proxy"]["relative_error"] = json!(differs);
    report["training"] = json!(clock.curve.points());
    report["timing"] = Value::Object(clock.seconds);
    report["peak_memory_bytes"] = json!(memory.bytes());
    if let Some(entry) = elementwise_entry {
        report["proxy_elementwise"] = entry;
    }
    let page = html::page(&report, &exactly.pruned)?;
    Ok(Artifacts { proxy: emitted.proxy.bytes, report, page, ebops: exactly.score.ebops, pareto, beside, unmet })
}

/// What went wrong in training and was mended.
fn troubles(fitted: &Fitted) -> Vec<Warning> {
    let Fitted { rollbacks, collapses, .. } = fitted;
    let mut warnings = Vec::new();
    let mut warn = |code: &str, message: String| warnings.push(Warning { code: code.into(), message, node: None });
    if *rollbacks > 0 {
        warn("diverged", format!("training diverged {rollbacks} times and went on from the last good state at a lower rate"));
    }
    if *collapses > 0 {
        let message = format!(
            "training came {collapses} times to a model with one answer for everything and went back to the last good state: budgets or beta leave too few bits"
        );
        warn("collapsed", message);
    }
    warnings
}

/// What a user should not find out later: a proxy that ignores its input, formats that are not the file's.
fn doubts(exactly: &Exactly, uniform: bool, annotated: bool) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if exactly.score.collapsed || exactly.score.ebops == 0 {
        let message = match (exactly.score.collapsed, exactly.score.ebops) {
            (true, 0) => "every output is constant, and no model found has more than one answer",
            (true, _) => "the proxy gives one answer for everything, and no model found has more than one",
            (false, _) => "the proxy multiplies nothing: its layers have no live connection left",
        };
        warnings.push(Warning { code: "dead_model".into(), message: message.into(), node: None });
    }
    if uniform && annotated {
        let message = "form uniform gives every layer the envelope of its formats: where the file's differ within a layer, the numbers are not the file's".into();
        warnings.push(Warning { code: "uniform_formats".into(), message, node: None });
    }
    warnings
}
