//! Everything before the first step of training: job and data checked, model imported and executed, quantizers placed.

use super::config::{FormName, JobConfig, Mode, RoundingName};
use super::declare::declare;
use super::domain::{sharing, spreads, to_domain};
use super::ends::follows_classes;
use super::judged::{Judged, Measured};
use super::layers;
use super::logits::Logits;
use super::metric::{MetricKind, temperature};
use super::objective::Objective;
use super::prepare::{self, Data, OnData, Source};
use super::purpose::Purpose;
use super::report::Warning;
use super::score::Judge;
use super::seen;
use super::show_declared::show_declared;
use super::source_check::{self, ImportCheck};
use super::start::Start;
use super::thin::thin;
use super::training;
use super::unread::unread;
use super::{Error, Job, NodeFault};
use crate::graph::Graph;
use crate::proxy::uniform;
use crate::quant::build::{self, BuildOptions, Built, build};
use crate::quant::exact::MinMax;
use crate::quant::scale::{Scaled, Scales, Sharing, Spread, scale};
use crate::quant::{FixedModel, Model, QOp, Rounding};
use crate::trace::FormatOptions;

/// A job that can run.
pub struct Begun {
    pub source: Source,
    pub data: Data,
    /// The data as training sees them.
    pub domain: Data,
    pub on: OnData,
    pub import: ImportCheck,
    pub scales: Scales,
    pub built: Built,
    pub warnings: Vec<Warning>,
    pub purpose: Purpose,
    /// What candidates are judged on and by.
    pub judged: Judged,
    /// The source's outputs as they are judged where they are others, see [`Judge::logits`].
    answers: Option<OnData>,
    logits: Logits,
    temperature: f64,
}

/// Begins a job; `enter` is told each stage.
///
/// # Errors
/// Every fault of configuration, model and data: see [`Error`].
pub fn begin(job: &Job, enter: &mut dyn FnMut(&'static str)) -> Result<Begun, Error> {
    let config = &job.config;
    let mut faults = config.check().err().unwrap_or_default();
    if config.mode == Mode::Calibrate && job.train.is_some() {
        faults.push("options: mode calibrate takes no training data: leave them out, or use mode fine_tune".into());
    }
    if !faults.is_empty() {
        return Err(Error::Config(faults));
    }
    enter("import");
    let source = prepare::source(&job.model)?;
    let mut data = prepare::data(&source, job)?;
    let shapes = source.output_shapes();
    let (classes, _) = follows_classes(config, &shapes);
    let kind = MetricKind::choose(config.metric, data.validation.targets.as_ref(), &source.widths, classes);
    let objective = Objective::new(config, &shapes, data.train.targets.as_ref());
    let (kind, through, purpose) = match (kind, objective) {
        (Ok(kind), Ok(objective)) => (kind, objective.logits.clone(), Purpose::new(config, &data, &shapes, &objective, kind)),
        (kind, objective) => {
            let faults = [kind.err(), objective.err()].into_iter().flatten().flatten().collect();
            return Err(Error::Config(faults));
        }
    };
    let mut on = prepare::evaluate_all(&source, &data)?;
    let seen = data.trace_samples;
    show_declared(config, &source, &mut data, &mut on.ranges)?;
    let import = source_check::check(&job.model, &source, &data.calibration);
    let mut warnings = import_warnings(&source, &import);
    warnings.extend(unread(job, &data));

    enter("quantize");
    let spreads = spreads(&source, &data.trace.iter().map(|x| x.as_slice()).collect::<Vec<_>>(), data.trace_samples)?;
    let sharing = sharing(&source, config, data.train.targets.as_ref());
    let (mut built, scales) = quantizers(&source, config, &on.ranges, &spreads, &sharing)?;
    warnings.extend(declare(&mut built, config, &source, &on.ranges, &scales)?);
    let domain = to_domain(&source, &data, &scales);
    let teacher = &on.calibration.logits;
    Start { config, source: &source, domain: &domain, teacher, scales: &scales }.find(&mut built)?;
    if let Some(how) = config.hgq2() {
        build::with_hgq2(&mut built, how);
    }
    warnings.extend(built.notes.iter().map(|n| Warning {
        code: n.code.into(),
        message: n.message.clone(),
        node: Some(n.node.clone()),
    }));
    if config.trains() && config.epochs > 0 {
        through.widen(&mut built.model);
    }
    warnings.extend(settle_input_rounding(&mut built.model, &data));
    warnings.extend(layers::unmatched(config, &source.graph, &built.model));
    if config.trains() && config.epochs > 0 {
        training::check(config, &built)?;
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
    Ok(Begun { source, data, domain, on, import, scales, built, warnings, purpose, judged, answers, logits, temperature })
}

impl Begun {
    /// What is minimised.
    ///
    /// # Errors
    /// None that [`begin`] has not had.
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

    /// The source on the rows that candidates are judged on.
    pub fn source_score(&self) -> Measured {
        self.judged.source(&self.source, &self.domain, self.answers(), self.temperature)
    }

    /// The source on the validation rows alone.
    pub fn source_on_validation(&self) -> Measured {
        self.judged.on_validation(&self.source, &self.domain, self.answers(), self.temperature)
    }
}

fn import_warnings(source: &Source, import: &ImportCheck) -> Vec<Warning> {
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
    warnings
}

/// The model in the domain of training, and the way back.
pub(super) fn quantizers(
    source: &Source,
    config: &JobConfig,
    ranges: &[MinMax],
    spreads: &[Spread],
    sharing: &Sharing,
) -> Result<(Built, Scales), Error> {
    // annotations that are taken over exactly stay where they are
    if config.epochs == 0 && build::has_activations(&source.graph) {
        return Ok((quantized(&source.graph, config, ranges)?, Scales::default()));
    }
    let Scaled { graph, ranges, scales } = scale(&source.graph, &source.logits, spreads, ranges, sharing);
    Ok((quantized(&graph, config, &ranges)?, scales))
}

pub(super) fn quantized(graph: &Graph, config: &JobConfig, ranges: &[MinMax]) -> Result<Built, Error> {
    let options = BuildOptions {
        training: config.epochs > 0,
        rounding: match config.rounding {
            RoundingName::HalfUp => Rounding::HalfUp,
            RoundingName::Floor => Rounding::Floor,
        },
        parallel_factor: config.parallel_factor,
        rules: layers::rules(config),
    };
    build(graph, ranges, &options).map_err(|faults| {
        let fault = |f: crate::quant::build::BuildFault| NodeFault { name: f.node, op: f.op.into(), reason: f.reason };
        Error::Unsupported(faults.into_iter().map(fault).collect())
    })
}

/// hls4ml truncates inputs to `2^-16` before the first quantizer. Half-even rounding sees the truncated value, so for data off
/// that grid it would round values just above a tie down; half up is exact for them and differs on exact ties only.
fn settle_input_rounding(model: &mut Model, data: &Data) -> Vec<Warning> {
    let off_grid = data.calibration.inputs.iter().flat_map(|x| x.iter()).any(|&v| (v as f64 * 65536.0).fract() != 0.0);
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
