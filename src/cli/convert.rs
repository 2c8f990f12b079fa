//! `hgq-onnx convert`: the whole job, and the files it leaves.

use super::done::Done;
use super::out_dir::OutDir;
use super::progress::Progress;
#[cfg(feature = "remote")]
use super::remote;
use super::{files, overrides, screen, table};
use crate::convert;
use crate::convert::config::JobConfig;
use crate::convert::documents::{
    self, ChoiceMade, Figures, HardwareEstimate, Layer, OutputMetric, ParetoPoint, ProxyFile, Report, Verified,
};
use crate::convert::error::Error;
use crate::convert::job::Job;
use crate::diagnostic::Diagnostic;
use anyhow::Context;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const FILES: &str = "\
Files in DIR:
  proxy.onnx             the fixed-point model for hls4ml
  report.json            what was done: EBOPs, metrics, formats, verification
  report.html            the same for people: one page, with drawings
  hls4ml_config.json     hls4ml's settings for the proxy: input port, backend, strategy
  proxy_elementwise.onnx with --elementwise: the same model for the hls4ml plug-in
  pareto/pareto.json     every trade-off found between EBOPs and the metric
  pareto/N/proxy.onnx    the proxy of each
They appear together when everything is done; nothing is left behind on failure. In an existing DIR only these files are
replaced. A run that is killed or canceled leaves DIR.checkpoint: the same command goes on from it and gives the same files.

If no model reaches the target, the nearest is written, the report says so and the exit status is 1.

Example:
  hgq-onnx convert model.onnx --calibration calibration.npz --train train.npz --target-ebops 5000 --out out";

/// Fine-tune a model's bit widths and write the proxy for hls4ml
///
/// Trains the bit width of every weight and activation together with the weights (HGQ), traces the
/// ranges on the calibration data, and writes a proxy ONNX file whose every tensor is in fixed
/// point. Before anything is written, the proxy is executed in integers and compared with the
/// trained model on all calibration data.
///
/// Without --train the calibration inputs are the training data, and the model sent is the teacher
/// (distillation).
///
/// Progress goes to stderr: one line redrawn on a terminal, otherwise one JSON line per stage and
/// epoch.
#[derive(clap::Args)]
#[command(after_help = format!("{FILES}\n\n{}", super::EXIT_STATUS))]
pub struct Args {
    /// The model: ONNX, float or with QONNX annotations
    #[arg(value_name = "MODEL.onnx", value_hint = clap::ValueHint::FilePath)]
    pub model: PathBuf,
    /// Calibration data (.npz or .npy): `x`, or one array per model input by its name; first axis =
    /// samples
    #[arg(long, value_name = "X.npz", value_hint = clap::ValueHint::FilePath)]
    pub calibration: PathBuf,
    /// Training data (.npz): `x` as above and `y`: integer labels or float targets; of several
    /// outputs one array each, by their names
    #[arg(long, value_name = "T.npz", value_hint = clap::ValueHint::FilePath)]
    pub train: Option<PathBuf>,
    /// Data for choosing among the trained models, like --train
    /// [default: a tenth of the training data]
    #[arg(long, value_name = "V.npz", value_hint = clap::ValueHint::FilePath)]
    pub validation: Option<PathBuf>,
    /// Directory for the results [default: MODEL-hgq in the current directory]
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub out: Option<PathBuf>,
    /// Convert on a service (`hgq-onnx serve`) at this address, with the same progress, files and
    /// exit status
    #[cfg(feature = "remote")]
    #[arg(long, value_name = "URL", env = "HGQ_SERVER")]
    pub server: Option<String>,
    /// File whose first line is the token for the service
    /// [default: the environment variable HGQ_TOKEN]
    #[cfg(feature = "remote")]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub token_file: Option<PathBuf>,
    /// Check everything and say what would be done; nothing is trained or written
    #[arg(long)]
    pub dry_run: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub config: overrides::ConfigFile,
    #[command(flatten)]
    pub overrides: overrides::Overrides,
}

pub fn run(args: &Args) -> anyhow::Result<u8> {
    let config = args.config.load(&args.overrides)?;
    let out_path = args.out.clone().unwrap_or_else(|| {
        let stem = args.model.file_stem().unwrap_or_default().to_string_lossy();
        PathBuf::from(format!("{stem}-hgq"))
    });
    let out = OutDir::check(&out_path)?;
    let job = read(args, config)?;
    if args.dry_run {
        return dry_run(args, &job, &out);
    }
    let cancel = cancel_on_signal().context("cannot handle signals")?;
    let done = match args.server() {
        #[cfg(feature = "remote")]
        Some(server) => run_remote(args, server, &job, &cancel)?,
        _ => run_local(&job, &out, &cancel)?,
    };
    // A signal that came too late for the training still means that no output is wanted.
    if cancel.load(Ordering::Relaxed) {
        return Err(Error::Canceled.into());
    }
    let files: Vec<(PathBuf, &[u8])> = done.files.iter().map(|(name, bytes)| (name.clone(), &bytes[..])).collect();
    out.install(&files).with_context(|| format!("cannot write to {}", out_path.display()))?;
    screen::print(&if args.json { done.written("report.json") } else { summary(done.report.as_ref(), &out_path)? })?;
    if let Some(why) = &done.unmet {
        screen::tell(screen::BAD, "error:", why);
        return Ok(Error::TargetNotMet(why.clone()).exit_status());
    }
    Ok(0)
}

