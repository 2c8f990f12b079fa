//! Everything before the first step of training: job and data checked, model imported and executed,
//! quantizers placed.

use super::config::proxy::FormName;
use super::config::{JobConfig, Mode};
use super::documents::{ImportCheck, Purpose};
use super::engine;
use super::error::Error;
use super::evaluation::judged::Judged;
use super::evaluation::measured::Measured;
use super::evaluation::score::Judge;
use super::evaluation::seen;
use super::job::Job;
use super::quantizers::{force_half_up_off_grid_inputs, quantizers, unmatched};
use super::source::check::{check, import_warnings};
use super::source::data::{self, Data};
use super::source::declare::declare;
use super::source::domain::{sharing, spreads, to_domain};
use super::source::show_declared::show_declared;
use super::source::thin::thin;
use super::source::unread::unread;
use super::source::values::{OnData, evaluate_all};
use super::source::{self, Source};
use super::start::Start;
use super::task::ends::follows_classes;
use super::task::logits::Logits;
use super::task::metric::{MetricKind, temperature};
use super::task::objective::Objective;
use crate::data::OutputShape;
use crate::diagnostic::{Code, Diagnostic};
use crate::proxy::analysis::uniform;
use crate::quant::FixedModel;
use crate::quant::insert::{self, Built};
use crate::quant::scale::Scales;
use crate::trace::FormatOptions;

/// A job that can run.
pub struct PreparedJob<'a> {
    pub job: &'a Job,
    pub source: Source,
    pub data: Data,
    /// The data as training sees them.
    pub domain: Data,
    pub on: OnData,
    pub import: ImportCheck,
    pub scales: Scales,
    pub built: Built,
    pub warnings: Vec<Diagnostic>,
    pub purpose: Purpose,
    /// What candidates are judged on and by.
    pub judged: Judged,
    /// The source on the rows that candidates are judged on.
    pub source_score: Measured,
    /// The source's outputs as they are judged where they are others, see [`Judge::logits`].
    answers: Option<OnData>,
    logits: Logits,
    temperature: f64,
}

