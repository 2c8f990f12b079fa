//! What was proven before the proxy was handed out.

use super::doc::Doc;
use super::text::number;

/// The section.
pub fn section(report: Doc) -> String {
    let count = |at: &str| number(report.count(&format!("/verification/{at}")) as f64);
    let row = |what: &str, value: String, about: &str| {
        format!("<tr><th scope=\"row\">{what}</th><td>{value}</td><td class=\"text\">{about}</td></tr>")
    };
    let mut rows = row("samples", count("samples"), "of the calibration data, executed in integers from the bytes of the file");
    rows += &row("elements compared", count("elements"), "with the exact evaluation of the trained model");
    rows += &row("mismatches", count("mismatches"), "a single one would have failed the conversion");
    rows += &row("second opinion", count("second_opinion_samples"), "samples that tract executed in f32");
    rows +=
        &row("float-limited", count("float_limited"), "elements where f32 needs more than its 24 bits and gives another value");
    let on = format!("values that a format clipped, over {} validation samples", count("validation_samples"));
    rows += &row("saturations", count("saturations"), &on);
    format!("<h2 id=\"verification\">Verification</h2>{}", super::table("Verification", &["", "", "<what it says"], &rows))
}