/// On this machine.
fn run_local(job: &Job, out: &OutDir, cancel: &AtomicBool) -> anyhow::Result<Done> {
    let mut progress = Progress::new();
    let mut kept = out.checkpoint();
    let done = convert::run_with_checkpoints(job, &mut |event| progress.event(&event), &mut kept, cancel);
    progress.finish();
    if let Some(file) = kept.discard_if_done(&done) {
        screen::tell(screen::CAREFUL, "note:", &format!("the same command goes on from {}", file.display()));
    }
    let artifacts = done?;
    let files = artifacts.files()?.into_iter().map(|(name, bytes)| (name.into(), bytes.into_owned())).collect();
    Ok(Done { files, report: Some(artifacts.report), unmet: artifacts.unmet })
}

/// On a service.
#[cfg(feature = "remote")]
fn run_remote(args: &Args, server: &str, job: &Job, cancel: &AtomicBool) -> anyhow::Result<Done> {
    let token = args.token()?;
    let mut progress = Progress::new();
    let done = remote::convert(server, &token, job, &mut progress, cancel);
    progress.finish();
    done
}

impl Args {
    fn server(&self) -> Option<&str> {
        #[cfg(feature = "remote")]
        return self.server.as_deref().filter(|s| !s.is_empty());
        #[cfg(not(feature = "remote"))]
        None
    }

    #[cfg(feature = "remote")]
    fn token(&self) -> Result<remote::Token, Error> {
        remote::Token::find(self.token_file.as_deref()).map_err(|e| Error::Config(vec![e]))
    }
}

/// Says what the same command would do without `--dry-run`.
fn dry_run(args: &Args, job: &Job, out: &OutDir) -> anyhow::Result<u8> {
    let mut plan = convert::plan(job)?;
    plan.out = Some(out.plan()?);
    #[cfg(feature = "remote")]
    if let Some(server) = args.server() {
        plan.server = Some(remote::plan(server, &args.token()?)?);
    }
    if args.json {
        screen::print(&documents::text(&plan)?)?;
    } else {
        let columns = screen::columns();
        let end = "nothing was trained or written: the same command without --dry-run does it";
        screen::print(&format!(
            "{}\n{}",
            table::render(&documents::json(&plan)?, columns),
            screen::wrapped(end, columns).join("\n")
        ))?;
    }
    Ok(0)
}

/// Reads all files; every one that cannot be read is named.
fn read(args: &Args, config: JobConfig) -> Result<Job, Error> {
    let mut faults = Vec::new();
    let model = files::model(&args.model).map_err(|e| faults.push(e.to_string()));
    let mut need = |path: &Path| files::data(path).map_err(|e| faults.push(e.to_string())).ok();
    let calibration = need(&args.calibration);
    let (train, validation) = (args.train.as_deref().map(&mut need), args.validation.as_deref().map(&mut need));
    let (Ok(model), Some(calibration), true) = (model, calibration, faults.is_empty()) else { return Err(Error::Data(faults)) };
    Ok(Job { model, calibration, train: train.flatten(), validation: validation.flatten(), config })
}

/// A flag that SIGINT and SIGTERM set. The second one ends the process at once; nothing has been
/// written by then.
fn cancel_on_signal() -> std::io::Result<Arc<AtomicBool>> {
    let cancel = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_default(signal, cancel.clone())?;
        signal_hook::flag::register(signal, cancel.clone())?;
    }
    Ok(cancel)
}

/// What a person wants to know of the report; report.html has the rest.
#[derive(Serialize)]
struct Shown<'a> {
    ebops: u64,
    ebops_hgq2: u64,
    #[serde(flatten)]
    hardware: HardwareEstimate,
    metric: &'a str,
    source: &'a Figures,
    proxy: &'a ProxyFile,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    outputs: &'a [OutputMetric],
    verification: &'a Verified,
    layers: &'a [Layer],
    pareto: Vec<ShownPoint<'a>>,
    choice: &'a ChoiceMade,
    warnings: &'a [Diagnostic],
}

/// What fits into a line.
#[derive(Serialize)]
struct ShownPoint<'a> {
    number: usize,
    epoch: usize,
    ebops: u64,
    ebops_hgq2: u64,
    luts: u64,
    levels: u32,
    #[serde(flatten)]
    figures: &'a Figures,
    chosen: bool,
    chosen_within: &'a [f64],
}

fn summary(report: Option<&Report>, out: &Path) -> Result<String, Error> {
    let written = format!("written to {}\n", out.display());
    let Some(report) = report else {
        return Ok(format!("report.json is that of another version of hgq-onnx: it is not shown here\n{written}"));
    };
    fn point(p: &ParetoPoint) -> ShownPoint<'_> {
        ShownPoint {
            number: p.number,
            epoch: p.epoch,
            ebops: p.ebops,
            ebops_hgq2: p.ebops_hgq2,
            luts: p.hardware.luts,
            levels: p.hardware.levels,
            figures: &p.figures,
            chosen: p.chosen,
            chosen_within: &p.chosen_within,
        }
    }
    let shown = Shown {
        ebops: report.ebops,
        ebops_hgq2: report.ebops_hgq2,
        hardware: report.hardware,
        metric: &report.metric,
        source: &report.source,
        proxy: &report.proxy,
        outputs: &report.outputs,
        verification: &report.verification,
        layers: &report.layers,
        pareto: report.pareto.iter().map(point).collect(),
        choice: &report.choice,
        warnings: &report.warnings,
    };
    Ok(format!("{}\n{written}", table::render(&documents::json(&shown)?, screen::columns())))
}
