//! Everything before the first step of training: job and data checked, model imported and executed, quantizers placed.

use super::config::{FormName, JobConfig, Mode, RoundingName};
use super::judged::{Judged, Measured};
use super::layers;
use super::metric::{MetricKind, temperature};
use super::objective::Objective;
use super::prepare::{self, Data, OnData, Source};
use super::report::Warning;
use super::score::Judge;
use super::seen;
use super::source_check::{self, ImportCheck};
use super::{Error, Job, NodeFault};
use crate::proxy::uniform;
use crate::quant::build::{BuildOptions, Built, build};
use crate::quant::exact::MinMax;
use crate::quant::{FixedModel, Model, QOp, Rounding};
use crate::trace::FormatOptions;

/// A job that can run.
pub struct Begun {
    pub source: Source,
    pub data: Data,
    pub on: OnData,
    pub import: ImportCheck,
    pub built: Built,
    pub warnings: Vec<Warning>,
    /// What candidates are judged on and by.
    pub judged: Judged,
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
    let data = prepare::data(&source, job)?;
    let kind = MetricKind::choose(config.metric, data.validation.targets.as_ref(), &source.widths);
    let objective = Objective::new(config, &source.output_shapes(), data.train.targets.as_ref());
    let kind = match (kind, objective) {
        (Ok(kind), Ok(_)) => kind,
        (kind, objective) => {
            let faults = [kind.err(), objective.err()].into_iter().flatten().flatten().collect();
            return Err(Error::Config(faults));
        }
    };
    let on = prepare::evaluate_all(&source, &data)?;
    let import = source_check::check(&job.model, &source, &data.calibration);
    let mut warnings = import_warnings(&source, &import);

    enter("quantize");
    let mut built = quantizers(&source, config, &on.ranges)?;
    warnings.extend(built.notes.iter().map(|n| Warning {
        code: n.code.into(),
        message: n.message.clone(),
        node: Some(n.node.clone()),
    }));
    warnings.extend(settle_input_rounding(&mut built.model, &data));
    warnings.extend(layers::unmatched(config, &source.graph, &built.model));
    let temperature = temperature(&on.train, source.width);
    let judged = Judged::new(config, &source, &data, &on, temperature, kind);
    warnings.extend(judged.warnings.iter().cloned());
    warnings.extend(seen::before(job, &source, &data, &on, &judged, temperature));
    Ok(Begun { source, data, on, import, built, warnings, judged, temperature })
}

impl Begun {
    /// What is minimised.
    ///
    /// # Errors
    /// None that [`begin`] has not had.
    pub fn objective<'a>(&'a self, config: &JobConfig) -> Result<Objective<'a>, Error> {
        Objective::new(config, &self.source.output_shapes(), self.data.train.targets.as_ref()).map_err(Error::Config)
    }

    /// What candidates are scored by.
    pub fn judge(&self, config: &JobConfig) -> Judge<'_> {
        let (validation, source_logits) = self.judged.rows(&self.data, &self.on);
        Judge {
            training: &self.judged.training,
            trace_samples: self.data.trace_samples,
            trace_inputs: &self.data.trace,
            validation,
            source_logits,
            widths: &self.source.widths,
            kind: self.judged.kind,
            temperature: self.temperature,
            formats: FormatOptions { cover_factor: config.cover_factor, lower_annotated: config.epochs > 0 },
            finish: if config.proxy.form == FormName::Uniform { uniform::envelope } else { FixedModel::clone },
        }
    }

    /// The source on the rows that candidates are judged on.
    pub fn source_score(&self) -> Measured {
        self.judged.source(&self.source, &self.data, &self.on, self.temperature)
    }

    /// The source on the validation rows alone.
    pub fn source_on_validation(&self) -> Measured {
        self.judged.on_validation(&self.source, &self.data, &self.on, self.temperature)
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

pub(super) fn quantizers(source: &Source, config: &JobConfig, ranges: &[MinMax]) -> Result<Built, Error> {
    let options = BuildOptions {
        training: config.epochs > 0,
        rounding: match config.rounding {
            RoundingName::HalfUp => Rounding::HalfUp,
            RoundingName::Floor => Rounding::Floor,
        },
        parallel_factor: config.parallel_factor,
        rules: layers::rules(config),
        hgq2: config.hgq2(),
    };
    build(&source.graph, ranges, &options).map_err(|faults| {
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
