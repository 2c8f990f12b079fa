//! The files of an hls4ml project that a report needs.

use super::files;
use crate::convert::synthesis::{Project, script};
use std::path::{Path, PathBuf};

/// Reads a project folder.
///
/// # Errors
/// Why it is none.
pub fn read(folder: &Path) -> Result<Project, String> {
    let text = |path: &Path| path.is_file().then(|| files::document(path).map_err(|e| e.to_string())).transpose();
    let Some(tcl) = text(&folder.join("project.tcl"))? else {
        return Err("no project of hls4ml for Vitis or Vivado: there is no `project.tcl` in it".into());
    };
    let script = script(&tcl).map_err(|e| format!("project.tcl: {e}"))?;
    let reports = csynth(&folder.join(format!("{}_prj", script.name)), &script.top);
    if let [first, second, ..] = &reports[..] {
        return Err(format!("two solutions have reports, {} and {}: keep one", first.display(), second.display()));
    }
    Ok(Project {
        name: folder.display().to_string(),
        point: None,
        part: script.part,
        config: text(&folder.join("hls4ml_config.yml"))?,
        csynth: reports.first().map(|path| text(path)).transpose()?.flatten(),
        vsynth: text(&folder.join("vivado_synth.rpt"))?,
    })
}

/// The reports of all solutions.
fn csynth(tools: &Path, top: &str) -> Vec<PathBuf> {
    let solutions = std::fs::read_dir(tools).into_iter().flatten().flatten();
    let report = |solution: std::fs::DirEntry| solution.path().join(format!("syn/report/{top}_csynth.xml"));
    let mut found: Vec<PathBuf> = solutions.map(report).filter(|path| path.is_file()).collect();
    found.sort();
    found
}
