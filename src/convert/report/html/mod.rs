//! `report.html`: the report for people. One file, no request to anywhere, readable without
//! JavaScript, in light and dark and on paper.
//!
//! Made of the report alone, and of the exact model for what a report would be too large with: the
//! width of every weight, the graph. It has no times in it, so the same job gives the same page.
//! Each section is a file of its own. `maud` escapes what is markup; names and messages pass
//! through [`text`] as well, which cuts them and shows control characters as such.

mod bits;
mod curves;
mod front;
mod graph;
mod heat_map;
mod hls4ml;
mod layers;
mod layout;
mod plot;
mod summary;
mod synthesis;
mod text;
mod verification;
mod warnings;

use crate::convert::documents::Report;
use crate::quant::FixedModel;
use crate::quant::interval::{self, IntervalError};
use maud::{DOCTYPE, Markup, PreEscaped, html};
pub use synthesis::within as with_synthesis;

/// Title of a model without a name.
const NAMELESS: &str = "a model";

/// The page.
///
/// # Errors
/// See [`interval::bounds()`].
pub fn page(report: &Report, model: &FixedModel) -> Result<String, IntervalError> {
    let bounds = interval::bounds(model)?;
    let title = if model.name.trim().is_empty() { NAMELESS } else { &model.name };
    let sections = [
        Some(summary::before_and_after(report)),
        Some(warnings::section(report)),
        front::section(report),
        curves::section(report),
        layers::shares(report),
        layers::weights(report, model),
        layers::activations(report),
        Some(graph::section(model, &bounds)),
        Some(verification::section(report)),
        Some(hls4ml::section(report)),
        Some(summary::what(report)),
    ];
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { (text::tooltip(title)) " · hgq-onnx" }
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                main {
                    header { (summary::head(report, title)) }
                    @for section in sections.into_iter().flatten() {
                        section { (section) }
                    }
                    (synthesis::place(report))
                }
            }
        }
    };
    Ok(page.into_string())
}

/// A column of a table: its head, and whether it has texts or drawings in place of numbers.
enum Column<'a> {
    /// Without a head.
    Bare,
    Number(&'a str),
    Text(&'a str),
}

/// A table that scrolls by itself on narrow screens; `columns` may be empty.
fn table(caption: &str, columns: &[Column], rows: &Markup) -> Markup {
    html! {
        div class="scroll" tabindex="0" role="region" aria-label=(caption) {
            table {
                caption { (caption) }
                @if !columns.is_empty() {
                    thead {
                        @for column in columns {
                            @match column {
                                Column::Bare => td {},
                                Column::Number(head) => th scope="col" { (head) },
                                Column::Text(head) => th scope="col" class="text" { (head) },
                            }
                        }
                    }
                }
                tbody { (rows) }
            }
        }
    }
}