/// Prepares a job; `enter` is told each stage.
///
/// # Errors
/// Every fault of configuration, model and data: see [`Error`].
pub fn prepare<'a>(job: &'a Job, enter: &mut dyn FnMut(&'static str)) -> Result<PreparedJob<'a>, Error> {
    let config = &job.config;
    check_options(job)?;
    enter("import");
    let source = source::load(&job.model)?;
    let mut data = data::load(&source, job)?;
    let shapes = source.output_shapes();
    let Task { kind, through, purpose } = Task::of(config, &source, &data, &shapes)?;
    let mut on = evaluate_all(&source, &data)?;
    let seen = data.trace_samples;
    show_declared(config, &source, &mut data, &mut on.ranges)?;
    let import = check(&job.model, &source, &data.calibration);
    let mut warnings = import_warnings(&source, &import);
    warnings.extend(config.deprecated.iter().map(|text| Diagnostic::new(Code::DeprecatedField, text)));
    warnings.extend(unread(job, &data));

    enter("quantize");
    let (mut built, scales, domain) = quantize(config, &source, &data, &on, &mut warnings)?;
    if config.trains() && config.epochs > 0 {
        through.widen(&mut built.model);
    }
    warnings.extend(force_half_up_off_grid_inputs(&mut built.model, &data));
    warnings.extend(unmatched(config, &source.graph, &built.model));
    if config.trains() && config.epochs > 0 {
        engine::check(config, &built)?;
    }
    warnings.extend(thin(job, &source, &data, &on, &built.model, seen));
    let temperature = temperature(&on.train, source.width);
    let by_class = matches!(kind, MetricKind::Accuracy | MetricKind::BalancedAccuracy { .. } | MetricKind::Auc { .. });
    let logits = Logits::of_targets(&shapes, data.validation.targets.as_ref().filter(|_| by_class));
    let answers = (!logits.is_empty()).then(|| on.turned(&logits));
    let told = answers.as_ref().unwrap_or(&on);
    let judged = Judged::new(config, &source, &domain, told, temperature, kind);
    warnings.extend(judged.warnings.iter().cloned());
    warnings.extend(seen::before(job, &source, &data, told, &judged, temperature));
    let source_score = judged.source(&source, &domain, told, temperature);
    Ok(PreparedJob {
        job,
        source,
        data,
        domain,
        on,
        import,
        scales,
        built,
        warnings,
        purpose,
        judged,
        source_score,
        answers,
        logits,
        temperature,
    })
}

/// The fields of the configuration, and the data that go with its mode.
fn check_options(job: &Job) -> Result<(), Error> {
    let config = &job.config;
    let mut faults = config.check().err().unwrap_or_default();
    if config.mode == Mode::Calibrate && job.train.is_some() {
        faults.push("options: mode calibrate takes no training data: leave them out, or use mode fine_tune".into());
    }
    if !faults.is_empty() {
        return Err(Error::Config(faults));
    }
    Ok(())
}

/// What a job is judged by and what it is for.
struct Task {
    kind: MetricKind,
    /// Outputs that are trained on what is in front of their Sigmoid.
    through: Logits,
    purpose: Purpose,
}

impl Task {
    /// # Errors
    /// [`Error::Config`] with what fits neither model nor targets.
    fn of(config: &JobConfig, source: &Source, data: &Data, shapes: &[OutputShape]) -> Result<Task, Error> {
        let (classes, _) = follows_classes(config, shapes);
        let kind = MetricKind::choose(config.metric, data.validation.targets.as_ref(), &source.widths, classes);
        let objective = Objective::new(config, shapes, data.train.targets.as_ref());
        match (kind, objective) {
            (Ok(kind), Ok(objective)) => {
                let through = objective.logits.clone();
                Ok(Task { kind, through, purpose: Purpose::new(config, data, shapes, &objective, kind) })
            }
            (kind, objective) => {
                let faults = [kind.err(), objective.err()].into_iter().flatten().flatten().collect();
                Err(Error::Config(faults))
            }
        }
    }
}

/// The source with its quantizers at their starting widths, its scales, and the data as training
/// sees them.
fn quantize(
    config: &JobConfig,
    source: &Source,
    data: &Data,
    on: &OnData,
    warnings: &mut Vec<Diagnostic>,
) -> Result<(Built, Scales, Data), Error> {
    let spreads = spreads(source, &data.trace.iter().map(|x| x.as_slice()).collect::<Vec<_>>(), data.trace_samples)?;
    let sharing = sharing(source, config, data.train.targets.as_ref());
    let (mut built, scales) = quantizers(source, config, &on.ranges, &spreads, &sharing)?;
    warnings.extend(declare(&mut built, config, source, &on.ranges, &scales)?);
    let domain = to_domain(source, data, &scales);
    let teacher = &on.calibration.logits;
    Start { config, source, domain: &domain, teacher, scales: &scales }.find(&mut built)?;
    if let Some(how) = config.hgq2() {
        insert::with_hgq2(&mut built, how);
    }
    warnings.extend(built.notes.iter().cloned());
    Ok((built, scales, domain))
}

impl PreparedJob<'_> {
    /// What is minimised.
    ///
    /// # Errors
    /// None that [`prepare`] has not had.
    pub fn objective<'a>(&'a self, config: &JobConfig) -> Result<Objective<'a>, Error> {
        Objective::new(config, &self.source.output_shapes(), self.data.train.targets.as_ref()).map_err(Error::Config)
    }

    /// The source's outputs as they are judged.
    pub fn answers(&self) -> &OnData {
        self.answers.as_ref().unwrap_or(&self.on)
    }

    /// What candidates are scored by.
    pub fn judge(&self, config: &JobConfig) -> Judge<'_> {
        let (validation, source_logits) = self.judged.rows(&self.domain, self.answers());
        Judge {
            scales: &self.scales,
            training: &self.judged.training,
            trace_samples: self.data.trace_samples,
            trace_inputs: &self.domain.trace,
            validation,
            source_outputs: &self.on.validation,
            source_logits,
            logits: &self.logits,
            outputs: &self.built.model.outputs,
            classes: self.purpose.classes,
            widths: &self.source.widths,
            kind: self.judged.kind,
            temperature: self.temperature,
            formats: FormatOptions { cover_factor: config.cover_factor, lower_annotated: config.epochs > 0 },
            finish: if config.proxy.form == FormName::Uniform { uniform::envelope } else { FixedModel::clone },
        }
    }

    /// The source on the validation rows alone.
    pub fn source_on_validation(&self) -> Measured {
        self.judged.on_validation(&self.source, &self.domain, self.answers(), self.temperature)
    }
}
