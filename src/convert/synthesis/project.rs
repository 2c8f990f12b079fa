//! What hls4ml writes of a project: its script, and the model that it was made of.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What `project.tcl` says.
#[derive(Debug, PartialEq)]
pub struct Script {
    /// Of the project, whose folder for the tools is `<name>_prj`.
    pub name: String,
    /// The top function; reports are named after it.
    pub top: String,
    pub part: Option<String>,
}

/// Reads `project.tcl`.
///
/// # Errors
/// It names no project.
pub fn script(text: &str) -> Result<Script, String> {
    let set = |variable: &str| {
        let line = text.lines().find_map(|l| l.trim().strip_prefix("set ")?.trim_start().strip_prefix(variable))?;
        Some(line.trim().trim_matches('"').to_string())
    };
    let name = set("project_name ").filter(|n| !n.is_empty()).ok_or("no `set project_name`: not of hls4ml")?;
    // the accelerator back ends wrap the function
    let is_wrapped = set("backend ").is_some_and(|b| b.contains("accelerator"));
    let top = if is_wrapped { format!("{name}_axi") } else { name.clone() };
    Ok(Script { name, top, part: set("part ") })
}

/// The ONNX file inside `hls4ml_config.yml`: hls4ml writes the model there that it was given.
pub fn model(config: &str) -> Option<Vec<u8>> {
    let mut lines = config.lines().skip_while(|l| !l.starts_with("OnnxModel:")).skip_while(|l| !l.ends_with("!!binary |"));
    let indent = |line: &str| line.len() - line.trim_start().len();
    let outer = indent(lines.next()?);
    let block: String = lines.take_while(|l| indent(l) > outer).map(str::trim).collect();
    STANDARD.decode(block).ok().filter(|bytes| !bytes.is_empty())
}
