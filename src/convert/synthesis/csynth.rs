//! `csynth.xml` of Vivado HLS and Vitis HLS.

use crate::convert::documents::{HlsEstimate, Resources};
use roxmltree::{Document, Node};

/// Reads the report.
///
/// # Errors
/// Why it is not one.
pub fn read(text: &str) -> Result<HlsEstimate, String> {
    let document = Document::parse(text).map_err(|e| format!("not XML: {e}"))?;
    let root = document.root_element();
    let used = at(root, &["AreaEstimates", "Resources"]).ok_or("no `AreaEstimates/Resources`: not a csynth report")?;
    let number = |name: &str| child(used, name)?.text()?.trim().parse().ok();
    let resources = Resources {
        luts: number("LUT"),
        ff: number("FF"),
        // Vivado HLS names the kind of block
        dsp: number("DSP").or_else(|| number("DSP48E")),
        bram_18k: number("BRAM_18K"),
        uram: number("URAM"),
    };
    let text = |path: &[&str]| at(root, path)?.text().map(str::trim);
    let clock = |path: &[&str]| text(path)?.parse().ok();
    let cycles = |name: &str| text(&["PerformanceEstimates", "SummaryOfOverallLatency", name])?.parse().ok();
    Ok(HlsEstimate {
        resources,
        target_clock_ns: clock(&["UserAssignments", "TargetClockPeriod"]),
        estimated_clock_ns: clock(&["PerformanceEstimates", "SummaryOfTimingAnalysis", "EstimatedClockPeriod"]),
        latency_min: cycles("Best-caseLatency"),
        latency_max: cycles("Worst-caseLatency"),
        interval_min: cycles("Interval-min"),
        interval_max: cycles("Interval-max"),
    })
}

fn child<'a>(node: Node<'a, 'a>, name: &str) -> Option<Node<'a, 'a>> {
    node.children().find(|c| c.has_tag_name(name))
}

fn at<'a>(root: Node<'a, 'a>, path: &[&str]) -> Option<Node<'a, 'a>> {
    path.iter().try_fold(root, |node, name| child(node, name))
}
