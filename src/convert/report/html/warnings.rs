//! Warnings, each with its cause and what can be done about it.

use super::text::{message, name};
use super::{Column, table};
use crate::convert::documents::Report;
use crate::diagnostic::Diagnostic;
use maud::{Markup, html};

/// The section.
pub fn section(report: &Report) -> Markup {
    let columns = [Column::Number("code"), Column::Text("what was found"), Column::Text("cause"), Column::Text("what to do")];
    html! {
        h2 id="warnings" { "Warnings" }
        @if report.warnings.is_empty() {
            p { "None." }
        } @else {
            (table("Warnings", &columns, &html! { @for warning in &report.warnings { (row(warning)) } }))
        }
    }
}

fn row(warning: &Diagnostic) -> Markup {
    html! {
        tr {
            th scope="row" { code { (warning.code) } }
            td class="text" {
                @if let Some(node) = &warning.node { (name(node)) ": " }
                (message(&warning.message))
            }
            td class="text" { (warning.code.cause()) }
            td class="text" { (warning.code.cure()) }
        }
    }
}
