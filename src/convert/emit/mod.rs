//! The chosen model and those of the front as files, each verified before it leaves.

mod elementwise;
pub mod figures;
mod hls4ml;
pub mod interface;
pub mod verified;

use super::config::proxy::FormName;
use super::documents::ElementwiseFile;
use super::error::Error;
use super::evaluation::difference::relative_error;
use super::evaluation::score::{ExactCandidate, Judge};
use super::evaluation::seen::ByHeart;
use super::job::ParetoProxy;
use super::prepared::PreparedJob;
use super::progress::Reporter;
use super::search::{Chosen, Found};
use crate::diagnostic::Diagnostic;
use crate::proxy::form::Form;
use crate::quant::Model;
use elementwise::elementwise;
use interface::Interface;
use std::sync::atomic::{AtomicBool, Ordering};
use verified::{Emitted, emit_verified};

/// Points of the front whose proxies are written along with the chosen one.
const MAX_PARETO_PROXIES: usize = 64;

/// What was written.
pub struct Files {
    pub proxy: Emitted,
    /// The chosen model, in the domain of training and in the user's units.
    pub in_domain: ExactCandidate,
    pub exactly: ExactCandidate,
    /// See [`relative_error`].
    pub relative_error: f64,
    pub pareto: Vec<ParetoProxy>,
    /// Further files by name.
    pub extra_files: Vec<(&'static str, Vec<u8>)>,
    /// What the report says about `proxy_elementwise.onnx`.
    pub elementwise: Option<ElementwiseFile>,
    pub warnings: Vec<Diagnostic>,
    /// That the source has seen the validation rows, where a model of the front shows it.
    pub seen: Option<Diagnostic>,
}

/// Writes the chosen model and the front.
///
/// # Errors
/// [`Error::Verification`] for any element that differs, [`Error::Canceled`], those of exact
/// evaluation.
pub fn emit(
    p: &PreparedJob,
    judge: &Judge,
    found: &Found,
    chosen: &Chosen,
    reporter: &mut Reporter,
    cancel: &AtomicBool,
) -> Result<Files, Error> {
    reporter.enter("proxy");
    let config = &p.job.config;
    let interface = Interface::new(&p.source, config);
    let (calibration, samples) = (p.data.calibration.rows(), p.data.calibration.samples);
    let teacher = &p.on.calibration.logits;
    let point = &found.front.points()[chosen.choice.point];
    // epoch 0 is the start, made exact already
    let is_start = point.epoch == 0 && point.score == found.start.score;
    let in_domain = if is_start { found.start.clone() } else { judge.judge(&point.payload)? };
    let relative_error = match is_start {
        true => found.start_error,
        false => relative_error(&in_domain, &p.scales, &p.source, &p.domain, teacher)?,
    };
    let exactly = in_domain.restored(&p.scales)?;
    let proxy = emit_verified(&exactly.pruned, form(config.proxy.form), &interface, &calibration, samples, true)?;
    let mut warnings = proxy.warnings.clone();
    let mut extra_files = vec![("hls4ml_config.json", hls4ml::settings(config, &proxy.proxy)?)];
    let mut entry = None;
    if let Some(overflow) = config.proxy.elementwise
        && let Some(made) = elementwise(&exactly.pruned, overflow, &interface, &calibration, samples, &mut warnings)?
    {
        extra_files.push(("proxy_elementwise.onnx", made.bytes));
        entry = Some(made.entry);
    }
    let mut files = Files {
        proxy,
        in_domain,
        exactly,
        relative_error,
        pareto: Vec::new(),
        extra_files,
        elementwise: entry,
        warnings,
        seen: None,
    };
    pareto(&mut files, p, judge, (found, chosen), &interface, cancel)?;
    Ok(files)
}

/// The proxies of the front; on the way its models show whether the source has seen the validation
/// rows.
fn pareto(
    files: &mut Files,
    p: &PreparedJob,
    judge: &Judge,
    (found, chosen): (&Found, &Chosen),
    interface: &Interface,
    cancel: &AtomicBool,
) -> Result<(), Error> {
    let (calibration, samples) = (p.data.calibration.rows(), p.data.calibration.samples);
    let form = form(p.job.config.proxy.form);
    let exact = |m: &Model| judge.judge(m).map_err(Error::from);
    let by_heart = ByHeart::new(&p.job.config, judge, &p.judged, (&p.source, p.source_score), &p.domain);
    for (number, &n) in chosen.shown.iter().enumerate().take(MAX_PARETO_PROXIES) {
        if cancel.load(Ordering::Relaxed) {
            return Err(Error::Canceled);
        }
        let point = &found.front.points()[n];
        let other = if n == chosen.choice.point { None } else { Some(exact(&point.payload)?) };
        let model = other.as_ref().map_or(&files.in_domain.pruned, |e| &e.pruned);
        if let (Some(by_heart), None) = (&by_heart, &files.seen) {
            files.seen = by_heart.shown_by(model, &point.score);
        }
        let proxy = match &other {
            None => files.proxy.proxy.bytes.clone(),
            Some(other) => {
                let model = &p.scales.restore(&other.pruned)?;
                emit_verified(model, form, interface, &calibration, samples, false)?.proxy.bytes
            }
        };
        files.pareto.push(ParetoProxy { number, proxy });
    }
    Ok(())
}

fn form(name: FormName) -> Form {
    match name {
        FormName::Sums => Form::Sums,
        FormName::Concat => Form::Concat,
        FormName::Uniform => Form::Uniform,
    }
}
