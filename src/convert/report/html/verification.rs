//! What was proven before the proxy was handed out.

use super::text::count;
use super::{Column, table};
use crate::convert::documents::Report;
use maud::{Markup, html};

/// The section.
pub fn section(report: &Report) -> Markup {
    let found = &report.verification;
    let compared = &found.compared;
    let row = |what: &str, n: u64, about: &str| {
        html! { tr { th scope="row" { (what) } td { (count(n)) } td class="text" { (about) } } }
    };
    let on = format!("values that a format clipped, over {} validation samples", count(found.validation_samples as u64));
    let rows = html! {
        (row("samples", compared.samples as u64, "of the calibration data, executed in integers from the bytes of the file"))
        (row("elements compared", compared.elements, "with the exact evaluation of the trained model"))
        (row("mismatches", compared.mismatches, "a single one would have failed the conversion"))
        (row("second opinion", compared.second_opinion_samples as u64, "samples that tract executed in f32"))
        (row("float-limited", compared.float_limited, "elements where f32 needs more than its 24 bits and gives another value"))
        (row("saturations", found.saturations, &on))
    };
    html! {
        h2 id="verification" { "Verification" }
        (table("Verification", &[Column::Bare, Column::Bare, Column::Text("what it says")], &rows))
    }
}
