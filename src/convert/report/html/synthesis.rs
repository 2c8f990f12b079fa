//! What the vendors' tools found, beside the estimate; empty until somebody reads their reports.

use super::Column;
use super::text::{clean, count, number};
use crate::convert::documents::{Report, Synthesis};
use maud::{Markup, html};

/// Where it stands in the page: an element that there is once.
const BEGIN: &str = "<aside>";
const END: &str = "</aside>";

/// The place, with what there is.
pub fn place(report: &Report) -> Markup {
    html! {
        aside { @if !report.synthesis.is_empty() { section { (section(report)) } } }
    }
}

/// A page with the reports that `report` has in the meantime; none where it has no place for them,
/// as a page of another version.
pub fn within(page: &str, report: &Report) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{}{after}", place(report).into_string()))
}

fn section(report: &Report) -> Markup {
    let rows = html! { @for s in &report.synthesis { (row(report, s)) } };
    let columns = [
        Column::Number("point"),
        Column::Text("project"),
        Column::Number("LUTs, estimate"),
        Column::Number("synthesis"),
        Column::Number("HLS"),
        Column::Number("FF"),
        Column::Number("DSP"),
        Column::Number("BRAM 18k"),
        Column::Number("latency (cycles)"),
        Column::Number("interval"),
        Column::Number("clock (ns)"),
        Column::Text("part"),
    ];
    html! {
        h2 id="synthesis" { "Reports of synthesis" }
        p {
            "Of the hls4ml projects below. FF, DSP and BRAM are those of synthesis where it was run, else what HLS expects; the clock is what HLS \
            estimates. The estimate is of one circuit for the whole model without DSP blocks."
        }
        (super::table("Reports of synthesis", &columns, &rows))
    }
}

fn row(report: &Report, s: &Synthesis) -> Markup {
    let estimate = report.pareto.iter().find(|p| p.number == s.point).map(|p| p.hardware.luts);
    let (hls, made) = (s.csynth.as_ref(), s.vsynth.as_ref());
    let cycles = |least: Option<u64>, most: Option<u64>| match (least, most) {
        (Some(a), Some(b)) if a != b => format!("{a}–{b}"),
        (a, b) => a.or(b).map_or_else(String::new, |n| n.to_string()),
    };
    html! {
        tr {
            th scope="row" { (s.point) }
            td class="text" { (clean(&s.project)) @if !s.compared { " (not compared)" } }
            td { @if let Some(luts) = estimate { (count(luts)) } }
            td { (shown(made.and_then(|r| r.luts))) }
            td { (shown(hls.and_then(|h| h.resources.luts))) }
            td { (shown(s.used(|r| r.ff))) }
            td { (shown(s.used(|r| r.dsp))) }
            td { (shown(s.used(|r| r.bram_18k))) }
            td { @if let Some(h) = hls { (cycles(h.latency_min, h.latency_max)) } }
            td { @if let Some(h) = hls { (cycles(h.interval_min, h.interval_max)) } }
            td { @if let Some(ns) = hls.and_then(|h| h.estimated_clock_ns) { (number(ns)) } }
            td class="text" { @if let Some(part) = &s.part { (clean(part)) } }
        }
    }
}

fn shown(used: Option<u64>) -> String {
    used.map_or_else(String::new, count)
}
