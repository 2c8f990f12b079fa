//! `hgq-onnx report`: the front of a job with what the vendors' tools made of it.

use super::{files, hls_project, screen, table};
use crate::convert::documents::{Synthesis, json};
use crate::convert::error::Error;
use crate::convert::synthesis::{JobReport, Joined, Project, Written};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Read reports of Vitis HLS and Vivado beside the estimates of a conversion
///
/// Each project is one that hls4ml made of a proxy in the folder and built: which one is found by
/// the model that hls4ml keeps in it. What its reports say goes into report.json (`synthesis`) and
/// report.html, beside what is there, and is printed.
#[derive(clap::Args)]
#[command(after_help = super::EXIT_STATUS)]
pub struct Args {
    /// The folder that `hgq-onnx convert --out` wrote
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub dir: PathBuf,
    /// A project of hls4ml (repeatable); with `POINT=` before it, it is taken for that point of the
    /// front without a comparison
    #[arg(long = "hls", value_name = "[POINT=]PROJECT", value_hint = clap::ValueHint::DirPath)]
    pub hls: Vec<String>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<u8> {
    let report = files::document(&args.dir.join("report.json"))?;
    let page_file = args.dir.join("report.html");
    let page = if page_file.is_file() { Some(files::document(&page_file)?) } else { None };
    let job = JobReport::read(&report)?;
    let projects: Vec<Result<Project, String>> = args.hls.iter().map(|given| project(given)).collect();
    // without projects there is nothing to compare with
    let written = if projects.is_empty() { Vec::new() } else { written(&args.dir, &job)? };
    let joined = job.join(page.as_deref(), &written, &projects)?;
    if !projects.is_empty() {
        if let Some(page) = &joined.page {
            files::write_atomically(&page_file, page.as_bytes())?;
        } else if page.is_some() {
            screen::tell(screen::CAREFUL, "warning:", "report.html is of another version of hgq-onnx and stays as it is");
        }
        files::write_atomically(&args.dir.join("report.json"), joined.report.as_bytes())?;
    }
    screen::print(&if args.json {
        format!("{:#}", json!({ "synthesis": json(&joined.synthesis)? }))
    } else {
        table::render(&rows(&joined), screen::columns())
    })?;
    Ok(0)
}

/// A project as it is given: `[POINT=]PROJECT`.
fn project(given: &str) -> Result<Project, String> {
    let stated = given.split_once('=').and_then(|(point, path)| Some((point.parse().ok()?, path)));
    let (point, path) = stated.map_or((None, given), |(point, path)| (Some(point), path));
    let project = hls_project::read(Path::new(path)).map_err(|fault| format!("{path}: {fault}"))?;
    Ok(Project { point, ..project })
}

/// The proxies in the folder of a job.
fn written(dir: &Path, job: &JobReport) -> Result<Vec<Written>, Error> {
    let there = job.files().into_iter().filter(|(file, _)| dir.join(file).is_file());
    there.map(|(file, point)| Ok(Written { bytes: files::model(&dir.join(&file))?, file, point })).collect()
}

/// For people: a line for each point of the front, and one for each further project of a point.
fn rows(joined: &Joined) -> Value {
    let mut rows = Vec::new();
    for p in &joined.points {
        let own: Vec<&Synthesis> = joined.synthesis.iter().filter(|s| s.point == p.number).collect();
        let first = own.first().map_or(Value::Null, |s| json!(s.project));
        let mut row =
            json!({ "number": p.number, "chosen": p.chosen, "ebops": p.ebops, "estimate": p.hardware.luts, "project": first });
        put(&mut row, own.first().copied());
        rows.push(row);
        for s in own.iter().skip(1) {
            let mut row = json!({ "number": p.number, "project": s.project });
            put(&mut row, Some(s));
            rows.push(row);
        }
    }
    json!({ "front": rows })
}

fn put(row: &mut Value, synthesis: Option<&Synthesis>) {
    let hls = synthesis.and_then(|s| s.csynth.as_ref());
    let made = synthesis.and_then(|s| s.vsynth.as_ref());
    row["luts"] = json!(made.and_then(|r| r.luts));
    row["luts_hls"] = json!(hls.and_then(|h| h.resources.luts));
    row["ff"] = json!(synthesis.and_then(|s| s.used(|r| r.ff)));
    row["dsp"] = json!(synthesis.and_then(|s| s.used(|r| r.dsp)));
    row["latency"] = json!(hls.and_then(|h| h.latency_max));
    row["interval"] = json!(hls.and_then(|h| h.interval_max));
    row["clock_ns"] = json!(hls.and_then(|h| h.estimated_clock_ns));
}
