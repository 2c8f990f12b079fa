//! What a job would do: `convert --dry-run`.

use super::config::{JobConfig, Mode};
use super::documents::{
    BetaControl, Plan, PlannedData, PlannedInput, PlannedModel, PlannedOutput, PlannedStart, PlannedTraining, Training, finite,
};
use super::error::Error;
use super::evaluation::difference::{relative_error, start_differs};
use super::evaluation::measured::Measured;
use super::evaluation::score::Judge;
use super::job::Job;
use super::prepared::{PreparedJob, prepare};
use super::purpose::spelled;
use super::search::goal::{batch_size, goal, steps};
use super::source::Source;
use super::source::data::Data;
use super::{memory, settings};
use crate::train::fit::options::Goal;
use crate::train::fit::schedule::Beta;

/// The rule where nothing is asked for.
const DEFAULT: &str = "the smallest one whose metric is within a point (of an error: 5 %), or one standard error if that is more, of the \
                       best one's or of the source's, whichever is worse";

/// See [`super::plan`].
pub fn plan(job: &Job) -> Result<Plan, Error> {
    let config = &job.config;
    let prepared = prepare(job, &mut |_| ())?;
    let judge = prepared.judge(config);
    let exactly = judge.judge(&prepared.built.model)?;
    settings::check(&exactly.restored(&prepared.scales)?.pruned, config)?;
    let start = exactly.score;
    let error = relative_error(&exactly, &prepared.scales, &prepared.source, &prepared.domain, &prepared.on.calibration.logits)?;
    let mut warnings = prepared.warnings.clone();
    warnings.extend(start_differs(error));
    let from = prepared.source_score;
    let source_metric = from.metric;
    let PreparedJob { source, data, judged, .. } = &prepared;
    Ok(Plan {
        schema: "hgq-onnx/plan/1".into(),
        model: planned_model(&prepared),
        data: PlannedData {
            calibration_samples: data.calibration.samples,
            training_samples: data.train.samples,
            validation_samples: data.validation.samples,
            validation: data.validation_origin.into(),
            judged_on: judged.name().into(),
            judged_samples: judge.validation.samples,
            one_answer_accuracy: judged.majority.map(|m| m.share),
        },
        start: PlannedStart {
            ebops: start.ebops,
            hardware: start.hardware.into(),
            figures: Measured::from(&start).figures(judge.kind),
            relative_error: finite(error),
        },
        source: from.figures(judge.kind),
        metric: judge.kind.name().into(),
        metric_because: judged.why.clone(),
        task: prepared.purpose.clone(),
        choice: choice(job),
        training: training(config, &prepared, &judge, config.count().of(&start) as f64, source_metric)?,
        memory_estimate_bytes: memory_estimate(job, source, data),
        threads: config.thread_count(),
        warnings,
        out: None,
        server: None,
    })
}

fn planned_model(prepared: &PreparedJob) -> PlannedModel {
    let PreparedJob { source, built, .. } = prepared;
    PlannedModel {
        annotated: built.annotated,
        multiplying_layers: built.model.nodes.iter().filter(|n| n.op.layer().is_some()).count(),
        inputs: source.input_shapes().into_iter().map(|i| PlannedInput { name: i.name, shape: i.shape }).collect(),
        outputs: source.output_shapes().into_iter().map(|o| PlannedOutput { name: o.name, values: o.len }).collect(),
    }
}

/// Bytes for model and data.
fn memory_estimate(job: &Job, source: &Source, data: &Data) -> u64 {
    let values = |samples: usize, targets: usize| (samples * (source.input_widths().iter().sum::<usize>() + targets)) as u64;
    let files = [
        Some((&job.calibration, data.calibration.samples)),
        job.train.as_ref().map(|f| (f, data.train.samples)),
        job.validation.as_ref().map(|f| (f, data.validation.samples)),
    ];
    let files = files.into_iter().flatten().map(|(file, samples)| (file.len(), values(samples, 1)));
    memory::estimate(job.model.len() as u64, files)
}

/// How it would train, or why it does not.
fn training(
    config: &JobConfig,
    prepared: &PreparedJob,
    judge: &Judge,
    start: f64,
    source_metric: f64,
) -> Result<Training, Error> {
    Ok(match config.mode {
        Mode::Calibrate => Training::None("none: widths from sensitivities on the calibration data (mode calibrate)".into()),
        Mode::FineTune if config.epochs == 0 => {
            Training::None("none: annotated widths are taken over as they are (epochs 0)".into())
        }
        Mode::FineTune => {
            let rows = prepared.data.train.samples;
            let objective = prepared.objective(config)?;
            let aim = goal(config, judge, steps(config, rows), start, source_metric);
            Training::Epochs(PlannedTraining {
                epochs: config.epochs,
                batch_size: batch_size(config, rows),
                steps: steps(config, rows),
                loss: if objective.unlabelled() { "distillation" } else { spelled(objective.kind) }.into(),
                teacher_weight: if objective.unlabelled() { 1.0 } else { config.teacher_weight },
                beta_control: beta_control(&aim),
            })
        }
    })
}

fn beta_control(goal: &Goal) -> BetaControl {
    let rounded = |budgets: &[f64]| budgets.iter().map(|b| b.round()).collect::<Vec<f64>>();
    match goal {
        Goal::Schedule(Beta::Ramp { start, end, .. }) => BetaControl::Ramp { beta: [*start, *end] },
        Goal::Schedule(Beta::Piecewise(points)) => BetaControl::Piecewise { beta: points.clone() },
        Goal::Budgets(budgets) => BetaControl::Budgets { budgets: rounded(budgets) },
        Goal::Metric { budgets, .. } => BetaControl::Searched { searched_budgets: rounded(budgets) },
    }
}

/// Which of the models found is returned.
fn choice(job: &Job) -> String {
    let config = &job.config;
    let metric = |drop: f64| format!("whose metric is at most {drop} below the source's");
    let size = config.target().map(|target| format!("of at most {target} {}", config.count().unit()));
    let bound = match (size, config.max_metric_drop) {
        (None, None) => None,
        (Some(size), None) => Some(size),
        (None, Some(drop)) => Some(metric(drop)),
        (Some(size), Some(drop)) => Some(format!("{size} {}", metric(drop))),
    };
    match (config.epochs, bound, config.max_output_error) {
        (0, None, _) => "the model as it is".into(),
        (0, Some(bound), _) => format!("the model as it is; the target is met by one {bound}"),
        (_, Some(bound), _) if config.target().is_some() => format!("the best one {bound}"),
        (_, Some(bound), _) => format!("the smallest one {bound}"),
        (_, None, Some(error)) => format!("the smallest one whose output error is at most {error}"),
        (_, None, None) => DEFAULT.into(),
    }
}
