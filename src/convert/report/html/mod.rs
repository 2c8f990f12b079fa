//! `report.html`: the report for people. One file, no request to anywhere, readable without JavaScript, in light and dark and
//! on paper.
//!
//! Made of the report alone, and of the exact model for what a report would be too large with: the width of every weight, the
//! graph. It has no times in it, so the same job gives the same page. Each section is a file of its own; [`text`] is where
//! everything that a user wrote is escaped.

mod bits;
mod curves;
mod doc;
mod front;
mod graph;
mod heat_map;
mod hls4ml;
mod layers;
mod layout;
mod plot;
mod summary;
mod text;
mod verification;
mod warnings;

use crate::quant::FixedModel;
use crate::quant::interval::{self, IntervalError};
use doc::Doc;
use serde_json::Value;
use text::escape;

/// Title of a model without a name.
const NAMELESS: &str = "a model";

/// The page.
///
/// # Errors
/// See [`interval::bounds`].
pub fn page(report: &Value, model: &FixedModel) -> Result<String, IntervalError> {
    let bounds = interval::bounds(model)?;
    let report = Doc(report);
    let title = if model.name.trim().is_empty() { NAMELESS } else { &model.name };
    let sections = [
        summary::before_and_after(report),
        warnings::section(report),
        front::section(report),
        curves::section(report),
        layers::shares(report),
        layers::weights(report, model),
        layers::activations(report),
        graph::section(model, &bounds),
        verification::section(report),
        hls4ml::section(report),
        summary::what(report),
    ];
    let sections: Vec<String> =
        sections.into_iter().filter(|s| !s.is_empty()).map(|s| format!("<section>{s}</section>")).collect();
    Ok(format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{} · hgq-onnx</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <style>\n{}</style></head>\n<body><main>\n<header>{}</header>\n{}\n</main></body></html>\n",
        text::tooltip(title),
        include_str!("style.css"),
        summary::head(report, title),
        sections.join("\n")
    ))
}

/// A table that scrolls by itself on narrow screens; `columns` may be empty, `caption` and `columns` are markup already. Columns
/// of texts and drawings begin with a `<`.
fn table(caption: &str, columns: &[&str], rows: &str) -> String {
    let column = |c: &&str| match c.strip_prefix('<') {
        _ if c.is_empty() => "<td></td>".to_string(),
        Some(text) => format!("<th scope=\"col\" class=\"text\">{text}</th>"),
        None => format!("<th scope=\"col\">{c}</th>"),
    };
    let head: String = columns.iter().map(column).collect();
    let head = if columns.is_empty() { String::new() } else { format!("<thead><tr>{head}</tr></thead>") };
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\">\
         <table><caption>{caption}</caption>{head}<tbody>{rows}</tbody></table></div>"
    )
}
